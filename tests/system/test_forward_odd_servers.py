"""The forwarder against servers that misbehave, as real ones were reported to do.

CoreDNS asks one query a connection at a time, so those by TCP are not odd to it.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rrset
import pytest
import uvloop

from nodecache.forward import Endpoint, Failure, TlsSettings, UpstreamSettings
from nodecache.wire import Answer
from tests.helpers.certificates import make_certificates
from tests.system.answering import answered
from tests.system.busy import Lateness
from tests.system.peers import HOST
from tests.system.test_forward_peers import LOOPS, NAME, Asker, addresses, run

pytestmark = pytest.mark.system

Behaviour = Callable[[socket.socket], None]


def octets(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def answer_one(connection: socket.socket) -> None:
    """Read no octet more than one query, and answer it."""
    packet = octets(connection, int.from_bytes(octets(connection, 2), "big"))
    reply = answered(packet)
    connection.sendall(struct.pack("!H", len(reply)) + reply)


def one_then_reset(connection: socket.socket) -> None:
    """What is unread when a socket is closed makes its end a reset."""
    answer_one(connection)


def one_then_end(connection: socket.socket) -> None:
    answer_one(connection)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def some_then_reset(connection: socket.socket) -> None:
    for _ in range(random.randrange(1, 4)):
        answer_one(connection)


def one_then_nothing(connection: socket.socket) -> None:
    answer_one(connection)
    threading.Event().wait(60)


def two_then_nothing(connection: socket.socket) -> None:
    answer_one(connection)
    one_then_nothing(connection)


def first_of_each_segment(connection: socket.socket) -> None:
    while data := connection.recv(4096):
        reply = answered(data[2 : 2 + int.from_bytes(data[:2], "big")])
        connection.sendall(struct.pack("!H", len(reply)) + reply)


def none_of_several(connection: socket.socket) -> None:
    """Reset whoever sends a second query before the first is answered."""
    packet = octets(connection, int.from_bytes(octets(connection, 2), "big"))
    connection.settimeout(0.01)
    with contextlib.suppress(TimeoutError):
        connection.recv(1)
        return
    reply = answered(packet)
    connection.sendall(struct.pack("!H", len(reply)) + reply)


@contextlib.contextmanager
def server(behave: Behaviour) -> Iterator[int]:
    """A server that does `behave` with each connection; its port."""
    listener = socket.create_server((HOST, 0), backlog=256)

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            behave(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


async def ask_round(asker: Asker, name: str, count: int) -> None:
    """Ask for so many names at once, and have them all answered before the deadline.

    Where server and forwarder get no CPU for a while, one that is asked alone is silent too, which is
    learned: then others are sent along with a query, and the server passes them over again and again.
    """
    with Lateness() as lateness:
        outcomes = await asyncio.gather(*(asker.ask(f"{name}-{n}.example.") for n in range(count)))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert lateness.has_stalled or not failures, failures[:3]


@LOOPS
@pytest.mark.parametrize(
    "behave",
    [
        one_then_reset,
        one_then_end,
        some_then_reset,
        one_then_nothing,
        two_then_nothing,
        first_of_each_segment,
        none_of_several,
    ],
)
def test_a_server_that_takes_few_queries_a_connection_answers_all(new_loop, behave):
    async def test(asker: Asker) -> None:
        for turn in range(6):
            await ask_round(asker, f"round{turn}", 15)
            await asyncio.sleep(0.1)

    with server(behave) as port:
        run(new_loop, Endpoint(HOST, port), test, UpstreamSettings(force_tcp=True))


def ends_with_an_alert(connection: ssl.SSLSocket) -> None:
    answer_one(connection)
    connection.unwrap()


@pytest.mark.parametrize("behave", [ends_with_an_alert, one_then_reset, one_then_nothing])
def test_the_same_over_tls(tmp_path, behave):
    async def test(asker: Asker) -> None:
        for turn in range(3):
            await ask_round(asker, f"round{turn}", 10)

    certificates = make_certificates(tmp_path, NAME)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)

    def over_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            behave(secured)

    with server(over_tls) as port:
        tls = TlsSettings(authority_file=str(certificates.authority))
        endpoint = Endpoint(HOST, port, scheme="tls", server_name=NAME)
        run(uvloop.new_event_loop, endpoint, test, UpstreamSettings(tls=tls))


def test_a_server_that_resets_is_known_after_a_few_connections():
    async def test(asker: Asker) -> None:
        with Lateness() as lateness:
            for turn in range(6):
                await ask_round(asker, f"round{turn}", 10)
        # Two connections one after the other teach it, and a few were open meanwhile.
        assert lateness.has_stalled or asker.counts.connections_lost <= 10

    with server(one_then_reset) as port:
        upstream = UpstreamSettings(force_tcp=True)
        run(uvloop.new_event_loop, Endpoint(HOST, port), test, upstream)


def test_a_connection_that_was_reset_while_idle_costs_nobody_anything():
    async def test(asker: Asker) -> None:
        for turn in range(5):
            await ask_round(asker, f"round{turn}", 1)
            await asyncio.sleep(0.02)

    def answer_then_reset(connection: socket.socket) -> None:
        answer_one(connection)
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    with server(answer_then_reset) as port:
        upstream = UpstreamSettings(force_tcp=True)
        run(uvloop.new_event_loop, Endpoint(HOST, port), test, upstream)


ADDRESSES = [f"192.0.2.{number}" for number in range(1, 26)]


def with_addresses(packet: bytes, size: int | None = None, *, is_told: bool = True) -> bytes:
    """All addresses in one message; its first `size` octets, with TC where it says so."""
    response = dns.message.make_response(dns.message.from_wire(packet))
    name = response.question[0].name
    response.answer.append(dns.rrset.from_text_list(name, 30, "IN", "A", ADDRESSES))
    response.flags |= dns.flags.TC if is_told and size is not None else 0
    return response.to_wire()[:size]


@contextlib.contextmanager
def server_of_both(
    by_udp: Callable[[bytes], bytes | None], by_tcp: Behaviour | None
) -> Iterator[int]:
    """A server by UDP and, unless that is None, by TCP on the same port."""
    with contextlib.ExitStack() as running:
        port = running.enter_context(server(by_tcp)) if by_tcp is not None else 0
        datagrams = running.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        datagrams.bind((HOST, port))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    packet, client = datagrams.recvfrom(4096)
                    if not packet:  # shut down
                        return
                    if (reply := by_udp(packet)) is not None:
                        datagrams.sendto(reply, client)

        threading.Thread(target=serve, daemon=True).start()
        yield datagrams.getsockname()[1]
        with contextlib.suppress(
            OSError
        ):  # it wakes the thread, and says that nothing is connected
            datagrams.shutdown(socket.SHUT_RDWR)


def answer_addresses(connection: socket.socket) -> None:
    while True:
        packet = octets(connection, int.from_bytes(octets(connection, 2), "big"))
        reply = with_addresses(packet)
        connection.sendall(struct.pack("!H", len(reply)) + reply)


def take_and_say_nothing(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


@LOOPS
@pytest.mark.parametrize("by_tcp", [None, take_and_say_nothing])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_server_that_has_all_of_it_by_udp_only_is_not_lost(new_loop, by_tcp, transport):
    """Whether TCP is refused, or hangs."""

    async def test(asker: Asker) -> None:
        answer = await asker.ask("big.example.", transport=transport)
        assert isinstance(answer, Answer)
        assert answer.is_truncated
        assert 0 < len(answer.ttl_offsets) <= 25
        assert asker.forwarder.counts.failed == 0

    with server_of_both(lambda packet: with_addresses(packet, 400), by_tcp) as port:
        run(new_loop, Endpoint(HOST, port), test)


@LOOPS
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    "by_udp",
    [
        pytest.param(lambda packet: with_addresses(packet, 400, is_told=False), id="cut"),
        pytest.param(lambda packet: with_addresses(packet, 12), id="bare header"),
        pytest.param(lambda packet: with_addresses(packet, 20), id="cut in the question"),
        pytest.param(lambda packet: None, id="lost"),
    ],
)
def test_what_udp_does_not_bring_whole_is_asked_for_by_tcp(new_loop, by_udp, transport):
    async def test(asker: Asker) -> None:
        for number in range(3):
            answer = await asker.ask(f"big{number}.example.", transport=transport)
            assert addresses(answer) == sorted(ADDRESSES)

    with server_of_both(by_udp, answer_addresses) as port:
        run(new_loop, Endpoint(HOST, port), test, UpstreamSettings(), prefer_udp=True)
