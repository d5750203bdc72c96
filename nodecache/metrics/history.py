"""Rates and latency of the last ten minutes, for people who look without a Prometheus.

Counters say what was since the start. They are read every ten seconds and kept, so that two readings tell a rate.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from .scrape import Scrape

SAMPLE_SECONDS = 10.0
KEPT_SAMPLES = 61  # ten minutes, and the sample before them
_FAILED = ("SERVFAIL", "REFUSED")


@dataclass(frozen=True, slots=True)
class Sample:
    """The counts at `at`, monotonic seconds. `buckets` are not cumulative."""

    at: float
    queries: int
    hits: int
    failures: int
    """Replies that say SERVFAIL or REFUSED."""
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates between two samples. Latencies in seconds; None without queries."""

    queries_per_second: float
    failures_per_second: float
    hit_share: float | None
    median: float | None
    p99: float | None


class History:
    """The samples of the last ten minutes."""

    def __init__(self) -> None:
        self.bounds: tuple[float, ...] = ()
        self._samples: deque[Sample] = deque(maxlen=KEPT_SAMPLES)

    def add(self, scrape: Scrape, now: float) -> None:
        """Add a sample of `scrape` at `now`, whose counts were brought up to date before."""
        self.bounds = next((tuple(counts.duration.bounds) for counts in scrape.servers), ())
        buckets = [counts.duration.buckets for counts in scrape.servers]
        self._samples.append(
            Sample(
                at=now,
                queries=sum(sum(counts.requests.values()) for counts in scrape.servers),
                hits=sum(cache.hits_success + cache.hits_denial for cache in scrape.caches),
                failures=sum(
                    count
                    for counts in scrape.servers
                    for (rcode, _), count in counts.responses.items()
                    if rcode in _FAILED
                ),
                buckets=tuple(map(sum, zip(*buckets, strict=True))),
            )
        )

    def rates(self) -> list[Rates]:
        """The rates between each two samples, the oldest first."""
        return [self._between(before, after) for before, after in pairwise(self._samples)]

    def _between(self, before: Sample, after: Sample) -> Rates:
        seconds = max(after.at - before.at, 0.001)
        # A reload may take a zone away, and its counts with it.
        queries = max(0, after.queries - before.queries)
        buckets = [
            max(0, new - old) for new, old in zip(after.buckets, before.buckets, strict=False)
        ]
        return Rates(
            queries_per_second=queries / seconds,
            failures_per_second=max(0, after.failures - before.failures) / seconds,
            hit_share=min(1.0, max(0, after.hits - before.hits) / queries) if queries else None,
            median=quantile(0.5, self.bounds, buckets),
            p99=quantile(0.99, self.bounds, buckets),
        )


def quantile(share: float, bounds: tuple[float, ...], buckets: list[int]) -> float | None:
    """The value below which `share` of the observations lie, as Prometheus estimates it.

    Within a bucket they count as spread evenly; a value above the last bound counts as the bound.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, seen, lower = share * total, 0, 0.0
    for count, upper in zip(buckets, bounds, strict=False):
        if count and seen + count >= wanted:
            return lower + (upper - lower) * (wanted - seen) / count
        seen += count
        lower = upper
    return lower
