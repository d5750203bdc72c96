"""The health of one upstream, by its answers and probes.

The law of this module: no socket, no clock, no timers. It is told what happened and ranks the
upstream; it never excludes one altogether.
"""

import math
from enum import IntEnum
from typing import Final

# An upstream that said nothing while it owed us answers is passed by until a probe, or a query
# sent to it all the same, is answered. Without probes (`max_fails 0`) it is tried again after this
# long, doubling while it stays silent.
_SUSPECT_SECONDS: Final = 0.5
_MAX_SUSPECT_SECONDS: Final = 30.0

# So many failures (SERVFAIL, REFUSED) in a row are the upstream's, not the names': users'
# wishes (coredns#2524), and what unbound calls lame.
_LAME_AFTER: Final = 4
_LAME_SECONDS: Final = 10.0


class Standing(IntEnum):
    """The rank of an upstream: the lowest is asked first."""

    GOOD = 0
    LAME = 1
    SUSPECT = 2
    DOWN = 3
    LOOPING = 4


class Health:
    """What is known of one upstream.

    `is_good` is all that a query looks at while nothing is wrong; `standing` tells the rest. It
    is down when more than `max_fails` probes in a row failed, as in CoreDNS; 0 is never.
    """

    __slots__ = (
        "_failures_in_a_row",
        "_lame_until",
        "_suspect_seconds",
        "_suspect_until",
        "fails",
        "is_good",
        "is_looping",
        "max_fails",
    )

    def __init__(self, max_fails: int) -> None:
        self.max_fails = max_fails
        self.fails = 0
        self.is_good = True
        self.is_looping = False
        self._suspect_until = 0.0
        self._suspect_seconds = _SUSPECT_SECONDS
        self._lame_until = 0.0
        self._failures_in_a_row = 0

    @property
    def is_down(self) -> bool:
        """Whether its probes failed."""
        return self.max_fails > 0 and self.fails > self.max_fails

    def standing(self, now: float) -> Standing:
        """Its rank now; SUSPECT and LAME end after a time."""
        if self.is_looping:
            return Standing.LOOPING
        if self.is_down:
            return Standing.DOWN
        if now < self._suspect_until:
            return Standing.SUSPECT
        if now < self._lame_until:
            return Standing.LAME
        self.is_good = self._failures_in_a_row == 0
        return Standing.GOOD

    def heard(self) -> None:
        """It answered a query: it is alive, whatever its rank was."""
        self.fails = 0
        self._suspect_until = 0.0
        self._suspect_seconds = _SUSPECT_SECONDS
        self._settle()

    def served(self) -> None:
        """It gave a useful answer."""
        self._failures_in_a_row = 0
        self._lame_until = 0.0
        self.heard()

    def failed_to_serve(self, now: float) -> None:
        """It answered SERVFAIL or REFUSED."""
        self.heard()
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _LAME_AFTER:
            self._lame_until = now + _LAME_SECONDS
        self.is_good = False

    def stayed_silent(self, now: float) -> None:
        """It has queries in flight and is silent, or cannot be reached."""
        if self.max_fails:
            self._suspect_until = math.inf
        elif now >= self._suspect_until:
            self._suspect_until = now + self._suspect_seconds
            self._suspect_seconds = min(2 * self._suspect_seconds, _MAX_SUSPECT_SECONDS)
        self.is_good = False

    def probed(self, *, is_alive: bool) -> None:
        """A probe was answered, or was not."""
        if is_alive:
            self.heard()
        else:
            self.fails += 1
            self.is_good = False

    def quarantine(self, *, is_looping: bool) -> None:
        """Its queries come back to us (a loop), or no longer do."""
        self.is_looping = is_looping
        self._settle()

    def _settle(self) -> None:
        self.is_good = not (self.is_looping or self.is_down or self._failures_in_a_row)
