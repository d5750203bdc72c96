"""What the collector reads: protocols of the plain counts that other packages keep.

The agent makes one `Source` for each scrape; the collector keeps none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .exposition import Buckets, Labels


class ServerCounts(Protocol):
    """Queries and replies of one zone on one listen address (`server/counts.py`)."""

    @property
    def server(self) -> str:
        """The listen address as CoreDNS labels it, `dns://169.254.20.10:53`."""

    @property
    def zone(self) -> str:
        """Zone name, with the dot; `dropped` for what no zone took."""

    @property
    def view(self) -> str:
        """Always empty here, as in the stock Corefile."""

    @property
    def requests(self) -> Mapping[tuple[str, str, int], int]:
        """Queries by transport (`udp`, `tcp`), family (`1` IPv4, `2` IPv6) and qtype."""

    @property
    def responses(self) -> Mapping[tuple[str, str], int]:
        """Replies by rcode text and the directive that answered, empty for the server itself."""

    @property
    def do_requests(self) -> int:
        """Queries with DO set."""

    @property
    def duration(self) -> Buckets:
        """Seconds from query to reply."""

    @property
    def request_size(self) -> Mapping[str, Buckets]:
        """Octets of queries by transport."""

    @property
    def response_size(self) -> Mapping[str, Buckets]:
        """Octets of replies by transport, as they were sent."""

    def flush(self) -> None:
        """Bring all of the above up to date."""


class UpstreamCounts(Protocol):
    """Queries to one upstream, and their outcomes."""

    @property
    def to(self) -> str:
        """Its address, `10.96.0.10:53`."""

    @property
    def duration_by_rcode(self) -> Mapping[str, Buckets]:
        """Seconds until an answer came, by its rcode."""

    @property
    def healthcheck_failures(self) -> int:
        """Probes that got no answer."""

    @property
    def conn_hits(self) -> Mapping[str, int]:
        """Queries sent on a connection that was open already, by transport."""

    @property
    def conn_misses(self) -> Mapping[str, int]:
        """Queries that needed a new connection, by transport."""

    unmatched: int
    """Answers to nothing we asked: late, unasked or forged."""
    malformed: int
    connections_opened: int
    connections_lost: int
    """Connections that ended while they owed us answers."""
    connections_silent: int
    loops: int
    """Times that it was found to lead back to us."""


class ForwarderCounts(Protocol):
    """Counts of one forwarder, all its upstreams together."""

    healthcheck_broken: int
    max_concurrent_rejects: int
    hedged: int
    retried: int
    failed_over: int
    failed: int


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
    prefetches: int = 0
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
    health_duration: Buckets | None = None
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
class DirectiveCounts:
    """Counts of the small directives, by label values in the order of their families."""

    template_matches: Mapping[Labels, int] = field(default_factory=dict)
    template_failures: Mapping[Labels, int] = field(default_factory=dict)
    template_rr_failures: Mapping[Labels, int] = field(default_factory=dict)
    dns64_translated: Mapping[str, int] = field(default_factory=dict)
    acl: Mapping[Labels, int] = field(default_factory=dict)
    """By what became of the query (`allow`, `block`, `filter`, `drop`), server and zone."""
    hosts_entries: Mapping[str, int] = field(default_factory=dict)
    hosts_reloaded_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Source:
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
    agent: AgentNumbers = field(default_factory=AgentNumbers)
