"""The TCP listener (RFC 7766): turns between connections, and bounds on what clients hold.

A client costs a bounded amount, and so do all of them: connections, queries waiting and octets
unsent on each, octets held for all. Queries are taken a few at a time from each connection that
has some, so that nobody waits behind another's thousands.
"""

import asyncio
import logging
import socket
from collections import OrderedDict, deque
from time import monotonic

from .tcp_connection import PacketHandler, TcpConnection, TcpLimits

log = logging.getLogger(__name__)

BACKLOG = 1024  # as many as the keeper's socket lets wait; the kernel caps it at somaxconn

_SWEEP_SECONDS = 0.5
_MAX_PER_TURN = 32  # for all who wait for their turn
_MAX_AT_ONCE = 8  # for one, or where many wait
_READ_OCTETS = 16_384


class TcpListener:
    """One listening TCP socket and the connections taken from it; `socket` stays the keeper's."""

    def __init__(
        self, tcp_socket: socket.socket, handler: PacketHandler, limits: TcpLimits | None = None
    ) -> None:
        self.socket = tcp_socket
        self.handler = handler
        self.limits = limits or TcpLimits()
        # In the order of their last sign of life: the first is the next to be too idle.
        self.connections: OrderedDict[TcpConnection, None] = OrderedDict()
        self.buffer = memoryview(bytearray(_READ_OCTETS))
        """What was read last from any of them, until it is taken: in the same turn."""
        self._in_line: deque[TcpConnection] = deque()
        self._held = 0
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to accept. The listening socket is duplicated, so that closing leaves it open."""
        duplicate = self.socket.dup()
        duplicate.setblocking(False)
        self._loop = loop
        self._server = await loop.create_server(
            lambda: TcpConnection(self, loop), sock=duplicate, backlog=BACKLOG, start_serving=True
        )

    def stop(self) -> None:
        """Accept no more; connections live on until `close`."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """End all connections once what they wait for is sent; those past their time are ended as before."""
        for connection in list(self.connections):
            connection.finish()

    def opened(self, connection: TcpConnection) -> None:
        """Take a new connection in; when there are too many, the one idle for longest goes."""
        self.connections[connection] = None
        if len(self.connections) > self.limits.connections:
            log.warning(
                "clients have %d TCP connections to an address, as many as may be: the one idle for longest is closed",
                self.limits.connections,
            )
            next(iter(self.connections)).abort()
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._close_overdue)

    def heard(self, connection: TcpConnection) -> None:
        """A connection was active."""
        self.connections.move_to_end(connection)

    def lost(self, connection: TcpConnection) -> None:
        """A connection has ended."""
        self.connections.pop(connection, None)
        self._held -= connection.held

    def _close_overdue(self) -> None:
        """One timer for all connections: close those past their time."""
        self._sweep = None
        now = monotonic()
        for connection in [each for each in self.connections if each.is_overdue(now)]:
            connection.abort()
        if self.connections:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._close_overdue)

    # WorkQueue

    def serve(self, connection: TcpConnection, now: float) -> None:
        """Take a few of its queries now, the others in its next turn."""
        if not connection.is_in_line:
            connection.take(_MAX_AT_ONCE, now)
            self._enqueue(connection)

    def _enqueue(self, connection: TcpConnection) -> None:
        if connection.is_hungry:
            connection.is_in_line = True
            if not self._in_line:
                self._loop.call_soon(self._turn)
            self._in_line.append(connection)

    def _turn(self) -> None:
        """Take a few queries of each connection in the queue; more, where the queue is short."""
        now = monotonic()
        line, self._in_line = self._in_line, deque()
        room = _MAX_PER_TURN
        max_count = max(_MAX_AT_ONCE, _MAX_PER_TURN // len(line))
        while line and room > 0:
            connection = line.popleft()
            connection.is_in_line = False
            room -= connection.take(max_count, now)
            self._enqueue(connection)
        if line and not self._in_line:
            self._loop.call_soon(self._turn)
        self._in_line.extendleft(reversed(line))

    # Memory

    def weigh(self, connection: TcpConnection, octets: int) -> None:
        """Note what a connection holds now; where all together hold too much, close the heaviest."""
        self._held += octets - connection.held
        connection.held = octets
        if self._held > self.limits.held_octets:
            self._shed_load()

    def _shed_load(self) -> None:
        """Count again, as much may have been sent meanwhile; then close the heaviest first."""
        connections = list(self.connections)
        for connection in connections:
            connection.held = connection.octets()
        self._held = sum(connection.held for connection in connections)
        connections.sort(key=lambda connection: connection.held)
        excess = self._held - self.limits.held_octets
        while excess > 0 and connections:
            heaviest = connections.pop()
            excess -= heaviest.held
            self._held -= heaviest.held
            heaviest.held = 0
            log.warning(
                "%d octets are held for clients by TCP, as many as may be: the one with most is closed",
                self.limits.held_octets,
            )
            heaviest.abort()
