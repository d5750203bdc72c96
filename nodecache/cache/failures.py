"""Questions that could not be answered of late, so that they are not asked again at once.

RFC 9520: a failure is remembered for 1 to 300 seconds, with back-off; the directive's `servfail
DURATION` fixes the time instead. Apart from the answers: a failure never hides an answer that is
still good, and it weighs so little that a count bounds it.
"""

from collections import OrderedDict
from dataclasses import dataclass

from nodecache.wire import ExtendedErrors

from .freshness import MOST_RECHECK_SECONDS, recheck_seconds

_MOST_KEPT = 10_000  # about 3 MB; CoreDNS's denial capacity


@dataclass(slots=True)
class FailedQuestion:
    """A question that failed `count` times in a row, to be left alone until `until`."""

    until: float
    count: int
    rcode: int
    ede: ExtendedErrors


class Failures:
    """Failed questions of one zone. `fixed_seconds` is the directive's, None for back-off."""

    def __init__(self, fixed_seconds: float | None = None) -> None:
        self._fixed_seconds = fixed_seconds
        self.failed: OrderedDict[bytes, FailedQuestion] = OrderedDict()
        """By question; those that may be asked again by now included."""

    def note(self, key: bytes, rcode: int, ede: ExtendedErrors, now: float) -> None:
        """The question failed (again)."""
        before = self.failed.pop(key, None)
        is_again = before is not None and now < before.until + MOST_RECHECK_SECONDS
        count = before.count + 1 if before is not None and is_again else 1
        seconds = recheck_seconds(count) if self._fixed_seconds is None else self._fixed_seconds
        if seconds > 0:
            self.failed[key] = FailedQuestion(now + seconds, count, rcode, ede)
        if len(self.failed) > _MOST_KEPT:
            self.failed.popitem(last=False)

    def get(self, key: bytes, now: float) -> FailedQuestion | None:
        """The failure that still answers for `key`."""
        failed = self.failed.get(key)
        return failed if failed is not None and now < failed.until else None

    def clear(self, key: bytes) -> None:
        """The question was answered after all."""
        self.failed.pop(key, None)
