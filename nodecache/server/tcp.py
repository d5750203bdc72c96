"""Queries by TCP (RFC 7766): many at once on a connection, answered as they are ready.

A client costs a bounded amount: connections in all, queries waiting and octets unsent on each. A
client that does not read is not read from either. One that closed its half still gets its answers.
"""

import asyncio
import logging
import socket
from collections import OrderedDict
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

from nodecache.wire import FrameBuffer, framed

from .handler import Handler

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLimits:
    """What clients may hold. Seconds as CoreDNS's `timeouts`: first read 3, idle 10, write 5."""

    connections: int = 4096
    queries: int = 256
    """Waiting at once on one connection."""
    queries_in_all: int = 0
    """On one connection, after which it is closed; 0 is no limit."""
    unsent_octets: int = 262_144
    read_seconds: float = 3.0
    idle_seconds: float = 10.0
    write_seconds: float = 5.0


class TcpListener:
    """One listening TCP socket and the connections taken from it; `socket` stays the keeper's."""

    def __init__(
        self, tcp_socket: socket.socket, handler: Handler, limits: TcpLimits | None = None
    ) -> None:
        self.socket = tcp_socket
        self.handler = handler
        self.limits = limits or TcpLimits()
        self.refused = 0
        # In the order of their last sign of life: the first is the next to be too idle.
        self.connections: OrderedDict[TcpConnection, None] = OrderedDict()
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to accept. The listening socket is duplicated, so that closing leaves it open."""
        duplicate = self.socket.dup()
        duplicate.setblocking(False)
        self._server = await loop.create_server(
            lambda: TcpConnection(self, loop), sock=duplicate, start_serving=True
        )
        self._loop = loop

    def stop(self) -> None:
        """Accept no more; connections live on until `close`."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """End all connections once what they wait for is sent."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self.connections):
            connection.finish()

    def opened(self, connection: "TcpConnection") -> bool:
        """Take a new connection in; when there are too many, the one idle for longest goes."""
        self.connections[connection] = None
        if len(self.connections) > self.limits.connections:
            self.refused += 1
            next(iter(self.connections)).abort()
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._close_overdue)
        return True

    def _close_overdue(self) -> None:
        """One timer for all connections: close those past their time."""
        self._sweep = None
        now = monotonic()
        for connection in [each for each in self.connections if each.is_overdue(now)]:
            connection.abort()
        if self.connections:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._close_overdue)


_SWEEP_SECONDS = 0.5
_MOST_A_TURN = 32


class TcpConnection(asyncio.Protocol):
    """One client's connection; a Transport for its queries."""

    name = "tcp"

    def __init__(self, listener: TcpListener, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting = 0
        self.local: tuple[str, int] = ("", 0)
        self._listener = listener
        self._limits = listener.limits
        self._taken = 0
        self._loop = loop
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._peer: tuple[Any, ...] = ("", 0)
        self._unsent: list[bytes] = []
        self._backlog: list[bytes] = []
        self._has_ended = False
        self._is_writable = True
        self._active_at = monotonic()
        self._began_at = self._active_at  # of the message that is not whole yet
        self._is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = transport = cast("asyncio.Transport", transport)
        self._peer = transport.get_extra_info("peername") or self._peer
        self.local = (transport.get_extra_info("sockname") or self.local)[:2]
        transport.set_write_buffer_limits(high=self._limits.unsent_octets)
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        """Some octets of the stream; whole messages among them are queries."""
        now = monotonic()
        had_part = len(self._frames) > 0
        packets = self._frames.feed(data)
        if packets:
            self._active_at = now
            self._is_first = False
            self._listener.connections.move_to_end(self)
        if packets or not had_part:
            self._began_at = now
        self._backlog += packets
        self._take_backlog(now)

    def _take_backlog(self, now: float) -> None:
        """Hand queries on, as many as may wait; the others stay, and nothing more is read.

        Only so many in a turn of the loop: other clients want theirs, and replies take memory.
        """
        backlog, self._backlog = self._backlog, []
        for index, packet in enumerate(backlog):
            if index == _MOST_A_TURN:
                self._backlog = backlog[index:]
                if not self._unsent:  # else that is under way
                    self._loop.call_soon(self._flush)
                break
            if self.waiting >= self._limits.queries or not self._is_writable:
                self._backlog = backlog[index:]
                break
            if self._taken == self._limits.queries_in_all > 0:
                self._has_ended = True
                break
            self._taken += 1
            self.waiting += 1
            self._listener.handler.handle(packet, self, self._peer, now)
        self._read_or_not()

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._backlog:
            transport.pause_reading()
        elif self._has_ended:
            self._close_if_done()
        else:
            transport.resume_reading()

    def send(self, reply: bytes | bytearray, address: Any) -> None:  # noqa: ARG002 - one client
        """Queue a reply; all of a loop turn's leave in one write."""
        self.waiting -= 1
        self._active_at = monotonic()
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(framed(reply))

    def forget(self, address: Any) -> None:  # noqa: ARG002 - one client
        """This query gets no reply; those behind it do, as from CoreDNS."""
        self.waiting -= 1
        self._loop.call_soon(self._flush)

    def note(self, packet: bytes, address: Any, now: float) -> int:  # noqa: ARG002
        """A connection ends with its process, and its client knows: nothing to note."""
        return -1

    def unnote(self, slot: int) -> None:
        """Nothing was noted."""

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is None or self._transport.is_closing():
            return
        if unsent:
            self._transport.write(b"".join(unsent))
        if self._backlog:
            self._take_backlog(monotonic())
        self._close_if_done()

    def pause_writing(self) -> None:
        """The client does not read: take no more of its queries."""
        self._is_writable = False
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_writable = True
        self._take_backlog(monotonic())

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
        if self._transport is not None:
            self._transport.abort()

    def _close_if_done(self) -> None:
        done = self._has_ended and not self.waiting and not self._unsent and not self._backlog
        if done and self._transport is not None:
            self._transport.close()

    def is_overdue(self, now: float) -> bool:
        """Whether the client had its time: to send its first query, the rest of one, or any."""
        limits = self._limits
        if not self._is_writable:
            return now - self._active_at > limits.write_seconds
        if self._is_first or len(self._frames):
            return now - self._began_at > limits.read_seconds
        return not self.waiting and now - self._active_at > limits.idle_seconds

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection is gone; answers under way find nobody."""
        self._transport = None
        self._listener.connections.pop(self, None)
