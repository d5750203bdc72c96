"""Counts of a node that has been busy, for tests of the metrics page."""

from dataclasses import dataclass, field

from nodecache.metrics import (
    AgentNumbers,
    CacheNumbers,
    DirectiveCounts,
    Source,
    UpstreamState,
)
from nodecache.metrics.histogram import Histogram

DURATIONS = tuple(0.00025 * 2**n for n in range(16))
SIZES = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3)
HEALTH = (0.00025, 0.0025, 0.025, 0.25, 2.5)

ADDRESSES = ("169.254.20.10", "10.96.0.10")
ZONES = ("cluster.local.", "in-addr.arpa.", "ip6.arpa.", ".")
DIRECTIVES = ("prometheus", "errors", "cache", "loop", "forward")
A, AAAA, SRV, LOC = 1, 28, 33, 29


def histogram(bounds: tuple[float, ...], *values: float) -> Histogram:
    counted = Histogram(bounds)
    for value in values:
        counted.observe(value)
    return counted


@dataclass
class FakeServer:
    server: str
    zone: str
    view: str = ""
    requests: dict[tuple[str, str, int], int] = field(default_factory=dict)
    responses: dict[tuple[str, str], int] = field(default_factory=dict)
    do_requests: int = 0
    duration: Histogram = field(default_factory=lambda: Histogram(DURATIONS))
    request_size: dict[str, Histogram] = field(default_factory=dict)
    response_size: dict[str, Histogram] = field(default_factory=dict)

    def flush(self) -> None:
        pass


@dataclass
class FakeUpstream:
    to: str
    duration_by_rcode: dict[str, Histogram] = field(default_factory=dict)
    healthcheck_failures: int = 0
    conn_hits: dict[str, int] = field(default_factory=dict)
    conn_misses: dict[str, int] = field(default_factory=dict)
    unmatched: int = 0
    malformed: int = 0
    connections_opened: int = 1
    connections_lost: int = 0
    connections_silent: int = 0
    loops: int = 0


@dataclass
class FakeForwarder:
    healthcheck_broken: int = 0
    max_concurrent_rejects: int = 0
    hedged: int = 0
    retried: int = 0
    failed_over: int = 0
    failed: int = 0


def busy_server(address: str, zone: str, count: int = 10) -> FakeServer:
    """A zone that answered `count` queries of each kind at `address`."""
    return FakeServer(
        f"dns://{address}:53",
        zone,
        requests={("udp", "1", A): count, ("udp", "1", AAAA): count, ("tcp", "1", SRV): count},
        responses={
            ("NOERROR", "cache"): 2 * count,
            ("NXDOMAIN", "forward"): count,
            ("SERVFAIL", "forward"): 0,
        },
        do_requests=1,
        duration=histogram(DURATIONS, *[0.0001] * count, *[0.003] * count, *[0.1] * count),
        request_size={t: histogram(SIZES, *[45.0] * count) for t in ("udp", "tcp")},
        response_size={t: histogram(SIZES, *[120.0] * count) for t in ("udp", "tcp")},
    )


def busy_upstream(to: str, count: int = 10) -> FakeUpstream:
    return FakeUpstream(
        to,
        duration_by_rcode={
            "NOERROR": histogram(DURATIONS, *[0.001] * count),
            "SERVFAIL": histogram(DURATIONS, 0.5),
        },
        conn_hits={"tcp": count},
        conn_misses={"tcp": 1},
    )


def busy_cache(address: str, zone: str, count: int = 10) -> CacheNumbers:
    return CacheNumbers(
        server=f"dns://{address}:53",
        zones=zone,
        requests=3 * count,
        hits_success=2 * count,
        hits_denial=0,
        misses=count,
        success_entries=count,
    )


def busy_node(count: int = 10) -> Source:
    """The stock Corefile's four zones on two addresses, two upstreams behind them."""
    places = [(address, zone) for address in ADDRESSES for zone in ZONES]
    return Source(
        servers=[busy_server(address, zone, count) for address, zone in places],
        plugins=[(f"dns://{a}:53", zone, name) for a, zone in places for name in DIRECTIVES],
        caches=[busy_cache(address, zone, count) for address, zone in places],
        upstreams=[busy_upstream(to, count) for to in ("10.96.0.53:53", "192.0.2.53:53")],
        upstream_states=[UpstreamState(to="10.96.0.53:53", round_trip_seconds=0.002)],
        cluster_pods={"dns": 2},
        forwarders=[FakeForwarder(hedged=count), FakeForwarder()],
        directives=DirectiveCounts(
            template_matches={("dns://169.254.20.10:53", ".", "", "IN", "AAAA"): count},
            dns64_translated={"dns://169.254.20.10:53": 1},
            hosts_entries={"/etc/hosts": 4},
        ),
        agent=AgentNumbers(
            config_hash="c0ffee",
            health_duration=histogram(HEALTH, 0.0004, 0.0004),
            cache_octets=1_000_000,
            cache_budget_octets=64_000_000,
            config_loaded_at=1.7e9,
        ),
    )
