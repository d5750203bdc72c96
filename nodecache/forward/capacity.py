"""How many connections one server may have, and how many queries each of them may take.

The law of this module: no socket, no clock.
"""

from collections.abc import Sequence
from typing import Final

from .peer import Peer
from .transport.answer_order import AnswerOrder
from .transport.query_limit import QueryLimit
from .transport.stream import StreamConnection

# A server this quick gets all of a loop turn's queries in one write; a slower one may be
# answering in order, and its queries are dealt out by the few.
_QUICK_SECONDS: Final = 0.005
_FEW: Final = 4

# To a server that takes one query on each, to one that answers one at a time and takes long, and to one
# that answers in order: each connection may hold a part of a large answer, so there are fewer of what
# may live long.
_MAX_CONNECTIONS: Final = 256
_MAX_ONE_AT_A_TIME: Final = 128
_MAX_IN_ORDER: Final = 16


class Capacity:
    """What a server takes, as its settings say and as it has taught."""

    def __init__(self, upstream: Peer) -> None:
        self.query_limit = QueryLimit()
        self.answer_order = AnswerOrder()
        self._upstream = upstream

    @property
    def is_quick(self) -> bool:
        """Whether nearly all answers come at once."""
        return self._upstream.pace.seconds < _QUICK_SECONDS

    @property
    def is_one_at_a_time(self) -> bool:
        """Whether the next query of a connection goes when the one before is answered."""
        return self.answer_order.is_one_at_a_time and not self.is_quick and self._may_exceed_pool

    @property
    def _may_exceed_pool(self) -> bool:
        """Whether more than the pool's connections may be opened. HTTP/2 answers in any order."""
        upstream = self._upstream
        return upstream.settings.may_exceed_pool and not upstream.endpoint.http_method

    @property
    def queries_on_each(self) -> int:
        """How many queries that wait for a connection each new one takes; 0 where that is as many as there are."""
        return self.query_limit.queries or int(self.is_one_at_a_time)

    def room_on(self, connection: StreamConnection) -> int:
        """How many more queries a connection may take now."""
        return 1 - len(connection.pending) if self.is_one_at_a_time else connection.room

    def share_of(self, waiting: int, connections: int) -> int:
        """How many of those that wait the first connection that opens takes; others are opened for theirs."""
        if self.is_quick:
            return waiting
        ways = self._upstream.settings.max_connections - connections + 1
        return max(-(-waiting // max(ways, 1)), _FEW)

    def room_in_turn(self, connection: StreamConnection) -> int:
        """How many queries of one loop turn a connection takes."""
        room = self.room_on(connection)
        return room if self.is_quick else min(room, _FEW)

    def may_grow(self, usable: Sequence[StreamConnection]) -> bool:
        """Whether one more connection may help where queries wait on all of them.

        Beyond `max_connections` as many are tried as go on bringing answers, up to sixteen: a server that
        says nothing, or nothing after a first answer, gets no more. One that answers one at a time, slowly,
        gets one for each query.
        """
        if len(usable) < self._upstream.settings.max_connections:
            return True
        if not self._may_exceed_pool:
            return False
        if self.is_one_at_a_time:
            return len(usable) < _MAX_ONE_AT_A_TIME
        answering = sum(connection.answered > 1 for connection in usable)
        return len(usable) < min(2 * answering, _MAX_IN_ORDER)

    def more_for(self, waiting: int, connections: int) -> int:
        """How many connections to open for so many queries that wait, where there are so many already."""
        each = self.queries_on_each
        wanted = max(-(-waiting // each), 1) if each else 1
        max_connections = _MAX_CONNECTIONS if self.query_limit.queries else _MAX_ONE_AT_A_TIME
        return min(wanted, max_connections - connections)

    def expire(self, now: float) -> None:
        """Forget what was learned too long ago."""
        self.query_limit.expire(now)
        self.answer_order.expire(now)
