"""Counts of queries and replies: plain integers, which `metrics` reads at a scrape.

A reply is counted by one increment under a tuple of everything that the metrics distinguish. There
are few different tuples (sizes and types repeat), and they are sorted into families at the scrape.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple, TypeVar

from nodecache.forward.histogram import DURATION_BOUNDS, Histogram
from nodecache.wire import rcode_text

K = TypeVar("K")

# plugin/pkg/… request and response sizes, in octets.
SIZE_BOUNDS: Final = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3)

# The types that CoreDNS tells apart (plugin/metrics/vars). Strangers may ask for any of 65,536, and every scrape
# would go through all of those.
_TYPES: Final = frozenset(
    (1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 46, 47, 48, 50, 64, 65, 251, 252, 255)
)
OTHER_TYPE: Final = 0

# More kinds of replies than this are folded at once: somebody plays with sizes.
_MAX_TALLIES: Final = 20_000


class Outcome(IntEnum):
    """How the cache took part in a reply."""

    UNCACHED = 0
    HIT_SUCCESS = 1
    HIT_DENIAL = 2
    MISS = 3


class Tally(NamedTuple):
    """What the metrics distinguish of one reply. Sizes in octets."""

    transport: str
    family: str
    qtype: int
    rcode: int
    request_size: int
    response_size: int
    has_do: bool
    written_by: str
    outcome: Outcome


@dataclass(slots=True)
class ServerCounts:
    """Queries and replies of one zone at one listen address.

    `server` is CoreDNS's label, as `dns://169.254.20.10:53`; `zone` the longest of its block's
    zones, `dropped` for what no zone took. `flush` brings `requests` and the rest up to date with the tallies.
    """

    server: str
    zone: str
    view: str = ""
    """Always empty here, as in the stock Corefile."""
    duration: Histogram = field(default_factory=lambda: Histogram(DURATION_BOUNDS))
    """Seconds from query to reply."""
    requests: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """By transport (`udp`, `tcp`), family (`1` IPv4, `2` IPv6) and qtype, rare ones as `OTHER_TYPE`."""
    responses: dict[tuple[str, str], int] = field(default_factory=dict)
    """By rcode text and the directive that answered, empty for the server itself."""
    request_size: dict[str, Histogram] = field(default_factory=dict)
    response_size: dict[str, Histogram] = field(default_factory=dict)
    do_requests: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    _tallies: dict[Tally | tuple[object, ...], list[int]] = field(default_factory=dict)

    def count(self, tally: "tuple[object, ...]", times: int = 1) -> None:
        """Count a reply `times`; `tally` is a Tally or a plain tuple of the same fields."""
        seen = self._tallies.get(tally)
        if seen is not None:  # a list of one number: the tuple is hashed once
            seen[0] += times
            return
        self._tallies[tally] = [times]
        if len(self._tallies) > _MAX_TALLIES:
            self.flush()

    def flush(self) -> None:
        """Add the tallies since the last flush to the counts that metrics read."""
        tallies, self._tallies = self._tallies, {}
        for tally, (times,) in tallies.items():
            self._add(Tally(*tally), times)

    def _add(self, tally: Tally, times: int) -> None:
        transport = tally.transport
        qtype = tally.qtype if tally.qtype in _TYPES else OTHER_TYPE
        _add(self.requests, (transport, tally.family, qtype), times)
        _add(self.responses, (rcode_text(tally.rcode), tally.written_by), times)
        _sizes(self.request_size, transport).observe(tally.request_size, times)
        _sizes(self.response_size, transport).observe(tally.response_size, times)
        self.do_requests += times if tally.has_do else 0
        self.outcomes[tally.outcome] += times


def _add(counts: dict[K, int], key: K, times: int) -> None:
    counts[key] = counts.get(key, 0) + times


def _sizes(histograms: dict[str, Histogram], transport: str) -> Histogram:
    if transport not in histograms:
        histograms[transport] = Histogram(SIZE_BOUNDS)
    return histograms[transport]
