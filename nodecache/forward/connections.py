"""The open connections to one upstream, and which of them carries the next queries.

One carries everything while its oldest query is young: so a loop turn's queries leave in one write.
Where the oldest waits (a server that answers in order, one at a time, as CoreDNS does), the least
loaded takes over.
"""

from collections.abc import Callable
from math import inf
from typing import Final

from .capacity import Capacity
from .transport.stream import StreamConnection

# While the oldest query of a connection is younger, the next ones follow it.
_PATIENCE_SECONDS: Final = 0.01


class Connections:
    """Open connections. `open_another` is called where one more would help."""

    def __init__(self, capacity: Capacity, open_another: Callable[[float], None]) -> None:
        self.open: list[StreamConnection] = []
        self._capacity = capacity
        self._query_limit = capacity.query_limit
        self._open_another = open_another
        self._chosen: StreamConnection | None = None
        self._room = 0  # queries that `_chosen` may still take in this turn

    def __len__(self) -> int:
        return len(self.open)

    def for_next(self, now: float) -> StreamConnection | None:
        """The connection for the next query; None where there is none yet."""
        connection = self._chosen
        if self._room > 0 and connection is not None:
            self._room -= 1
            return connection
        return self._choose(now, None)

    def other_than(self, carrier: object, now: float) -> StreamConnection | None:
        """Another connection than `carrier`: the last one that brought an answer, if it is idle."""
        heard = [
            connection
            for connection in self._usable(carrier)
            if connection.answered
            and self._capacity.room_on(connection) > 0
            and not _has_waited(connection, now)
        ]
        connection = max(heard, key=_heard_at, default=None) or self._choose(now, carrier)
        if connection is not None:
            self._chosen, self._room = None, 0  # it was for this query alone
        return connection

    def _choose(self, now: float, avoided: object) -> StreamConnection | None:
        """The connection for the next few queries; None where there is none yet."""
        usable = self._usable(avoided)
        if self._capacity.is_quick:
            for connection in usable:
                if connection.room > 0 and not _has_waited(connection, now):
                    return self._settle_on(connection)
        best = min(usable, key=_load, default=None)
        is_full = best is None or self._capacity.room_on(best) <= 0
        if best is None or (
            (is_full or _has_waited(best, now)) and self._capacity.may_grow(usable)
        ):
            self._open_another(now)
        if best is None or is_full:
            return None
        return self._settle_on(best)

    def _settle_on(self, connection: StreamConnection) -> StreamConnection:
        room = self._capacity.room_in_turn(connection)
        if limit := self._query_limit.queries:
            room = min(room, limit - connection.sent)
        self._chosen, self._room = connection, room - 1
        return connection

    def _usable(self, avoided: object = None) -> list[StreamConnection]:
        max_count = self._query_limit.queries or inf
        return [
            connection
            for connection in self.open
            if connection.is_usable and connection is not avoided and connection.sent < max_count
        ]

    def may_grow(self) -> bool:
        """Whether one more may help."""
        return self._capacity.may_grow(self._usable())

    def best(self) -> StreamConnection | None:
        """The usable one with the fewest queries in flight."""
        return min(self._usable(), key=_load, default=None)

    def flush(self) -> None:
        """Write what was added in this turn of the loop; the next one's queries choose anew."""
        self._chosen, self._room = None, 0
        limit = self._query_limit.queries
        for connection in self.open:
            connection.flush()
            if 0 < limit <= connection.sent:
                connection.is_spent = True

    def avoid(self, connection: StreamConnection) -> None:
        """The next query takes another one."""
        if connection is self._chosen:
            self._chosen, self._room = None, 0

    def drop(self, connection: StreamConnection) -> None:
        """Forget one that ended or is to be closed."""
        if connection in self.open:
            self.open.remove(connection)
        self.avoid(connection)

    def is_heard(self, since: float) -> bool:
        """Whether one brought an answer since then."""
        return any(c.answered and c.heard_at > since for c in self.open)

    @property
    def in_flight(self) -> int:
        """Queries in flight."""
        return sum(len(connection.pending) for connection in self.open)

    def aged(self, now: float) -> StreamConnection | None:
        """One that is too old and to be replaced; no other takes over from one that is spent."""
        for connection in self.open:
            if now > connection.old_at and not connection.is_spent:
                return connection
        return None

    def close(self) -> None:
        """Close all."""
        for connection in self.open:
            connection.is_open = False
            connection.stream.close()
        self.open.clear()
        self._chosen, self._room = None, 0


def _has_waited(connection: StreamConnection, now: float) -> bool:
    oldest = connection.pending.oldest()
    return oldest is not None and now - oldest.sent_at >= _PATIENCE_SECONDS


def _load(connection: StreamConnection) -> int:
    return len(connection.pending)


def _heard_at(connection: StreamConnection) -> float:
    return connection.heard_at
