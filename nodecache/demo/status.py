"""The demo's status line: figures of the last second, from the agent's own metrics page."""

import urllib.error
import urllib.request
from collections import defaultdict
from dataclasses import dataclass

_PAGE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums over all zones since the agent's start; seconds and counts."""

    queries: float = 0.0
    hits: float = 0.0
    misses: float = 0.0
    upstream_seconds: float = 0.0
    upstream_answers: float = 0.0


_FAMILIES = {
    "coredns_dns_requests_total": "queries",
    "coredns_cache_hits_total": "hits",
    "coredns_cache_misses_total": "misses",
    "coredns_proxy_request_duration_seconds_sum": "upstream_seconds",
    "coredns_proxy_request_duration_seconds_count": "upstream_answers",
}


def figures_of(page: str) -> Figures:
    """Add up the few series that the status line tells, of a page in Prometheus' text format."""
    sums: defaultdict[str, float] = defaultdict(float)
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        field = _FAMILIES.get(series.partition("{")[0])
        if field is not None:
            sums[field] += float(value)
    return Figures(**sums)


def read_figures(address: str) -> Figures | None:
    """The figures of the agent whose metrics are at `address`, or None where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=_PAGE_SECONDS) as page:
            return figures_of(page.read().decode())
    except (OSError, urllib.error.URLError):
        return None


def status_line(before: Figures, after: Figures, seconds: float) -> str:
    """What happened between two readings that are `seconds` apart."""
    asked = after.hits - before.hits + after.misses - before.misses
    answers = after.upstream_answers - before.upstream_answers
    ratio = f"{(after.hits - before.hits) / asked:.0%}" if asked else "-"
    waited = after.upstream_seconds - before.upstream_seconds
    latency = f"{waited / answers * 1000:.1f} ms" if answers else "-"
    rate = (after.queries - before.queries) / seconds
    return f"{rate:,.0f} queries/s   hit ratio {ratio}   upstream {latency}"
