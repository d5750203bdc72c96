"""The connections to one upstream: which one a query takes, and when there is another.

One connection carries everything while its oldest query is young: so a loop turn's queries leave
in one write. Where the oldest waits (a server that answers in order, one at a time, as CoreDNS
does), the least loaded takes over and one more is opened.
"""

import errno
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from .attempt import Attempt, failing
from .counts import UpstreamCounts
from .failure import error_text
from .transport.lifetime import Lifetime
from .transport.pending import MAX_PENDING
from .transport.stream import StreamConnection

if TYPE_CHECKING:
    from .upstream import Upstream

# While the oldest query of a connection is younger, the next ones follow it.
_PATIENCE_SECONDS = 0.01
# An upstream this quick gets all of a loop turn's queries in one write; a slower one may be
# answering in order, and its queries are dealt out by the few.
_QUICK_SECONDS = 0.005
_FEW = 4

# A packet lost in opening costs a second by the kernel's clock (RFC 6298 §2); and a Service
# address may have sent us to a pod that is gone. While queries wait, others are opened besides,
# quickly at first, and the first that stands is taken. How quickly depends on how long the last
# one took; before there was one, TLS gets more time.
_REDIAL_SECONDS = 0.025
_REDIAL_FACTOR = 3
_UNKNOWN_TLS_SECONDS = 0.05
_SLOW_REDIAL_SECONDS = 0.1
_MOST_OPENING = 8
# How long a query waits for a connection. CoreDNS: 1 to 30 s.
_DIAL_SECONDS = 1.0
_FIRST_BACK_OFF_SECONDS = 0.02
_MOST_BACK_OFF_SECONDS = 0.25  # being refused costs little, and its end should not be missed

_AGE_JITTER = 0.25  # connections of many nodes must not all end at once


class StreamPool:
    """Connections that are open or opening, and the queries that wait for one."""

    def __init__(self, upstream: "Upstream", random_id: Callable[[], int]) -> None:
        self.upstream = upstream
        self.counts: UpstreamCounts = upstream.counts
        self.random_id = random_id
        self.transport = "tcp-tls" if upstream.endpoint.is_tls else "tcp"
        self._world = upstream.world
        self._connections: list[StreamConnection] = []
        self._opening: list[StreamConnection] = []
        self._waiting: deque[Attempt] = deque()
        self._chosen: StreamConnection | None = None
        self._room = 0  # queries that `_chosen` may still take in this turn
        self._is_flush_due = False
        self._back_off_seconds = 0.0
        self._dial_after = 0.0
        self._refusal = ""  # why there is no connection, where the last attempt at one has failed
        self._opened_in = _UNKNOWN_TLS_SECONDS if upstream.endpoint.is_tls else 0.0
        self._lifetime = Lifetime()

    # Sending

    def send(self, attempt: Attempt, now: float) -> None:
        """Send on the best connection there is, or on the next one there will be."""
        connection = self._chosen
        if self._room > 0 and connection is not None:
            self._room -= 1
        else:
            connection = self._choose(now, None)
            if connection is None:
                self._wait(attempt, now)
                return
        connection.add(attempt)
        if not self._is_flush_due:
            self._flush_soon()

    def send_elsewhere(self, attempt: Attempt, carrier: object, now: float) -> None:
        """Send on another connection than `carrier`: the one heard of last, if it owes nothing."""
        heard = [
            c
            for c in self._connections
            if c.is_usable and c is not carrier and c.answered and not self._has_waited(c, now)
        ]
        connection = max(heard, key=_heard_at, default=None) or self._choose(now, carrier)
        if connection is None:
            self._wait(attempt, now)
            return
        self._chosen, self._room = None, 0
        connection.add(attempt)
        if not self._is_flush_due:
            self._flush_soon()

    def _flush_soon(self) -> None:
        self._is_flush_due = True
        self._world.call_soon(self._flush)
        self.upstream.watch()

    def _choose(self, now: float, avoided: object) -> StreamConnection | None:
        """The connection for the next few queries; None where there is none yet."""
        usable = [c for c in self._connections if c.is_usable and c is not avoided]
        if self.upstream.pace.seconds < _QUICK_SECONDS:
            for connection in usable:
                if connection.room > 0 and not self._has_waited(connection, now):
                    return self._settle_on(connection)
        best = min(usable, key=_load, default=None)
        if best is None or (
            len(usable) < self.upstream.settings.max_connections and self._has_waited(best, now)
        ):
            self._open_another(now)
        if best is None or best.room <= 0:
            return None
        return self._settle_on(best)

    def _has_waited(self, connection: StreamConnection, now: float) -> bool:
        oldest = connection.pending.oldest()
        return oldest is not None and now - oldest.sent_at >= _PATIENCE_SECONDS

    def _settle_on(self, connection: StreamConnection) -> StreamConnection:
        is_quick = self.upstream.pace.seconds < _QUICK_SECONDS
        room = min(connection.room, MAX_PENDING if is_quick else _FEW)
        if lifetime := self._lifetime.queries:
            left = lifetime - connection.sent
            if left <= 1:
                connection.is_spent = True
            room = min(room, left)
        self._chosen, self._room = connection, room - 1
        return connection

    def _wait(self, attempt: Attempt, now: float) -> None:
        if len(self._waiting) >= MAX_PENDING:
            reason = f"too many queries wait for a connection to {self.upstream.to}"
            self._world.call_soon(partial(attempt.failed, reason, now))
            return
        if self._refusal and not self._opening:
            fail = failing(self._refusal, is_connect=True)
            self._world.call_soon(partial(fail, attempt, now))
            return
        self.counts.conn_misses[self.transport] += 1
        self._waiting.append(attempt)
        attempt.slowed(now)

    def _flush(self) -> None:
        self._is_flush_due = False
        self._chosen, self._room = None, 0
        for connection in self._connections:
            connection.flush()

    # Opening

    def _open_another(self, now: float) -> None:
        """Open one more, within bounds: one at a time, unless it takes long."""
        most = self.upstream.settings.max_connections
        if self._opening or len(self._usable()) >= most or now < self._dial_after:
            return
        self._dial(now)

    def _dial(self, now: float) -> None:
        self._lifetime.doubt(now)
        connection = StreamConnection(self, now)
        if max_age := self.upstream.settings.max_age_seconds:
            connection.old_at = now + max_age * random.uniform(1 - _AGE_JITTER, 1)  # noqa: S311
        self._opening.append(connection)
        upstream = self.upstream
        connection.stream = self._world.open_stream(
            upstream.endpoint, connection, upstream.tls, upstream.settings.source_address
        )
        self.upstream.watch()

    def opened(self, connection: StreamConnection, now: float) -> None:
        """A connection is there: those who wait go first."""
        self._opening.remove(connection)
        self._connections.append(connection)
        self._opened_in = now - connection.opened_at
        connection.opened_at = connection.heard_at = now
        self.counts.connections_opened += 1
        self._back_off_seconds = 0.0
        self._refusal = ""
        self._close_opening()
        self._replace_aged(now)
        if self.upstream.pace.seconds < _QUICK_SECONDS:
            self._serve_waiting(connection, now)
        else:  # perhaps it takes one at a time: others are opened for their share
            ways = self.upstream.settings.max_connections - len(self._connections) + 1
            share = ceil(len(self._waiting) / max(ways, 1))
            self._serve_waiting(connection, now, max(share, _FEW))

    def _serve_waiting(
        self, connection: StreamConnection, now: float, most: int = MAX_PENDING
    ) -> None:
        """Send what waited, up to so many; another connection is opened for the rest."""
        room = min(connection.room, most)
        if lifetime := self._lifetime.queries:
            room = min(room, lifetime - connection.sent)
        while self._waiting and room > 0:
            attempt = self._waiting.popleft()
            if not attempt.is_done:
                attempt.sent_at = now
                connection.add(attempt)
                room -= 1
        connection.flush()
        if room <= 0:
            connection.is_spent = 0 < lifetime <= connection.sent
            if self._waiting:
                self._open_another(now)

    def _usable(self) -> list[StreamConnection]:
        return [connection for connection in self._connections if connection.is_usable]

    def _close_opening(self) -> None:
        for connection in self._opening:
            connection.stream.close()
        self._opening.clear()

    def _dial_failed(self, connection: StreamConnection, reason: str, now: float) -> None:
        self._opening.remove(connection)
        self._back_off_seconds = min(
            max(2 * self._back_off_seconds, _FIRST_BACK_OFF_SECONDS), _MOST_BACK_OFF_SECONDS
        )
        self._dial_after = now + self._back_off_seconds
        if self._opening:
            return  # another may still come through
        usable = self._usable()
        if usable:
            self._serve_waiting(min(usable, key=_load), now)
            return
        self._refusal = reason
        self.upstream.unreachable(now)
        waiting, self._waiting = self._waiting, deque()
        self.upstream.turns.take(waiting, failing(reason, is_connect=True))

    # Losing

    def lost(self, connection: StreamConnection, error: Exception | None, now: float) -> None:
        """The other side ended it, or it never opened."""
        if not connection.is_open:
            reason = f"dial tcp {self.upstream.to}: connect: {error_text(error)}"
            self._dial_failed(connection, reason, now)
            return
        owed = self._drop(connection)
        if not owed:
            return
        self.counts.connections_lost += 1
        is_crowded = not connection.answered and len(owed) > 1
        if is_crowded:
            self._lifetime.hung_up_on_a_crowd(now)
        elif error is None and connection.answered:
            self._lifetime.hung_up(connection.answered, now)
        reason = f"read tcp {connection.path}: {error_text(error)}" if error else "EOF"
        has_worked = connection.answered > 0 or is_crowded

        def lost(attempt: Attempt, now: float) -> None:
            attempt.lost(reason, now, has_worked=has_worked)

        self.upstream.turns.take(owed, lost)

    def hang_up(self, connection: StreamConnection, now: float) -> None:
        """It brings more answers than it was sent queries."""
        connection.stream.close()
        self.lost(connection, OSError(errno.EPROTO, "more answers than queries"), now)

    def retire(self, connection: StreamConnection) -> None:
        """It owed answers for too long."""
        path = connection.path
        connection.stream.close()
        self.upstream.turns.take(self._drop(connection), failing(f"read tcp {path}: i/o timeout"))

    def suspect(self, connection: StreamConnection, now: float) -> None:
        """It says nothing: no more queries for it."""
        self.counts.connections_silent += 1
        if connection is self._chosen:
            self._chosen, self._room = None, 0
        self.upstream.fell_silent(connection.heard_at, now)

    def heard(self, connection: StreamConnection, now: float) -> None:
        """A suspect spoke, or a spent one got an answer."""
        connection.is_suspect = connection.is_evacuated = False
        if not connection.is_spent:
            self._serve_waiting(connection, now)
        elif not connection.pending:
            self.close_one(connection)

    def _drop(self, connection: StreamConnection) -> list[Attempt]:
        if connection in self._connections:
            self._connections.remove(connection)
        if connection is self._chosen:
            self._chosen, self._room = None, 0
        connection.is_open = False
        return connection.pending.clear()

    def close_one(self, connection: StreamConnection) -> None:
        """Close one that owes nothing."""
        self._drop(connection)
        connection.stream.close()

    @property
    def in_flight(self) -> int:
        """Queries that are owed an answer."""
        return sum(len(c.pending) for c in self._connections) + len(self._waiting)

    # Time

    def tick(self, now: float) -> bool:
        """Look after every connection; False: nothing is under way."""
        is_busy = False
        for connection in list(self._connections):
            is_busy |= connection.tick(now)
        self._help_waiting(now)
        return is_busy or bool(self._opening) or bool(self._waiting)

    def _help_waiting(self, now: float) -> None:
        """Those who wait for a connection get another attempt at one, but do not wait for ever."""
        waiting, opening = self._waiting, self._opening
        if opening and now - opening[0].opened_at > _DIAL_SECONDS:
            opening.pop(0).stream.close()
        if not waiting:
            return
        if now - waiting[0].sent_at > self.upstream.pace.silence_seconds:
            self.upstream.fell_silent(waiting[0].sent_at, now)
        while waiting and now - waiting[0].sent_at > _DIAL_SECONDS:
            attempt = waiting.popleft()
            reason = f"dial tcp {self.upstream.to}: i/o timeout"
            attempt.failed(reason, now, is_connect=True)
        if now >= self._dial_after and (not opening or self._is_late(opening, now)):
            usable = self._usable()
            if usable:  # what was left for another connection does not wait for it longer
                self._serve_waiting(min(usable, key=_load), now)
                return
            if len(opening) == _MOST_OPENING:
                opening.pop(0).stream.close()
            self._dial(now)

    def _is_late(self, opening: list[StreamConnection], now: float) -> bool:
        patience = max(_REDIAL_FACTOR * self._opened_in, _REDIAL_SECONDS)
        if len(opening) == _MOST_OPENING:
            patience = max(patience, _SLOW_REDIAL_SECONDS)
        return now - opening[-1].opened_at > patience

    def housekeep(self, now: float) -> bool:
        """Close what is idle, used up or too old; False: nothing is open."""
        settings = self.upstream.settings
        self._lifetime.doubt(now)
        idle = [c for c in self._connections if not c.pending]
        surplus = len(idle) - (settings.max_idle_connections or len(idle))
        for connection in reversed(idle):
            unused = now - connection.heard_at
            if unused >= settings.expire_seconds or connection.is_spent or surplus > 0:
                surplus -= 1
                self.close_one(connection)
        if not self._opening and any(now > connection.old_at for connection in self._connections):
            self._dial(now)
        return bool(self._connections or self._opening)

    def _replace_aged(self, now: float) -> None:
        """A fresh connection takes over from one that is too old."""
        for connection in self._connections:
            if now > connection.old_at:
                connection.is_spent = True
                return

    @property
    def is_open(self) -> bool:
        """Whether there is any connection, or will be one."""
        return bool(self._connections or self._opening)

    def close(self) -> None:
        """Close everything."""
        self._waiting.clear()
        for connection in [*self._connections, *self._opening]:
            connection.is_open = False
            connection.stream.close()
        self._connections.clear()
        self._opening.clear()
        self._chosen, self._room = None, 0


def _load(connection: StreamConnection) -> int:
    return len(connection.pending)


def _heard_at(connection: StreamConnection) -> float:
    return connection.heard_at
