"""What a Corefile asks for, as frozen data. Defaults are CoreDNS's unless a field says otherwise.

Zone names are absolute and lower-cased (`cluster.local.`); durations are float seconds; patterns
are RE2 text that was compiled once to check it. All of it can be pickled, and compares by value:
two blocks with equal `forwards` ask the same upstreams.
"""

from dataclasses import dataclass, field
from typing import Literal

from . import answering, observing
from .destinations import Destination, TlsOptions
from .rewriting import RewriteOptions

Policy = Literal["random", "round_robin", "sequential"]

MIN_CAPACITY = 1024
"""Entries that a cache keeps of each kind whatever it is told: plugin/pkg/cache, 256 shards of 4."""

CHAIN = (
    "nodecache",
    "metadata",
    "timeouts",
    "reload",
    "bufsize",
    "bind",
    "debug",
    "trace",
    "ready",
    "health",
    "pprof",
    "prometheus",
    "errors",
    "log",
    "dnstap",
    "acl",
    "any",
    "dns64",
    "loadbalance",
    "minimal",
    "cache",
    "rewrite",
    "template",
    "hosts",
    "loop",
    "forward",
    "whoami",
)
"""The order in which directives see a query, whatever their order in the Corefile."""


@dataclass(frozen=True, slots=True)
class ZoneKey:
    """One zone of one block: `dns://cluster.local.:53`."""

    zone_name: str
    port: int
    scheme: str = "dns"
    written: str = field(default="", compare=False)
    """How its letters stand in the Corefile; empty if all are in lower case."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.zone_name}:{self.port}"


@dataclass(frozen=True, slots=True)
class BindLine:
    """One `bind` line: addresses and names of interfaces, and those to leave out."""

    addresses: tuple[str, ...]
    except_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BindOptions:
    """`bind`: the exceptions of each line apply to that line only."""

    lines: tuple[BindLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchOptions:
    """Fetch again before expiry what was hit `amount` times; 0 is off."""

    amount: int
    seconds: float = 60.0
    percentage: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleOptions:
    """`serve_stale`: for how long past its TTL an answer may be given; 0 is off."""

    seconds: float = 3600.0
    mode: Literal["immediate", "verify"] = "immediate"
    verify_timeout_seconds: float = 0.0
    """How long `verify` waits for the upstream; 0 is for as long as that takes."""
    response_ttl: int = 0
    failure_recheck_seconds: float = 0.0
    """After a failed refresh the upstream is left alone this long."""
    prefers_positive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """`cache`. Empty `zones` are the block's own."""

    zones: tuple[str, ...] = ()
    success_capacity: int = 9984
    """As written; below `MIN_CAPACITY` it is that."""
    success_ttl: int = 3600
    success_min_ttl: int = 5
    denial_capacity: int = 9984
    denial_ttl: int = 1800
    denial_min_ttl: int = 5
    has_denial: bool = False
    """Whether the Corefile itself says how long denials are kept."""
    servfail_seconds: float | None = None
    """None where the Corefile does not say (CoreDNS: 5 s); 0 keeps none."""
    prefetch: PrefetchOptions | None = None
    serve_stale: StaleOptions | None = None
    disable_success: tuple[str, ...] = ()
    disable_denial: tuple[str, ...] = ()
    keepttl: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOptions:
    """`forward FROM TO…`."""

    from_zone: str = "."
    to: tuple[str, ...]
    """As written, files too."""
    destinations: tuple[Destination, ...]
    """`to`, read: addresses, resolv.conf files and host names, in order."""
    except_zones: tuple[str, ...] = ()
    force_tcp: bool = False
    prefer_udp: bool = False
    expire_seconds: float = 10.0
    max_age_seconds: float | None = None
    """None where the Corefile does not say (CoreDNS: no limit); 0 is no limit."""
    max_idle_conns: int = 0
    max_fails: int = 2
    max_connect_attempts: int | None = None
    """None where the Corefile does not say: twice the upstreams; 0 is no limit."""
    read_timeout_seconds: float = 2.0
    tls: TlsOptions | None = None
    tls_servername: str = ""
    policy: Policy = "random"
    health_check_seconds: float = 0.5
    health_check_recursion: bool = True
    health_check_domain: str = "."
    max_concurrent: int = 0
    next_rcodes: frozenset[int] = frozenset()
    next_on_nodata: bool = False
    failfast: bool = False
    failover_rcodes: frozenset[int] | None = None
    """None where the Corefile does not say (CoreDNS: none)."""
    resolver: tuple[str, ...] = ()
    """Who resolves destinations that are host names; empty is the node's resolvers."""
    source_address: str = ""
    doh_method: Literal["POST", "GET"] = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadOptions:
    """`reload`."""

    interval_seconds: float = 30.0
    jitter_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutsOptions:
    """`timeouts`: None is the default of the server."""

    read_seconds: float | None = None
    write_seconds: float | None = None
    idle_seconds: float | None = None
    max_tcp_queries: int | None = None
    """For each connection; -1 is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOptions:
    """`nodecache { … }`, our own directive. None: the default is computed."""

    budget_octets: int | None = None
    """For all caches of the process together."""
    max_waiting: int | None = None
    """Queries that may wait for upstreams, in the whole process."""
    max_waiting_per_client: int | None = None
    stale_seconds: float = 3600.0
    """For how long past its TTL an answer helps out where `serve_stale` is not given; 0 is off."""
    client_deadline_seconds: float = 1.0
    """How long a client waits for the upstream before a stale answer is better."""
    hedges: bool = True
    """Whether a query that hangs is asked again on another connection."""
    pool_size: int | None = None
    """TCP connections to each upstream."""
    asks_pods: bool = True
    """Whether a `forward` to the cluster DNS address asks kube-dns' pods themselves."""
    searches_ahead: bool = True
    """Whether the next steps of a client's search list are asked as soon as one is denied."""
    suppresses_aaaa: bool = False
    """Answer AAAA with "no such data" (for clusters without IPv6)."""
    denial_cap_seconds: float | None = None
    """Most seconds a denial is kept in a domain's block where `cache` does not say; None: see docs."""


OF_THE_PROCESS = ("budget_octets", "max_waiting", "max_waiting_per_client")
"""Those of the options of `nodecache` that hold for all blocks together; the others are each block's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBlock:
    """One server block. `file` and `line` (of its first key) are for messages."""

    zones: tuple[ZoneKey, ...]
    bind: BindOptions | None = None
    cache: CacheOptions | None = None
    forwards: tuple[ForwardOptions, ...] = ()
    errors: observing.ErrorsOptions | None = None
    health: observing.HealthOptions | None = None
    prometheus: observing.PrometheusOptions | None = None
    ready: observing.ReadyOptions | None = None
    reload: ReloadOptions | None = None
    loop: bool = False
    logs: tuple[observing.LogOptions, ...] = ()
    hosts: answering.HostsOptions | None = None
    templates: tuple[answering.TemplateOptions, ...] = ()
    rewrites: tuple[RewriteOptions, ...] = ()
    dns64: answering.Dns64Options | None = None
    dnstaps: tuple[observing.DnstapOptions, ...] = ()
    loadbalance: answering.LoadbalanceOptions | None = None
    bufsize: int | None = None
    timeouts: TimeoutsOptions | None = None
    debug: bool = False
    whoami: bool = False
    metadata: observing.MetadataOptions | None = None
    pprof: observing.PprofOptions | None = None
    trace: observing.TraceOptions | None = None
    acls: tuple[answering.AclOptions, ...] = ()
    minimal: bool = False
    any: bool = False
    nodecache: OwnOptions = field(default_factory=OwnOptions)
    directives: tuple[str, ...] = ()
    """Names of the directives present, in the order of CHAIN."""
    file: str = field(default="Corefile", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The names the block serves."""
        return tuple(zone.zone_name for zone in self.zones)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corefile:
    """A whole configuration."""

    blocks: tuple[ServerBlock, ...]
    warnings: tuple[str, ...] = ()
    """What works, but not as it reads: `FILE:LINE: directive: what`."""
    unfilled: tuple[str, ...] = ()
    """Placeholders left in it: served as they stand, and surely not meant."""
    left_out: tuple[str, ...] = ()
    """What cannot be served, beside the rest, which is."""
    imports: tuple[str, ...] = ()
    """Paths and glob patterns of the files that were imported, once each."""
    imported: tuple[tuple[str, str], ...] = ()
    """Path and text of each file that they led to."""
