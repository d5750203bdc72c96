"""A connection by itself, its loop turned by hand; the rest is in tests/system/test_agent_streams.py."""

import asyncio
import socket

from nodecache.server.tcp import BACKLOG, TcpLimits, TcpListener
from nodecache.server.tcp_connection import TcpConnection
from nodecache.wire import FrameBuffer, framed


class Loop:
    """WorkQueue when told to."""

    def __init__(self) -> None:
        self.soon = []
        self.later = None

    def call_soon(self, callback) -> None:
        self.soon.append(callback)

    def call_later(self, seconds, callback) -> "Loop":
        self.later = callback
        return self

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()


class Wire:
    """The transport: what was written, and whether anything is read."""

    def __init__(self) -> None:
        self.written = b""
        self.is_read = True
        self.is_closed = False
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name):
        return ("192.0.2.1", 53)

    def set_write_buffer_limits(self, high) -> None:
        """Nothing is ever unsent."""

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def replies(self) -> list[bytes]:
        return FrameBuffer().feed(self.written)


class Echo:
    """A handler that answers at once with the query itself."""

    def __init__(self) -> None:
        self.handled = 0

    def handle(self, packet, transport, address, now) -> None:
        self.handled += 1
        transport.send(packet, address)


class Forgetful:
    """A transport for queries that get no reply."""

    def __init__(self, transport: TcpConnection) -> None:
        self._transport = transport

    def send(self, packet, address) -> None:
        self._transport.forget(address)


def connected(limits: TcpLimits | None = None) -> tuple[TcpConnection, Loop, Wire, Echo]:
    listener, loop, echo = listening(limits)
    connection, wire = client_of(listener, loop)
    return connection, loop, wire, echo


def listening(limits: TcpLimits | None = None) -> tuple[TcpListener, Loop, Echo]:
    loop, echo = Loop(), Echo()
    listener = TcpListener(None, echo, limits)
    listener._loop = loop
    return listener, loop, echo


def client_of(listener: TcpListener, loop: Loop) -> tuple[TcpConnection, Wire]:
    connection, wire = TcpConnection(listener, loop), Wire()
    connection.connection_made(wire)
    return connection, wire


def deliver(connection: TcpConnection, data: bytes) -> None:
    """As the loop does: into the buffer, as much at a time as there is room for."""
    while data:
        buffer = connection.get_buffer(-1)
        part, data = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(part)] = part
        connection.buffer_updated(len(part))


QUERIES = [b"query %d" % number for number in range(100)]


def test_a_flood_is_answered_a_few_queries_a_turn_in_its_order():
    connection, loop, wire, echo = connected()
    deliver(connection, b"".join(map(framed, QUERIES)))
    assert echo.handled < 50
    assert not wire.is_read
    while loop.soon:
        before = echo.handled
        loop.turn()
        assert echo.handled - before < 50
    assert wire.replies() == QUERIES
    assert wire.is_read


def test_a_flood_that_gets_no_replies_is_read_a_few_frames_a_turn_too():
    connection, loop, wire, echo = connected()
    echo.handle = lambda packet, transport, address, now: Echo.handle(
        echo, packet, Forgetful(transport), address, now
    )
    deliver(connection, framed(b"") * 2000)
    while loop.soon:
        before = echo.handled
        loop.turn()
        assert echo.handled - before < 50
    assert echo.handled == 2000
    assert wire.is_read


def test_many_that_flood_take_no_more_of_a_turn_together_than_a_few():
    listener, loop, echo = listening()
    clients = [client_of(listener, loop) for _ in range(100)]
    for connection, _ in clients:
        deliver(connection, b"".join(map(framed, QUERIES)))
    while loop.soon:
        before = echo.handled
        loop.turn()
        assert echo.handled - before < 50
    assert all(wire.replies() == QUERIES for _, wire in clients)


def test_one_that_asks_a_little_does_not_wait_for_those_who_flood():
    listener, loop, _ = listening()
    for _ in range(100):
        deliver(client_of(listener, loop)[0], b"".join(map(framed, QUERIES)))
    connection, wire = client_of(listener, loop)
    deliver(connection, framed(b"mine"))
    loop.turn()
    assert wire.replies() == [b"mine"]


def test_those_who_hold_most_go_where_all_hold_too_much():
    listener, loop, _ = listening(TcpLimits(held_octets=100_000))
    sizes = (10_000, 60_000, 20_000, 30_000)
    clients = [client_of(listener, loop) for _ in sizes]
    for (connection, wire), size in zip(clients, sizes, strict=True):
        wire.unsent = size
        deliver(connection, framed(b"query"))
        loop.turn()
    assert [wire.is_closed for _, wire in clients] == [False, True, False, False]


def test_replies_that_come_all_at_once_are_not_held_beyond_the_bound():
    """Equal questions have one answer: 4,096 with 64 KiB each were 268 MB until the loop's next turn."""
    listener, loop, _ = listening(TcpLimits(held_octets=1_000_000))
    asked: list[TcpConnection] = []
    listener.handler.handle = lambda packet, transport, address, now: asked.append(transport)
    clients = [client_of(listener, loop) for _ in range(10)]
    for connection, _ in clients:
        deliver(connection, framed(b"query") * 50)
    while loop.soon:
        loop.turn()
    assert len(asked) == 500
    most = 0
    (modest, its_wire), *_ = clients
    for connection in asked:
        connection.send(b"reply" if connection is modest else bytes(50_000), None)
        most = max(most, sum(len(reply) for each, _ in clients for reply in each._unsent))
    assert most < 2_000_000
    while loop.soon:
        loop.turn()
    assert [wire.is_closed for _, wire in clients] == [False] + [True] * 9
    assert its_wire.replies() == [b"reply"] * 50
    assert [connection.waiting for connection, _ in clients] == [0] * 10


def test_one_connection_too_many_is_told_and_closes_the_one_idle_for_longest(caplog):
    """Clients lost their connections with nothing in the log, where few files may be open."""
    listener, loop, _ = listening(TcpLimits(connections=2))
    clients = [client_of(listener, loop) for _ in range(3)]
    assert [wire.is_closed for _, wire in clients] == [True, False, False]
    assert "clients have 2 TCP connections to an address, as many as may be" in caplog.text


def test_what_was_sent_meanwhile_is_held_by_nobody():
    listener, loop, _ = listening(TcpLimits(held_octets=100_000))
    for _ in range(10):
        connection, wire = client_of(listener, loop)
        wire.unsent = 60_000
        deliver(connection, framed(b"query"))
        loop.turn()
        assert not wire.is_closed
        wire.unsent = 0


def test_a_client_that_asked_as_much_as_it_may_is_not_kept_by_what_it_sends_then():
    limits = TcpLimits(queries_in_all=1)
    connection, loop, wire, _ = connected(limits)
    deliver(connection, framed(b"first"))
    deliver(connection, framed(b"second"))
    while loop.soon:
        loop.turn()
    assert wire.replies() == [b"first"]
    assert wire.is_closed


def test_one_who_does_not_read_is_closed_in_time_after_the_listener_was():
    listener, loop, _ = listening(TcpLimits(write_seconds=-1.0))
    connection, wire = client_of(listener, loop)
    deliver(connection, framed(b"query"))
    connection.pause_writing()
    deliver(connection, framed(b"another, which is not taken"))
    listener.close()
    loop.turn()
    assert not wire.is_closed
    loop.later()
    assert wire.is_closed


def test_a_client_that_is_gone_before_it_was_accepted_asks_nothing():
    """It has no address: directives that look at it (`acl`) took that for a fault of ours."""
    listener, loop, echo = listening()
    connection, wire = TcpConnection(listener, loop), Wire()
    wire.get_extra_info = lambda name: None
    connection.connection_made(wire)
    deliver(connection, framed(b"query"))
    connection.connection_lost(None)
    assert wire.is_closed
    assert (echo.handled, len(listener.connections)) == (0, 0)


async def listen_and_ask_for_the_backlog() -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as server:
        listener = TcpListener(server, Echo())
        await listener.start(asyncio.get_running_loop())
        info = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        listener.stop()
        return int.from_bytes(info[28:32], "little")  # tcpi_sacked: of a listener, its backlog


def test_as_many_may_wait_to_be_accepted_as_the_keeper_said():
    assert asyncio.run(listen_and_ask_for_the_backlog()) == BACKLOG


def test_a_client_that_said_all_it_had_gets_the_rest_of_its_answers():
    connection, loop, wire, _ = connected()
    deliver(connection, b"".join(map(framed, QUERIES)))
    connection.eof_received()
    assert not wire.is_closed
    while loop.soon:
        loop.turn()
    assert wire.replies() == QUERIES
    assert wire.is_closed


def test_no_more_are_answered_than_the_limit_of_one_connection():
    connection, loop, wire, _ = connected(TcpLimits(queries_in_all=40))
    deliver(connection, b"".join(map(framed, QUERIES)))
    while loop.soon:
        loop.turn()
    assert wire.replies() == QUERIES[:40]
    assert wire.is_closed
