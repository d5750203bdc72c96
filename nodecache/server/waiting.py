"""A block's questions in flight, and the queries that wait for their answers.

The first of equal questions goes upstream, the others join it.
"""

from .inflight import InflightQuery
from .limiter import BlockPlaces, InflightLimiter


class WaitingQueries:
    """Questions in flight, by key. A query that waits for one has a place of the limiter."""

    def __init__(self, limiter: InflightLimiter) -> None:
        self.leaders: dict[bytes, InflightQuery] = {}
        self._limiter = limiter
        self._places = BlockPlaces(limiter)

    @property
    def are_many(self) -> bool:
        """Whether so many questions are in flight that there may be no room for a new one while all upstreams are down."""
        return len(self.leaders) >= self._limiter.many_while_down

    def has_room_while_down(self, query: InflightQuery) -> bool:
        """Whether there is room for a new question while all upstreams are down."""
        return self._places.has_room_while_down(query.host, len(self.leaders))

    def admit(self, query: InflightQuery) -> bool:
        """Let a query wait; False where there is no room for it."""
        if not self._places.admit(query.host):
            return False
        query.begin_waiting()
        query.is_waiting = True
        return True

    def note_joined(self) -> None:
        """Count a query that waits for the answer to an equal one."""
        self._limiter.coalesced += 1

    def end(self, leader: InflightQuery) -> None:
        """The question is not in flight any more."""
        if self.leaders.get(leader.key) is leader:
            del self.leaders[leader.key]

    def released(self, leader: InflightQuery) -> list[InflightQuery]:
        """The queries that waited for an answer; their places are released."""
        waiters = [leader] if leader.is_waiting else []
        if leader.wait_state is not None:
            waiters += leader.wait_state.take_others()
        for query in waiters:
            query.is_waiting = False
            self._places.release(query.host)
        return waiters
