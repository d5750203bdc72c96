"""The HTTP server: what it understands, what it refuses, and what a stranger cannot make it do."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.web import listen
from nodecache.web import server as web
from nodecache.web.server import MalformedRequest, Request, Response, WebServer, read_request
from tests.patience import PATIENCE_SECONDS


async def hello(request: Request) -> Response:
    return Response(HTTPStatus.OK, f"hello {request.method}".encode())


async def broken(_: Request) -> Response:
    raise RuntimeError("no such luck")


PAGES = {"/hello": hello, "/broken": broken}


def with_server(talk: Callable[[int], Awaitable[bytes]]) -> bytes:
    """Run `talk` against a server on a free port of 127.0.0.1."""

    async def run() -> bytes:
        server = WebServer(PAGES)
        listener = listen.open_listener("127.0.0.1:0")
        port = listener.getsockname()[1]
        await server.serve(listener)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await talk(port)
        finally:
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


def say(*requests: bytes) -> bytes:
    """Everything the server answers to `requests` on one connection, until it closes."""

    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            writer.write(request)
            await writer.drain()
        answered = await reader.read()
        await hang_up(writer)
        return answered

    return with_server(talk)


async def hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_page_is_answered_by_its_path_whatever_the_query_string():
    assert say(b"GET /hello?x=1 HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nhello GET")


def test_connection_is_kept_for_the_next_request_until_the_client_closes_it():
    kept = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
    assert say(kept + kept, kept, LAST).count(b"hello GET") == 4


def test_request_may_come_octet_by_octet():
    assert say(*[bytes([octet]) for octet in LAST]).endswith(b"hello GET")


def test_head_has_no_body_but_its_length():
    answered = say(b"HEAD /hello HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 10" in answered
    assert answered.endswith(b"\r\n\r\n")


def test_unknown_path_is_404():
    assert say(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404 ")


def test_page_that_fails_is_500_and_the_server_goes_on():
    answered = say(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", LAST)
    assert answered.startswith(b"HTTP/1.1 500 ")
    assert answered.endswith(b"hello GET")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"GET\r\n\r\n", b"400", id="no path"),
        pytest.param(b"GET /hello HTTP/2.0\r\n\r\n", b"400", id="another version"),
        pytest.param(b"\x16\x03\x01\r\n\r\n", b"400", id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400", id="header without colon"),
        pytest.param(b"GET / HTTP/1.1\r\nA : b\r\n\r\n", b"400", id="blank before colon"),
        pytest.param(
            b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", b"413", id="body"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"400", id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431", id="too long"),
    ],
)
def test_what_is_not_understood_is_refused_and_the_connection_closed(head, status):
    assert say(head).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("more", ["", "Content-Length: 3\r\n", "Upgrade: websocket\r\n"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "CONNECT"])
def test_whatever_is_asked_for_gets_a_response_and_no_line_in_the_log(
    method, version, more, caplog
):
    head = f"{method} /hello HTTP/{version}\r\nHost: x\r\nConnection: close\r\n{more}\r\n"
    status, _, body = say(head.encode()).partition(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 ")
    assert method != "HEAD" or body == b""
    assert caplog.text == ""


@given(st.binary(max_size=300))
def test_any_octets_are_a_request_or_malformed(octets: bytes):
    async def read() -> Request | None:
        reader = asyncio.StreamReader()
        reader.feed_data(octets + b"\r\n\r\n")
        reader.feed_eof()
        return await read_request(h11.Connection(h11.SERVER), reader)

    with contextlib.suppress(MalformedRequest):
        asyncio.run(read())


def test_oldest_connection_goes_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(web, "MAX_CONNECTIONS", 2)

    async def talk(port: int) -> bytes:
        streams = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"hello GET")
            streams.append((reader, writer))
        assert await streams[0][0].read() == b""
        streams[2][1].write(LAST)
        answered = await streams[2][0].read()
        await hang_up(*[writer for _, writer in streams])
        return answered

    assert with_server(talk).endswith(b"hello GET")


def test_of_a_crowd_that_comes_at_once_no_more_stay_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(web, "MAX_CONNECTIONS", 2)

    async def talk(port: int) -> bytes:
        streams = await asyncio.gather(
            *[asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        )
        left = {asyncio.ensure_future(reader.read()) for reader, _ in streams}
        while len(left) > 2:
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        await hang_up(*[writer for _, writer in streams])
        await asyncio.wait(left)
        return b""

    with_server(talk)


def test_a_client_that_does_not_read_the_end_is_sent_away_in_time(monkeypatch):
    monkeypatch.setattr(web, "EXCHANGE_SECONDS", 0.05)

    async def long(_: Request) -> Response:
        return Response(HTTPStatus.OK, bytes(50_000))  # more than the small buffers below hold

    async def run() -> None:
        server = WebServer({"/long": long})
        listener = listen.open_listener("127.0.0.1:0")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(listener.getsockname())
            client.send(b"GET /long HTTP/1.0\r\n\r\n")
            await server.serve(listener)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not server._connections:  # noqa: ASYNC110 (it has no event)
                    await asyncio.sleep(0)
                await server.wait_closed()
        server.close()

    asyncio.run(run())


@pytest.mark.parametrize("before", [b"", b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_request_that_is_never_finished_is_dropped_in_time(before, monkeypatch):
    monkeypatch.setattr(web, "EXCHANGE_SECONDS", 0.05)
    assert say(before + b"GET /hello HT").count(b"hello GET") == before.count(b"GET")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_those_who_want_it(header, wanted):
    request = Request("GET", "/", {"accept-encoding": header})
    assert request.takes_gzip() is wanted


def test_other_work_is_done_between_the_slices_of_a_page(monkeypatch):
    monkeypatch.setattr(web, "SLICE_SECONDS", 0.0)
    turns = []

    async def run() -> bytes:
        loop = asyncio.get_running_loop()

        def pieces():
            for number in range(5):
                loop.call_soon(turns.append, number)
                yield b"x"

        return await web.made_in_slices(pieces(), is_gzip=False)

    assert asyncio.run(run()) == b"xxxxx"
    assert turns == [0, 1, 2, 3, 4]


def test_pages_are_made_one_after_the_other(monkeypatch):
    """Side by side, fifty of them would have fifty slices of each turn of the loop."""
    monkeypatch.setattr(web, "SLICE_SECONDS", 0.0)
    made: list[int] = []

    def pieces(number: int) -> Iterator[bytes]:
        for _ in range(3):
            made.append(number)
            yield b"piece"

    async def scrape() -> list[bytes]:
        maker = web.PageMaker()
        return await asyncio.gather(*(maker.make(pieces(n), is_gzip=False) for n in range(3)))

    assert asyncio.run(scrape()) == [b"piece" * 3] * 3
    assert made == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9253", "", 9253),
        ("0.0.0.0:9353", "0.0.0.0", 9353),
        ("[fd00::10]:8080", "fd00::10", 8080),
        ("localhost:0", "localhost", 0),
    ],
)
def test_addresses_are_read_in_gos_form(text, host, port):
    assert listen.split_address(text) == (host, port)


@pytest.mark.parametrize("text", ["9253", "x:", ":65536", "fd00::10:8080", ":-1", ""])
def test_what_is_no_address_says_so(text):
    with pytest.raises(ValueError, match="address"):
        listen.split_address(text)


@pytest.mark.parametrize(
    ("one", "other", "is_so"),
    [
        (":9253", ":9253", True),
        (":9253", ":9255", False),
        (":9253", "169.254.20.10:9253", True),
        ("[::]:8080", "127.0.0.1:8080", True),
        ("169.254.20.10:8080", "127.0.0.1:8080", False),
        ("127.0.0.1:8080", "127.0.0.1:8080", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),  # a port of its own for each
        ("nonsense", "nonsense", False),
    ],
)
def test_addresses_at_which_only_one_can_listen(one, other, is_so):
    assert listen.overlap(one, other) is is_so
    assert listen.overlap(other, one) is is_so


def test_two_agents_may_listen_on_one_address_while_one_hands_over():
    with listen.open_listener("127.0.0.1:0") as first:
        port = first.getsockname()[1]
        with listen.open_listener(f"127.0.0.1:{port}") as second:
            assert second.getsockname() == first.getsockname()


def test_address_that_the_host_does_not_have_yet_can_be_bound():
    with listen.open_listener("192.0.2.53:0") as listener:
        assert listener.getsockname()[0] == "192.0.2.53"


def test_empty_host_takes_both_families():
    with listen.open_listener(":0") as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
