"""The settings of a forwarder: the `forward` directive in the forwarder's own terms."""

from dataclasses import dataclass

from nodecache.wire import Rcode

# Kept short so that a Service address is spread anew over its pods: an upstream scaled up gets
# its share within minutes. CoreDNS has no limit unless `max_age` is set.
DEFAULT_MAX_AGE_SECONDS = 120.0

DEFAULT_POOL_SIZE = 4

# Which answers make the next upstream be asked where the Corefile does not say. CoreDNS: none;
# users have wished for it since 2018 (coredns#2524). They are those after which a stub resolver
# such as glibc's goes on to its next server.
DEFAULT_FAILOVER = frozenset({int(Rcode.SERVFAIL), int(Rcode.REFUSED), int(Rcode.NOTIMP)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Files for TLS; empty names are none. `stamp` changes when one of them does."""

    certificate_file: str = ""
    key_file: str = ""
    authority_file: str = ""
    stamp: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The settings of one upstream. Forwarders with equal settings share its connections."""

    force_tcp: bool = False
    expire_seconds: float = 10.0
    """An idle connection is closed after this long."""
    max_age_seconds: float = DEFAULT_MAX_AGE_SECONDS
    """A connection takes no more queries after about this long; 0 is never."""
    max_idle_connections: int = 0
    """Idle connections kept; 0 is as many as there are."""
    max_connections: int = DEFAULT_POOL_SIZE
    """Connections at once: kube-dns' dnsmasq takes 20 from all of a cluster's nodes."""
    may_exceed_pool: bool = True
    """Whether there are more while queries wait on all of them."""
    max_fails: int = 2
    """More failed probes in a row than this, and the upstream is down; 0 is never."""
    read_timeout_seconds: float = 2.0
    probe_seconds: float = 0.5
    """Between two probes of an upstream that failed."""
    probe_recursion: bool = True
    probe_name: str = "."
    tls: TlsSettings = TlsSettings()
    source_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How queries are forwarded. Defaults are CoreDNS's, but for `failover_rcodes`."""

    from_zone: str = "."
    except_zones: tuple[str, ...] = ()
    prefer_udp: bool = False
    policy: str = "random"
    max_concurrent: int = 0
    """Queries in flight at once, beyond which they are refused; 0 is no limit."""
    max_connect_attempts: int | None = None
    """Failed connection attempts one query may cost; 0 is no limit, None twice the upstreams."""
    fails_fast: bool = False
    """Give up at once when every upstream is down, instead of trying one all the same."""
    failover_rcodes: frozenset[int] = DEFAULT_FAILOVER
    next_rcodes: frozenset[int] = frozenset()
    """Answers that make the next forwarder of the block be asked."""
    next_on_nodata: bool = False
    hedges: bool = True
    """Whether a query that hangs is asked once more on another way."""
    upstream: UpstreamSettings = UpstreamSettings()
