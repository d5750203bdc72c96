"""Queries to one upstream by UDP, from many ports.

A forger has to guess port and id of a query (RFC 5452 §4.5). A new socket for each query would cost
more than the query; so there are a few dozen, one is drawn at random for each query, and each is
replaced soon.

Behind a Service address each port leads to one pod for as long as it is in use. So a port gets one
query first; a port that stays silent is given up with its queries, while the others go on.
"""

import errno
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from nodecache.forward.counts import UpstreamCounts
from nodecache.forward.failure import error_text
from nodecache.forward.outgoing import OutgoingQuery, failing, rerouted, slowed
from nodecache.forward.peer import Peer
from nodecache.forward.runtime import Datagram

from .pending import MAX_PENDING, Pending
from .unmatched import note_unmatched

_SOCKETS: Final = 32
_MAX_USES: Final = 512
_MAX_AGE_SECONDS: Final = 10.0
_LENGTH_SIZE: Final = 2  # what a datagram does not have before its message
_AGEING_AT_ONCE: Final = 4  # each second: all of them within one such age
# After a port turned out to lead nowhere, the good ones do for this long without new ones.
_WARY_SECONDS: Final = 2.0

# A port is suspected when it is silent while others are heard, for longer than nearly all answers
# take; and never before this.
_PATIENCE_SECONDS: Final = 0.06
_PATIENCE_FACTOR: Final = 1.5

assert _MAX_USES < MAX_PENDING, "a socket never runs out of ids"


class SocketOwner(Protocol):
    """Owns sockets, and is called when something happens to one."""

    upstream: Peer
    counts: UpstreamCounts
    random_id: Callable[[], int]

    def close_one(self, socket: "DatagramSocket") -> None:
        """It is retired, and nothing is in flight on it."""

    def refused(self, socket: "DatagramSocket", error: OSError, now: float) -> None:
        """The network reported that the port is closed."""


class DatagramSocket:
    """One socket on a random port, and the queries that left from it.

    `is_proven`: it brought the latest answer it had to. `is_suspect`: it owes one for too long.
    It is neither before its first answer. `path` is both ends, as of a connection.
    """

    __slots__ = (
        "_pool",
        "born_at",
        "datagram",
        "heard_at",
        "is_proven",
        "is_spent",
        "is_suspect",
        "path",
        "pending",
        "uses",
    )

    def __init__(self, pool: SocketOwner, now: float) -> None:
        self._pool = pool
        self.pending = Pending(pool.random_id)
        self.born_at = now
        self.heard_at = 0.0
        self.uses = 0
        self.is_proven = False
        self.is_suspect = False
        self.is_spent = False
        upstream = pool.upstream
        self.datagram: Datagram = upstream.runtime.open_datagram(
            upstream.endpoint, self, upstream.settings.source_address
        )
        self.path = f"{self.datagram.local}->{upstream.to}"

    def received(self, packet: bytes, now: float) -> None:
        """Give an answer to its query."""
        attempt = self.pending.match(packet)
        if attempt is None:
            note_unmatched(self._pool.counts, packet)
        else:
            self.heard_at = now
            self.is_proven = True
            self.is_suspect = False
            attempt.answered(packet, now)
        if self.is_spent and self.pending.is_settled:
            self._pool.close_one(self)

    def refused(self, error: OSError, now: float) -> None:
        """The port is closed: no pending query will be answered."""
        self._pool.refused(self, error, now)


class DatagramPool:
    """The sockets to one upstream. Retired ones send nothing, and stay open for their pending queries."""

    def __init__(self, upstream: Peer, random_id: Callable[[], int]) -> None:
        self.upstream = upstream
        self.counts: UpstreamCounts = upstream.counts
        self.random_id = random_id
        self._sockets: list[DatagramSocket] = []
        self._spent: list[DatagramSocket] = []
        self._wary_until = 0.0
        self._is_short = False

    # Sending

    def send(self, attempt: OutgoingQuery, now: float) -> None:
        """Send from one of the sockets."""
        sockets = self._sockets
        if len(sockets) == _SOCKETS:
            socket = sockets[self.random_id() % _SOCKETS]
            if socket.is_proven and socket.uses < _MAX_USES:
                self._send_from(socket, attempt)
                return
        try:
            socket = self._next_socket(now)
        except OSError as error:
            self._fail_unreachable(attempt, error, now)
            return
        self._send_from(socket, attempt)

    def _send_from(self, socket: DatagramSocket, attempt: OutgoingQuery) -> None:
        socket.uses += 1
        self.counts.sent["udp"] += 1
        self.upstream.watch()
        attempt.carrier = socket
        message_id = socket.pending.add(attempt)
        fault = socket.datagram.send(attempt.framed(message_id)[_LENGTH_SIZE:])
        if fault is not None:
            runtime = self.upstream.runtime
            runtime.call_soon(partial(self.refused, socket, fault, runtime.clock()))

    def _next_socket(self, now: float) -> DatagramSocket:
        """One on a new port, or else one that there is. OSError where there is none, or all are full."""
        if self._may_open(now):
            try:
                return self._open_socket(now)
            except OSError:
                if not self._sockets:
                    raise
                # Ports or descriptors are short: to look for one in vain takes milliseconds.
                self._is_short, self._wary_until = True, now + _WARY_SECONDS
        return self._fallback_socket()

    def _may_open(self, now: float) -> bool:
        """Whether to open a new port; not while new ones bring no answers."""
        sockets = self._sockets
        if not sockets:
            return True
        if now < self._wary_until:
            return False
        return len(sockets) < _SOCKETS or any(s.uses >= _MAX_USES for s in sockets)

    def _open_socket(self, now: float) -> DatagramSocket:
        """A socket on a new port, in place of one that was used long enough."""
        fresh = DatagramSocket(self, now)
        self._is_short = False
        self.counts.conn_misses["udp"] += 1
        if len(self._sockets) == _SOCKETS:
            self._retire(max(self._sockets, key=lambda socket: socket.uses))
        self._sockets.append(fresh)
        return fresh

    def _fallback_socket(self) -> DatagramSocket:
        """A socket that has brought an answer, else any. OSError where all are full."""
        proven = [socket for socket in self._sockets if socket.is_proven]
        drawn = [s for s in proven or self._sockets if len(s.pending) < MAX_PENDING]
        if not drawn:
            raise OSError(errno.ENOBUFS, "too many queries wait for an answer")
        return drawn[self.random_id() % len(drawn)]

    def _fail_unreachable(self, attempt: OutgoingQuery, error: OSError, now: float) -> None:
        reason = f"dial udp {self.upstream.to}: {error_text(error)}"
        self.upstream.unreachable(now)
        self.upstream.runtime.call_soon(partial(attempt.failed, reason, now, is_connect=True))

    # Losing

    def _retire(self, socket: DatagramSocket) -> None:
        """Send nothing more from `socket`; it stays open for its pending queries."""
        self._sockets.remove(socket)
        socket.is_spent = True
        if socket.pending.is_settled:
            socket.datagram.close()
        else:
            self._spent.append(socket)

    def close_one(self, socket: DatagramSocket) -> None:
        """Close a socket with nothing in flight; one that is closed already is passed over."""
        for sockets in (self._sockets, self._spent):
            if socket in sockets:
                sockets.remove(socket)
                socket.datagram.close()

    def refused(self, socket: DatagramSocket, error: OSError, now: float) -> None:
        """Queries sent from `socket` will not be answered, and its port leads nowhere."""
        reason = f"read udp {socket.path}: read: {error_text(error)}"
        lost = socket.pending.clear()
        socket.is_spent = True
        self.close_one(socket)
        self._wary_until = now + _WARY_SECONDS
        self.upstream.unreachable(now)
        self.upstream.work_queue.submit(lost, failing(reason, is_connect=True))

    def _check_silence(self, socket: DatagramSocket, now: float) -> None:
        """Give a socket up that was silent for too long; sooner where other ports brought answers."""
        oldest = socket.pending.oldest()
        if oldest is None or socket.is_suspect:
            return
        upstream = self.upstream
        since = max(oldest.sent_at, socket.heard_at)
        if upstream.heard_at > since:
            patience = max(_PATIENCE_FACTOR * upstream.pace.seconds, _PATIENCE_SECONDS)
        else:
            patience = upstream.pace.silence_seconds
        if now - since > patience:
            socket.is_proven = False
            socket.is_suspect = True
            self._wary_until = now + _WARY_SECONDS
            upstream.fell_silent(oldest.sent_at, now)
            upstream.work_queue.submit(socket.pending.all(), rerouted)

    # Time

    def is_heard(self, since: float) -> bool:
        """Whether a port brought an answer since then."""
        return any(socket.heard_at > since for socket in [*self._sockets, *self._spent])

    @property
    def in_flight(self) -> int:
        """Queries in flight."""
        return sum(len(socket.pending) for socket in [*self._sockets, *self._spent])

    def tick(self, now: float) -> bool:
        """Report slow queries, give up lost ones; False where none is in flight."""
        give_up = now - self.upstream.settings.read_timeout_seconds
        slow_since = now - self.upstream.pace.hedge_seconds
        work_queue = self.upstream.work_queue
        for socket in [*self._sockets, *self._spent]:
            if socket.pending.is_settled:
                continue
            work_queue.submit(socket.pending.slowed(slow_since), slowed)
            lost = socket.pending.drop(give_up)
            socket.pending.forget(now)
            if lost:
                work_queue.submit(lost, failing(f"read udp {socket.path}: i/o timeout"))
            if socket.is_spent and socket.pending.is_settled:
                self.close_one(socket)
            elif lost and socket.is_suspect and not socket.is_spent:
                self._retire(socket)  # its port leads nowhere
            elif not socket.is_spent:
                self._check_silence(socket, now)
        return not all(each.pending.is_settled for each in [*self._sockets, *self._spent])

    def housekeep(self, now: float) -> bool:
        """Replace a few old ports, never all at once, nor while no others are to be had; False where none is open."""
        if now >= self._wary_until and not self._is_short:
            old = [s for s in self._sockets if now - s.born_at > _MAX_AGE_SECONDS]
            for socket in old[:_AGEING_AT_ONCE]:
                self._retire(socket)
        return bool(self._sockets or self._spent)

    @property
    def is_open(self) -> bool:
        """Whether there is any socket."""
        return bool(self._sockets or self._spent)

    def close(self) -> None:
        """Close everything."""
        for socket in [*self._sockets, *self._spent]:
            socket.datagram.close()
        self._sockets.clear()
        self._spent.clear()
