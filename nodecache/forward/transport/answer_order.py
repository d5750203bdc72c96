"""Whether a server answers the queries of a connection one after the other, each in its own time.

The law of this module: no socket, no clock.

CoreDNS and others read the next query of a connection when they have answered the one before. Where
each takes long, those behind it wait for all of that. What tells such a server from one that is as
slow with each, and has all of them in hand at once: answers that come alone, in the order of the
queries, at longer intervals than these had. A server that is short of CPU answers many at once when it
has its turn; to take it for the other would give it a connection for each query, and still more to do.
"""

from math import inf
from typing import Final

# Shorter intervals do no harm, and say little: answers leave in the same write.
_MIN_INTERVAL_SECONDS: Final = 0.02
_MAX_SHARE: Final = 0.75  # of the interval of two answers, which that of their queries may take
_ANSWERS_BELIEVED: Final = 3  # in a row, on whichever connections
# One answer that overtakes another is a proof to the contrary. Times of two loop turns may be mixed up.
_OVERTAKEN_SECONDS: Final = 0.01
_BELIEVE_SECONDS: Final = 300.0


class AnswerOrder:
    """What is known of one server. `is_one_at_a_time` holds until `expire` says that it is over."""

    __slots__ = ("_disproved_until", "_evidence", "_until", "is_one_at_a_time")

    def __init__(self) -> None:
        self.is_one_at_a_time = False
        self._evidence = 0
        self._until = -inf
        self._disproved_until = -inf

    def note(
        self,
        sent_at: float,
        sent_before: float,
        answered_before: float,
        now: float,
        *,
        is_alone: bool,
    ) -> bool:
        """Note an answer to the query of `sent_at`; whether it tells that there is one at a time.

        `sent_before` is when the query was sent that the connection's answer before this one was for,
        and `answered_before` when that came. `is_alone`: no other answer was read with this one.
        """
        if sent_at < sent_before - _OVERTAKEN_SECONDS:
            self.is_one_at_a_time, self._evidence = False, 0
            self._disproved_until = now + _BELIEVE_SECONDS
            return False
        if not is_alone:
            self._evidence = 0
            return False
        if sent_at >= answered_before or now < self._disproved_until:
            return False  # it waited for nobody
        interval = now - answered_before
        if interval < _MIN_INTERVAL_SECONDS or sent_at - sent_before > _MAX_SHARE * interval:
            self._evidence = 0
            return False
        self._evidence += 1
        if self._evidence < _ANSWERS_BELIEVED:
            return False
        is_news = not self.is_one_at_a_time
        self.is_one_at_a_time = True
        self._until = now + _BELIEVE_SECONDS
        return is_news

    def expire(self, now: float) -> None:
        """Forget what was learned too long ago."""
        if now > self._until:
            self.is_one_at_a_time, self._evidence = False, 0
