"""Response times of an upstream, the time-outs derived from them, and the budget of extra queries.

The law of this module: no socket, no clock.
"""

from typing import Final

# A query is asked again elsewhere after the time that 95 of 100 answers take, but never sooner
# than this: below it, a hedge costs more than the wait.
MIN_HEDGE_SECONDS: Final = 0.02
MAX_HEDGE_SECONDS: Final = 1.0
# After this many times as long the query counts as lost, not as slow.
_LOST_FACTOR: Final = 3
# Who says nothing at all for so many times as long as half of the answers take, while he owes
# some, is silent. (Half: one bad moment must not teach us to be patient with the dead.)
_SILENCE_FACTOR: Final = 10
_MIN_SILENCE_SECONDS: Final = 0.1
_MIN_LOST_SECONDS: Final = 0.15
_MAX_LOST_SECONDS: Final = 2.0  # CoreDNS's read time-out

# Before the first answers: between a kube-dns and a resolver far away.
_START_SECONDS: Final = 0.1
_START_HALF_SECONDS: Final = 0.03

# Steps of quantiles tracked in the logarithm. In balance, 1 answer of 20 lifts the first by what
# 19 lower it, and one of two the second; no answer lifts it above itself.
_DOWN: Final = 0.995
_UP: Final = _DOWN**-19
_HALF_UP: Final = 1.02
_HALF_DOWN: Final = 1 / _HALF_UP


class Pace:
    """The time within which 95 of 100 answers come, and half of them. In seconds."""

    __slots__ = ("half_seconds", "seconds")

    def __init__(self) -> None:
        self.seconds = _START_SECONDS
        self.half_seconds = _START_HALF_SECONDS

    def observe(self, seconds: float) -> None:
        """Add the time that one answer took."""
        if seconds > self.half_seconds:
            self.half_seconds *= _HALF_UP
            if seconds > self.seconds:
                self.seconds = min(seconds, self.seconds * _UP)
                return
        else:
            self.half_seconds *= _HALF_DOWN
        self.seconds *= _DOWN

    @property
    def is_known(self) -> bool:
        """Whether any answer was timed."""
        return self.seconds != _START_SECONDS

    @property
    def hedge_seconds(self) -> float:
        """Seconds until a hedge: the same query on another connection or upstream as well."""
        return min(max(self.seconds, MIN_HEDGE_SECONDS), MAX_HEDGE_SECONDS)

    @property
    def lost_seconds(self) -> float:
        """Seconds until a query counts as lost and is sent again."""
        return min(max(_LOST_FACTOR * self.seconds, _MIN_LOST_SECONDS), _MAX_LOST_SECONDS)

    @property
    def silence_seconds(self) -> float:
        """Seconds for which an upstream with queries in flight may be silent before it is SUSPECT."""
        seconds = _SILENCE_FACTOR * self.half_seconds
        return min(max(seconds, _MIN_SILENCE_SECONDS), _MAX_LOST_SECONDS)


# RFC 9520 §3.1 asks for restraint; 1 in 20 is what "The Tail at Scale" (2013) shows to be enough.
_SHARE: Final = 0.05
_MAX_TOKENS: Final = 100.0
_TOKENS_PER_SECOND: Final = 1.0  # so that a quiet node's few queries may be hedged too


class Budget:
    """Extra queries that may be spent: 5 in 100, some saved up, and one a second."""

    __slots__ = ("_asks", "_at", "_tokens", "asks")

    def __init__(self, now: float) -> None:
        self.asks = 0  # counted by the forwarder, one for each query
        self._asks = 0
        self._at = now
        self._tokens = _MAX_TOKENS / 5

    def spend(self, now: float) -> bool:
        """Spend one, if there is one."""
        earned = (self.asks - self._asks) * _SHARE + (now - self._at) * _TOKENS_PER_SECOND
        self._asks, self._at = self.asks, now
        self._tokens = min(self._tokens + earned, _MAX_TOKENS)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
