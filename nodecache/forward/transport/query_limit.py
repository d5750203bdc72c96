"""How many queries a server takes on one connection.

The law of this module: no socket, no clock.
"""

from math import inf
from typing import Final

# A server that ends connections after the same number of answers is believed for this long:
# dnsmasq's limit is 100.
_BELIEVE_SECONDS: Final = 300.0
# One that ends two connections after another without answering all gets no more on each than it
# answered on either, and half of that where it goes on. Where it answered none, or stops reading, it may
# not take more than one query at once: it gets each by itself, as from CoreDNS. For a while; for
# longer where that turns out to be still so soon afterwards.
_AGAIN_SECONDS: Final = 1.0
_WARY_SECONDS: Final = 10.0
_STILL_SECONDS: Final = 30.0
# A server that twice within this time leaves a query unanswered which had a connection to itself loses
# queries, or does not want to answer them, however many it is sent: its silence says nothing for so long.
# Once, it may only have been short of CPU.
_LOSSY_SECONDS: Final = 30.0


class QueryLimit:
    """The limit as learned: `queries` on a connection, 0 where it is not known.

    Once means little: a pod that is ended resets what it had no time to answer, and takes all
    its connections along. So a lesson counts where a connection was opened after the last one.
    """

    __slots__ = (
        "_by_silence",
        "_last",
        "_lossy_until",
        "_lost_alone_at",
        "_taught_at",
        "_until",
        "_wary_seconds",
        "queries",
    )

    def __init__(self) -> None:
        self.queries = 0
        self._until = -inf
        self._last = 0
        self._taught_at = -inf
        self._wary_seconds = _WARY_SECONDS
        self._by_silence = False
        self._lossy_until = -inf
        self._lost_alone_at = -inf

    def closed_with_pending(
        self, answered: int, pending: int, opened_at: float, now: float
    ) -> None:
        """A connection ended, in whatever way, with `pending` queries not answered."""
        if opened_at < self._taught_at or not (answered or pending > 1):
            return
        if answered and answered == self._last:
            self._believe(answered, _BELIEVE_SECONDS, now)
        elif now - self._taught_at < _AGAIN_SECONDS:
            fewest = min(answered, self._last)
            self._be_wary(max(min(fewest, self.queries // 2 or fewest), 1), now)
        self._last, self._taught_at = answered, now

    def fell_silent(self, answered: int, opened_at: float, now: float) -> None:
        """A connection says nothing more after some answers, though its end confirms what we send."""
        if opened_at < self._taught_at or not answered or now < self._lossy_until:
            return
        if answered == self._last or now - self._taught_at < _AGAIN_SECONDS:
            self._be_wary(answered if answered == self._last else 1, now)
            self._by_silence = True
        self._last, self._taught_at = answered, now

    def spoke_again(self) -> None:
        """A silent connection answered after all: it was slow, not limited."""
        if self._by_silence:
            self.queries, self._by_silence = 0, False

    def passed_over(self, now: float) -> None:
        """A connection that goes on lost queries that were sent with others, and answered elsewhere."""
        if now >= self._lossy_until:
            self._be_wary(1, now)
            self._by_silence = True

    def lost_alone(self, now: float) -> None:
        """A query that had a connection to itself was not answered: after the second, silence taught no limit."""
        if self._by_silence and now - self._lost_alone_at < _LOSSY_SECONDS:
            self.queries, self._by_silence = 0, False
            self._lossy_until = now + _LOSSY_SECONDS
        self._lost_alone_at = now

    def expire(self, now: float) -> None:
        """Forget a limit that was learned too long ago."""
        if now > self._until:
            self.queries = 0

    def _be_wary(self, queries: int, now: float) -> None:
        if self.queries == 0:
            is_still = now - self._until < _STILL_SECONDS
            self._wary_seconds = (
                min(2 * self._wary_seconds, _BELIEVE_SECONDS) if is_still else _WARY_SECONDS
            )
        self._believe(queries, self._wary_seconds, now)

    def _believe(self, queries: int, seconds: float, now: float) -> None:
        self.queries, self._until = queries, now + seconds
        self._by_silence = False
