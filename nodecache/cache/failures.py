"""Questions that failed lately, so that they are not sent again at once.

RFC 9520: a failure is remembered for at least a second, with back-off, for at most 5 s, or 30 s while
no upstream answers anything (which ends as soon as one does). `servfail DURATION` fixes the time
instead. Failures are kept apart from answers, so that one never hides an answer that is
still good. They are bounded by number, and by octets, since a stranger's error may be long.
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

    `unheard_until` is 0, or for a question that failed because no upstream answered anything: until then
    it is not asked again even if one does.
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
        """Note that the question failed; `is_unheard`: because no upstream answers anything."""
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
        """The failure to answer `key` with; None if it is to be sent upstream.

        `is_silent` tells whether no upstream answers at the moment.
        """
        failed = self.failed.get(key)
        if failed is None or now >= failed.until:
            return None
        if 0 < failed.unheard_until <= now and not is_silent(now):
            return None
        return failed

    def clear(self, key: bytes) -> None:
        """Forget the failure of a question that was answered."""
        failed = self.failed.pop(key, None)
        if failed is not None:
            self._octets -= _octets_of(key, failed)


def _octets_of(key: bytes, failed: FailedQuestion) -> int:
    return _FAILURE_OCTETS + len(key) + sum(ERROR_OCTETS + len(text) for _, text in failed.ede)
