"""A histogram as plain numbers; the exporter makes it cumulative."""

from bisect import bisect_left
from typing import Final

# plugin/metrics and plugin/pkg/proxy of CoreDNS: prometheus.ExponentialBuckets(0.00025, 2, 16), seconds.
DURATION_BOUNDS: Final = tuple(0.00025 * 2**n for n in range(16))


class Histogram:
    """Observations by upper bounds: `buckets` has one more than `bounds`, for larger values.

    Not cumulative. `sum` is that of the observed values, in their unit.
    """

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value` `times` times; a value equal to a bound is below it."""
        place = 0
        for bound in self.bounds:  # nearly all is small: walking finds it sooner than bisection
            if value <= bound:
                break
            place += 1
        self.buckets[place] += times
        self.sum += value * times

    def move_from_first(self, value: float) -> None:
        """Move one observation from the first bucket to that of `value`; the sum has it already."""
        self.buckets[0] -= 1
        self.buckets[bisect_left(self.bounds, value)] += 1

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.buckets)
