"""How many queries a server takes on one connection before it hangs up.

The law of this module: no socket, no clock.
"""

# A server that hangs up after so many queries is believed for this long: dnsmasq's limit is 100.
_BELIEVE_SECONDS = 300.0
# One that hangs up on several queries without an answer to any may not take more than one at once.
# Where that happens again soon, it gets each by itself for a while, as from CoreDNS. Once means
# little: a pod that is ended resets what it had no time to answer.
_AGAIN_SECONDS = 1.0
_WARY_SECONDS = 10.0


class Lifetime:
    """What was learned of it: `queries` on a connection, 0 where it is not known."""

    __slots__ = ("_crowded_until", "_last", "_until", "queries")

    def __init__(self) -> None:
        self.queries = 0
        self._until = 0.0
        self._last = 0
        self._crowded_until = 0.0

    def hung_up(self, answered: int, now: float) -> None:
        """It did so after as many answers: twice the same number is a limit, once says little."""
        if answered == self._last:
            self.queries, self._until = answered, now + _BELIEVE_SECONDS
        self._last = answered

    def hung_up_on_a_crowd(self, now: float) -> None:
        """It did so on several queries, and answered none."""
        if now < self._crowded_until:
            self.queries, self._until = 1, now + _WARY_SECONDS
        self._crowded_until = now + _AGAIN_SECONDS

    def doubt(self, now: float) -> None:
        """Forget what was learned too long ago."""
        if now > self._until:
            self.queries = 0
