"""A connection by itself, its loop turned by hand; the rest is in tests/system/test_agent_streams.py."""

from nodecache.server.tcp import TcpConnection, TcpLimits, TcpListener
from nodecache.wire import FrameBuffer, framed


class Loop:
    """Turns when told to."""

    def __init__(self) -> None:
        self.soon = []

    def call_soon(self, callback) -> None:
        self.soon.append(callback)

    def call_later(self, seconds, callback) -> "Loop":
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

    def replies(self) -> list[bytes]:
        return FrameBuffer().feed(self.written)


class Echo:
    """A handler that answers at once with the query itself."""

    def __init__(self) -> None:
        self.handled = 0

    def handle(self, packet, transport, address, now) -> None:
        self.handled += 1
        transport.send(packet, address)


def connected(limits: TcpLimits | None = None) -> tuple[TcpConnection, Loop, Wire, Echo]:
    loop, wire, echo = Loop(), Wire(), Echo()
    listener = TcpListener(None, echo, limits)
    listener._loop = loop
    connection = TcpConnection(listener, loop)
    connection.connection_made(wire)
    return connection, loop, wire, echo


QUERIES = [b"query %d" % number for number in range(100)]


def test_a_flood_is_answered_a_few_queries_a_turn_in_its_order():
    connection, loop, wire, echo = connected()
    connection.data_received(b"".join(map(framed, QUERIES)))
    assert echo.handled < 50
    assert not wire.is_read
    while loop.soon:
        before = echo.handled
        loop.turn()
        assert echo.handled - before < 50
    assert wire.replies() == QUERIES
    assert wire.is_read


def test_a_client_that_said_all_it_had_gets_the_rest_of_its_answers():
    connection, loop, wire, _ = connected()
    connection.data_received(b"".join(map(framed, QUERIES)))
    connection.eof_received()
    assert not wire.is_closed
    while loop.soon:
        loop.turn()
    assert wire.replies() == QUERIES
    assert wire.is_closed


def test_no_more_are_answered_than_the_limit_of_one_connection():
    connection, loop, wire, _ = connected(TcpLimits(queries_in_all=40))
    connection.data_received(b"".join(map(framed, QUERIES)))
    while loop.soon:
        loop.turn()
    assert wire.replies() == QUERIES[:40]
    assert wire.is_closed
