import asyncio
import socket

import pytest

from nodecache.corefile import TraceOptions
from nodecache.server.directives.trace.sink import Collector, ZipkinSink, local_endpoint
from nodecache.server.directives.trace.spans import Span
from tests.helpers.agent import free_port
from tests.helpers.zipkin import Zipkin
from tests.patience import PATIENCE_SECONDS

from .test_spans import tracing

A_LONG_TIME = 3600.0


def spans(count: int) -> list[Span]:
    tracer, sink, _, _ = tracing()
    for number in range(count):
        tracer.start(f"span {number}").end()
    return sink.spans


def opened(address: str, **more) -> ZipkinSink:
    endpoint = address if "://" in address else f"http://{address}/api/v2/spans"
    options = TraceOptions(endpoint=endpoint, **more)
    return ZipkinSink(options, ("127.0.0.1", 53), asyncio.get_running_loop())


async def until(is_true) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_true():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.005)


def names(told) -> list[str]:
    return [span["name"] for span in told]


def test_a_full_batch_is_posted_at_once():
    async def talk(zipkin: Zipkin) -> None:
        sink = opened(
            zipkin.address,
            service="Node-DNS",
            zipkin_max_batch_size=3,
            zipkin_max_batch_seconds=A_LONG_TIME,
        )
        for span in spans(3):
            sink.put(span)
        await asyncio.to_thread(zipkin.wait_for, 3)

    with Zipkin() as zipkin:
        asyncio.run(talk(zipkin))
        (posted,) = zipkin.posted
        assert posted.path == "/api/v2/spans"
        assert posted.headers["Content-Type"] == "application/json"
        assert posted.headers["Host"] == zipkin.address
        assert posted.headers["b3"] == "0"
        assert names(posted.spans) == ["span 0", "span 1", "span 2"]
        assert posted.spans[0]["localEndpoint"] == {
            "serviceName": "node-dns",
            "ipv4": "127.0.0.1",
            "port": 53,
        }


def test_a_batch_that_is_not_full_is_posted_after_a_while():
    async def talk(zipkin: Zipkin) -> None:
        sink = opened(zipkin.address, zipkin_max_batch_seconds=0.01)
        for span in spans(1):
            sink.put(span)
        await asyncio.to_thread(zipkin.wait_for, 1)

    with Zipkin() as zipkin:
        asyncio.run(talk(zipkin))


def test_a_large_batch_comes_whole_and_in_order():
    async def talk(zipkin: Zipkin) -> None:
        sink = opened(zipkin.address, zipkin_max_batch_size=999)
        for span in spans(999):
            sink.put(span)
        await asyncio.to_thread(zipkin.wait_for, 999)

    with Zipkin() as zipkin:
        asyncio.run(talk(zipkin))
        assert names(zipkin.spans) == [f"span {number}" for number in range(999)]


def test_closing_sends_what_is_left():
    async def talk(zipkin: Zipkin) -> None:
        sink = opened(zipkin.address, zipkin_max_batch_seconds=A_LONG_TIME)
        first, late = spans(2)
        sink.put(first)
        sink.close()
        sink.put(late)
        await asyncio.to_thread(zipkin.wait_for, 1)

    with Zipkin() as zipkin:
        asyncio.run(talk(zipkin))
        assert names(zipkin.spans) == ["span 0"]


def test_without_a_collector_the_oldest_spans_go_and_it_is_told_once(caplog):
    port = free_port()

    async def talk() -> None:
        sink = opened(f"127.0.0.1:{port}", zipkin_max_backlog_size=3, zipkin_max_batch_seconds=0.02)
        first, *more = spans(7)
        sink.put(first)
        await until(lambda: "failed to send the request" in caplog.text)
        for span in more:
            sink.put(span)
        await asyncio.sleep(0.1)  # time for many more attempts
        with Zipkin(port=port) as zipkin:
            await asyncio.to_thread(zipkin.wait_for, 3)
            assert names(zipkin.spans) == ["span 4", "span 5", "span 6"]
        assert sink.dropped == 4

    asyncio.run(talk())
    assert caplog.text.count("failed to send the request") == 1
    assert caplog.text.count("backlog too long, disposing spans") == 1


def test_a_collector_that_says_no_is_not_asked_for_the_same_again(caplog):
    async def talk(zipkin: Zipkin) -> None:
        sink = opened(zipkin.address, zipkin_max_batch_size=1, zipkin_max_batch_seconds=0.01)
        for span in spans(3):
            sink.put(span)
            await until(lambda wanted=span.name: wanted in names(zipkin.spans))
        await until(lambda: len(caplog.records) == 1)

    with Zipkin(503, 404) as zipkin:
        asyncio.run(talk(zipkin))
        assert names(zipkin.spans) == ["span 0", "span 1", "span 2"]
    assert "failed the request with status code 503" in caplog.text


@pytest.mark.parametrize(
    "octets", [b"", b"\0\1\2\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 " + b"2" * 100_000]
)
def test_what_is_no_response_costs_nothing_but_a_line(octets, caplog):
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(octets)
        writer.close()

    async def talk() -> None:
        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        sink = opened(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", zipkin_max_batch_size=1)
        for span in spans(1):
            sink.put(span)
        await until(lambda: "failed to send the request" in caplog.text)
        sink.close()
        server.close()

    asyncio.run(talk())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_collector_that_never_says_a_word_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr("nodecache.server.directives.trace.sink.POST_SECONDS", 0.05)

    async def talk(address: str) -> None:
        sink = opened(address, zipkin_max_batch_size=1)
        for span in spans(1):
            sink.put(span)
        await until(lambda: "failed to send the request: timeout" in caplog.text)
        sink.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(talk(f"127.0.0.1:{silent.getsockname()[1]}"))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a", "Host: a\r\n"),
        ("https://a/b?c=d", "POST /b?c=d HTTP/1.1\r\nHost: a\r\n"),
        ("http://me:secret@[::1]:9411/", "Host: [::1]:9411\r\n"),
    ],
)
def test_requests_are_for_the_collector_that_is_named(url, host):
    assert host in Collector(url)._head


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (None, {"serviceName": "dns"}),
        (("10.0.0.1", 53), {"serviceName": "dns", "ipv4": "10.0.0.1", "port": 53}),
        (("fd00::1", 1053), {"serviceName": "dns", "ipv6": "fd00::1", "port": 1053}),
    ],
)
def test_who_we_are_is_told_as_far_as_it_is_known(address, told):
    assert local_endpoint("DNS", address) == told
