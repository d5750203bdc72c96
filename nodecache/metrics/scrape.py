"""What the collector reads: the counts that other packages keep, and a few numbers made of theirs.

The agent makes one `Scrape` for each scrape; the collector keeps none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nodecache.forward.counts import ForwarderCounts, UpstreamCounts
from nodecache.forward.histogram import Histogram
from nodecache.server import DirectiveCounts, ServerCounts


@dataclass(slots=True, kw_only=True)
class CacheNumbers:
    """One zone's cache, as seen through one listen address."""

    server: str
    zones: str
    requests: int = 0
    """Queries that the cache was asked for: hits and misses."""
    hits_success: int = 0
    """Hits on positive answers, stale ones included."""
    hits_denial: int = 0
    misses: int = 0
    prefetch: int = 0
    served_stale: int = 0
    drops: int = 0
    """Answers not kept because their question is not the one that was asked."""
    evictions_success: int = 0
    evictions_denial: int = 0
    success_entries: int = 0
    denial_entries: int = 0


@dataclass(slots=True, kw_only=True)
class UpstreamState:
    """The state of one upstream now."""

    to: str
    is_quarantined: bool = False
    """Left out because a loop leads through it, or because it fails."""
    round_trip_seconds: float = 0.0
    in_flight: int = 0


@dataclass(slots=True, kw_only=True)
class AgentNumbers:
    """The worker as a whole. Gauges are true at the moment of the scrape."""

    panics: int = 0
    """Exceptions that no code expected; the query got SERVFAIL."""
    reload_failures: int = 0
    config_hash: str = ""
    """SHA-512 of the running Corefile in hex; empty before the first reload, as in CoreDNS."""
    is_last_reload_good: bool = True
    is_config_last_good: bool = False
    """Serving the last known good Corefile because today's is broken."""
    config_loaded_at: float = 0.0
    """When the running Corefile was taken into use, seconds since 1970."""
    health_duration: Histogram | None = None
    health_failures: int = 0
    cache_octets: int = 0
    cache_budget_octets: int = 0
    reply_table_entries: int = 0
    tasks: int = 0
    queries_in_flight: int = 0
    queries_shed: int = 0
    queries_coalesced: int = 0
    ahead_asked: int = 0
    """Questions that were asked upstream before a client did."""
    ahead_used: int = 0
    """Those of them that their client asked for then."""
    ahead_unused: int = 0
    """Those that it did not."""
    log_lines_lost: int = 0
    pages: Mapping[int, int] = field(default_factory=dict)
    """Metrics pages served, by HTTP status."""
    pages_in_flight: int = 0


@dataclass(slots=True, kw_only=True)
class Scrape:
    """Everything that one scrape shows. Counts with the same labels are added."""

    servers: Sequence[ServerCounts] = ()
    plugins: Iterable[tuple[str, str, str]] = ()
    """Server label, zone name and directive, for each directive that handles queries."""
    caches: Sequence[CacheNumbers] = ()
    upstreams: Sequence[UpstreamCounts] = ()
    upstream_states: Sequence[UpstreamState] = ()
    cluster_pods: Mapping[str, int] = field(default_factory=dict)
    """How many pods of kube-dns are known, by where the list is from; empty while there is none."""
    forwarders: Sequence[ForwarderCounts] = ()
    directives: DirectiveCounts = field(default_factory=DirectiveCounts)
    hosts_entries: Mapping[str, int] = field(default_factory=dict)
    """How many each file of `hosts` holds."""
    hosts_reloaded_at: float = 0.0
    agent: AgentNumbers = field(default_factory=AgentNumbers)
