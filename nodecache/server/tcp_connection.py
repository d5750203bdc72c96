"""One client's connection: queries in, replies out as they are ready.

A client that does not read its replies is not read from. One that closed its sending half still gets
its answers.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol, cast

from nodecache.wire import FrameBuffer, framed

from .client_query import Transport
from .replies import CachedReply


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLimits:
    """What clients may hold. Seconds as CoreDNS's `timeouts`: first read 3, idle 10, write 5."""

    connections: int = 4096
    queries: int = 256
    """Waiting at once on one connection."""
    queries_in_all: int = 0
    """On one connection, after which it is closed; 0 is no limit."""
    unsent_octets: int = 65_536
    """On one connection, beyond what the kernel holds; none of its queries are taken until less."""
    held_octets: int = 25_165_824
    """On all connections: queries that are not taken yet, and replies unsent. What holds them comes on top."""
    read_seconds: float = 3.0
    idle_seconds: float = 10.0
    write_seconds: float = 5.0


class PacketHandler(Protocol):
    """What takes a client's queries: `handler.Handler`."""

    def handle(
        self, packet: bytes, transport: Transport, address: Any, now: float
    ) -> CachedReply | None:
        """Answer `packet`, now or later."""


class ConnectionOwner(Protocol):
    """The listener that accepted a connection."""

    handler: PacketHandler
    limits: TcpLimits
    buffer: memoryview
    """What was read last from any connection, until it is taken: in the same turn."""

    def opened(self, connection: "TcpConnection") -> None:
        """A connection was accepted."""

    def heard(self, connection: "TcpConnection") -> None:
        """A connection was active."""

    def lost(self, connection: "TcpConnection") -> None:
        """A connection has ended."""

    def serve(self, connection: "TcpConnection", now: float) -> None:
        """Take some of its queries."""

    def weigh(self, connection: "TcpConnection", octets: int) -> None:
        """Note what it holds now."""


class TcpConnection(asyncio.BufferedProtocol):
    """One client's connection; a Transport for its queries.

    `is_in_line` and `held` are the listener's: whether it waits for its turn, and the octets it
    was found to hold.
    """

    name = "tcp"

    def __init__(self, listener: ConnectionOwner, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting = 0
        self.local: tuple[str, int] = ("", 0)
        self.is_in_line = False
        self.held = 0
        self._listener = listener
        self._limits = listener.limits
        self._taken = 0
        self._loop = loop
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._peer: tuple[Any, ...] = ("", 0)
        self._unsent: list[bytes] = []
        self._unsent_octets = 0
        self._is_flush_due = False
        self._has_ended = False
        self._is_read = True
        self._is_writable = True
        self._active_at = monotonic()
        self._began_at = self._active_at  # of the message that is not whole yet
        self._is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if peer is None:
            # It was reset before it was accepted: what it asked would be read, and nobody hears a reply.
            transport.abort()
            return
        self._transport = transport
        self._peer = peer
        self.local = (transport.get_extra_info("sockname") or self.local)[:2]
        transport.set_write_buffer_limits(high=self._limits.unsent_octets)
        self._listener.opened(self)

    # Queries

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - so much and no more
        """The buffer that the loop reads into, before `buffer_updated`."""
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Octets came: the whole messages among them are queries."""
        if self._has_asked_all or self._transport is None:
            return
        now = monotonic()
        if not len(self._frames):
            self._began_at = now
        self._frames.add(bytes(self._listener.buffer[:nbytes]))
        if self._frames.has_message:
            self._active_at = now
            self._is_first = False
            self._listener.heard(self)
            self._listener.serve(self, now)
        self._read_or_not()
        self._weigh()

    @property
    def is_hungry(self) -> bool:
        """Whether it has a query that may be taken."""
        return self._room() > 0 and self._frames.has_message

    def _room(self) -> int:
        """How many more queries it may have taken."""
        if self._transport is None or not self._is_writable:
            return 0
        room = self._limits.queries - self.waiting
        if self._limits.queries_in_all:
            room = min(room, self._limits.queries_in_all - self._taken)
        return room

    @property
    def _has_asked_all(self) -> bool:
        """Whether it has sent as many queries as one connection may."""
        return self._taken == self._limits.queries_in_all > 0

    def take(self, max_count: int, now: float) -> int:
        """Pass up to `max_count` queries to the handler; how many there were."""
        packets = self._frames.feed(b"", min(max_count, self._room()))
        self._taken += len(packets)
        self.waiting += len(packets)
        handle, peer = self._listener.handler.handle, self._peer
        for packet in packets:
            handle(packet, self, peer, now)
        if packets:
            self._began_at = now
        if self._has_asked_all:
            self._has_ended = True
            self._frames = FrameBuffer()
        self._read_or_not()
        return len(packets)

    def _read_or_not(self) -> None:
        """Resume or pause reading: all queries must be taken, and the client must read its replies."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        is_read = self._is_writable and not self._frames.has_message
        if is_read != self._is_read:
            self._is_read = is_read
            if is_read:
                transport.resume_reading()
            else:
                transport.pause_reading()

    # Replies

    def send(self, reply: bytes, address: Any) -> None:
        """Queue a reply; all of a loop turn's leave in one write."""
        self._active_at = monotonic()
        self._unsent.append(framed(reply))
        self._unsent_octets += len(reply)
        if self._unsent_octets > self._limits.unsent_octets:  # many may be answered in one turn
            self._weigh()
        self.forget(address)

    def forget(self, address: Any) -> None:  # noqa: ARG002 - one client
        """One query gets no reply; those behind it still get theirs."""
        self.waiting -= 1
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def note(self, packet: bytes, address: Any, now: float) -> int:  # noqa: ARG002
        """Nothing is noted: the connection ends with the process, and the client sees that."""
        return -1

    def unnote(self, slot: int) -> None:
        """Nothing was noted."""

    def _flush(self) -> None:
        self._is_flush_due = False
        unsent = self._take_unsent()
        if self._transport is None or self._transport.is_closing():
            return
        if unsent:
            self._transport.write(b"".join(unsent))
            self._weigh()
        if self._frames.has_message:
            self._listener.serve(self, monotonic())
        self._close_if_done()

    def _take_unsent(self) -> list[bytes]:
        unsent, self._unsent = self._unsent, []
        self._unsent_octets = 0
        return unsent

    def pause_writing(self) -> None:
        """The client does not read: take no more of its queries."""
        self._is_writable = False
        self._read_or_not()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_writable = True
        self._listener.serve(self, monotonic())
        self._read_or_not()

    def octets(self) -> int:
        """Octets held: queries not taken yet, and replies not sent yet."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return 0
        return len(self._frames) + self._unsent_octets + transport.get_write_buffer_size()

    def _weigh(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            self._take_unsent()  # nobody will read it
        else:
            self._listener.weigh(self, self.octets())

    # Ending

    def eof_received(self) -> bool:
        """The client sent all it had; its answers still go out (RFC 7766 §6.2.4)."""
        self._has_ended = True
        self._close_if_done()
        return True

    def finish(self) -> None:
        """Close once everything that waits is answered."""
        self._has_ended = True
        self._close_if_done()

    def abort(self) -> None:
        """Close at once."""
        self._take_unsent()
        if self._transport is not None:
            self._transport.abort()

    def _close_if_done(self) -> None:
        is_busy = self.waiting or self._unsent or self._frames.has_message
        if self._has_ended and not is_busy and self._transport is not None:
            self._transport.close()

    def is_overdue(self, now: float) -> bool:
        """Whether the client was too slow: with its first query, the rest of one, or the next one."""
        limits = self._limits
        if not self._is_writable:
            return now - self._active_at > limits.write_seconds
        if self._frames.has_message:
            return False  # it waits for us
        if self._is_first or len(self._frames):
            return now - self._began_at > limits.read_seconds
        return not self.waiting and now - self._active_at > limits.idle_seconds

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection has ended; answers in flight are dropped."""
        self._transport = None
        self._listener.lost(self)
