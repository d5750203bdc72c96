"""Questions that could not be answered of late, so that they are not asked again at once.

RFC 9520: a failure is remembered for a second at least, with back-off, at most for 5 s, or 30 s where
no upstream says anything: for that is over as soon as one does. The directive's `servfail
DURATION` fixes the time instead. Apart from the answers: a failure never hides an answer that is
still good, and they are few: bounded by number, and by octets, since a stranger's error may be long.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nodecache.wire import ExtendedErrors

from .entry import ERROR_OCTETS
from .freshness import MAX_RECHECK_SECONDS, MIN_RECHECK_SECONDS, recheck_seconds

_MAX_KEPT: Final = 10_000  # CoreDNS's denial capacity
_MAX_OCTETS: Final = 4 << 20
_MAX_UNHEARD_SECONDS: Final = 30.0
_FAILURE_OCTETS: Final = 300  # the object, the key's head, the place in the table


@dataclass(slots=True)
class FailedQuestion:
    """A question that failed `count` times in a row, to be left alone until `until`.

    `unheard_until`: because no upstream said anything, and that holds at least until then; 0 where
    one did.
    """

    until: float
    count: int
    rcode: int
    ede: ExtendedErrors
    unheard_until: float = 0.0


class Failures:
    """Failed questions of one zone. `fixed_seconds` is the directive's, None for back-off."""

    def __init__(self, fixed_seconds: float | None = None) -> None:
        self._fixed_seconds = fixed_seconds
        self._octets = 0
        self.failed: OrderedDict[bytes, FailedQuestion] = OrderedDict()
        """By question; those that may be asked again by now included."""

    def note(
        self, key: bytes, rcode: int, ede: ExtendedErrors, now: float, *, is_unheard: bool = False
    ) -> None:
        """The question failed (again); `is_unheard`: as no upstream says anything at all."""
        before = self.failed.pop(key, None)
        is_again = before is not None and now < before.until + _MAX_UNHEARD_SECONDS
        count = before.count + 1 if before is not None and is_again else 1
        seconds = self._fixed_seconds
        if seconds is None:
            at_most = _MAX_UNHEARD_SECONDS if is_unheard else MAX_RECHECK_SECONDS
            seconds = recheck_seconds(count, at_most)
        if before is not None:
            self._octets -= _octets_of(key, before)
        if seconds > 0:
            unheard_until = now + MIN_RECHECK_SECONDS if is_unheard else 0.0
            failed = FailedQuestion(now + seconds, count, rcode, ede, unheard_until)
            self.failed[key] = failed
            self._octets += _octets_of(key, failed)
        while len(self.failed) > _MAX_KEPT or self._octets > _MAX_OCTETS:
            self._octets -= _octets_of(*self.failed.popitem(last=False))

    def get(
        self, key: bytes, now: float, is_silent: Callable[[float], bool]
    ) -> FailedQuestion | None:
        """The failure that still answers for `key`.

        `is_silent` tells whether no upstream says anything: that none did is over when one does.
        """
        failed = self.failed.get(key)
        if failed is None or now >= failed.until:
            return None
        if 0 < failed.unheard_until <= now and not is_silent(now):
            return None
        return failed

    def clear(self, key: bytes) -> None:
        """The question was answered after all."""
        failed = self.failed.pop(key, None)
        if failed is not None:
            self._octets -= _octets_of(key, failed)


def _octets_of(key: bytes, failed: FailedQuestion) -> int:
    return _FAILURE_OCTETS + len(key) + sum(ERROR_OCTETS + len(text) for _, text in failed.ede)
