"""Queries to one upstream by UDP, from many ports.

A forger has to guess port and id of a query (RFC 5452 §4.5). A fresh socket for each query would
cost more than the query; so there are a few dozen, one of them drawn for each, and none lives
long.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nodecache.wire import upstream_query

from .attempt import Attempt
from .counts import UpstreamCounts
from .failure import error_text
from .pending import MAX_PENDING, Pending
from .stream import SLOW_SECONDS
from .world import Datagram

if TYPE_CHECKING:
    from .upstream import Upstream

_SOCKETS = 32  # a power of two: an id's low bits draw one
_MOST_USES = 512
_MOST_AGE_SECONDS = 10.0


class DatagramSocket:
    """One socket on a random port, and the queries that left from it."""

    __slots__ = ("_pool", "born_at", "datagram", "is_spent", "pending", "uses")

    def __init__(self, pool: "DatagramPool", now: float) -> None:
        self._pool = pool
        self.pending: Pending[Attempt] = Pending(pool.random_id)
        self.born_at = now
        self.uses = 0
        self.is_spent = False
        upstream = pool.upstream
        self.datagram: Datagram = upstream.world.open_datagram(
            upstream.endpoint, self, upstream.settings.source_address
        )

    @property
    def path(self) -> str:
        """Both ends, as Go writes them."""
        return f"{self.datagram.local}->{self._pool.upstream.to}"

    def received(self, packet: bytes, now: float) -> None:
        """Hand an answer to its ask."""
        attempt = self.pending.match(packet)
        if attempt is None:
            self._pool.counts.unmatched += 1
        else:
            attempt.ask.answered(attempt, packet, now)
        if self.is_spent and not self.pending:
            self._pool.close_one(self)

    def refused(self, error: OSError, now: float) -> None:
        """Nobody listens there: none of what is pending will be answered."""
        self._pool.refused(self, error, now)


class DatagramPool:
    """The sockets to one upstream."""

    def __init__(self, upstream: "Upstream", random_id: Callable[[], int]) -> None:
        self.upstream = upstream
        self.counts: UpstreamCounts = upstream.counts
        self.random_id = random_id
        self._sockets: list[DatagramSocket | None] = [None] * _SOCKETS
        self._spent: list[DatagramSocket] = []

    def send(self, attempt: Attempt, now: float) -> None:
        """Send from one of the sockets."""
        place = self.random_id() % _SOCKETS
        socket = self._sockets[place]
        if socket is None or socket.uses >= _MOST_USES:
            try:
                socket = self._replace(place, now)
            except OSError as error:
                self._no_way(attempt, error, now)
                return
        socket.uses += 1
        self.counts.sent["udp"] += 1
        self.upstream.watch()
        attempt.carrier = socket
        message_id = socket.pending.add(attempt)
        fault = socket.datagram.send(upstream_query(attempt.ask.query, message_id))
        if fault is not None:
            self.upstream.world.call_soon(partial(self.refused, socket, fault, now))

    def _no_way(self, attempt: Attempt, error: OSError, now: float) -> None:
        reason = f"dial udp {self.upstream.to}: {error_text(error)}"
        self.upstream.unreachable(now)
        self.upstream.world.call_soon(
            partial(attempt.ask.attempt_failed, attempt, reason, now, is_connect=True)
        )

    def _replace(self, place: int, now: float) -> DatagramSocket:
        old = self._sockets[place]
        fresh = self._sockets[place] = DatagramSocket(self, now)
        self.counts.conn_misses["udp"] += 1
        if old is not None:
            self._spend(old)
        return fresh

    def _spend(self, socket: DatagramSocket) -> None:
        """Send nothing more from `socket`; it stays for the answers it is owed."""
        socket.is_spent = True
        if socket.pending:
            self._spent.append(socket)
        else:
            socket.datagram.close()

    def close_one(self, socket: DatagramSocket) -> None:
        """Close a spent socket that is owed nothing."""
        self._spent.remove(socket)
        socket.datagram.close()

    def refused(self, socket: DatagramSocket, error: OSError, now: float) -> None:
        """What left from `socket` will not be answered."""
        reason = f"read udp {socket.path}: read: {error_text(error)}"
        self.upstream.unreachable(now)
        for attempt in socket.pending.clear():
            attempt.ask.attempt_failed(attempt, reason, now)

    @property
    def in_flight(self) -> int:
        """Queries that are owed an answer."""
        return sum(len(s.pending) for s in [*self._sockets, *self._spent] if s is not None)

    def tick(self, now: float) -> bool:
        """Tell asks of slow queries, give up lost ones; False: nothing is under way."""
        upstream = self.upstream
        lost_since = now - upstream.pace.lost_seconds
        give_up = now - upstream.settings.read_timeout_seconds
        is_busy = False
        for socket in [*self._sockets, *self._spent]:
            if socket is None or (oldest := socket.pending.oldest()) is None:
                continue
            if oldest.sent_at < lost_since:
                upstream.fell_silent(oldest.sent_at, now)
            for attempt in socket.pending.slowed(now - SLOW_SECONDS):
                attempt.ask.slowed(attempt, now)
            for attempt in socket.pending.drop(give_up):
                reason = f"read udp {socket.path}: i/o timeout"
                attempt.ask.attempt_failed(attempt, reason, now)
            if socket.is_spent and not socket.pending:
                self.close_one(socket)
            is_busy |= bool(socket.pending)
        return is_busy

    def housekeep(self, now: float) -> bool:
        """Give up old ports; False: none is open."""
        for place, socket in enumerate(self._sockets):
            if socket is not None and now - socket.born_at > _MOST_AGE_SECONDS:
                self._sockets[place] = None
                self._spend(socket)
        return any(self._sockets) or bool(self._spent)

    def close(self) -> list[Attempt]:
        """Close everything; what was owed."""
        owed = []
        for socket in [*self._sockets, *self._spent]:
            if socket is not None:
                owed += socket.pending.clear()
                socket.datagram.close()
        self._sockets = [None] * _SOCKETS
        self._spent.clear()
        return owed


assert _MOST_USES < MAX_PENDING  # a socket never runs out of ids
