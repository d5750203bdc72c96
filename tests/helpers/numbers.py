"""Counts of a node that has been busy, for tests of the metrics page."""

from nodecache.forward.counts import ForwarderCounts, UpstreamCounts
from nodecache.forward.histogram import DURATION_BOUNDS, Histogram
from nodecache.metrics import AgentNumbers, CacheNumbers, Scrape, UpstreamState
from nodecache.server import DirectiveCounts, ServerCounts
from nodecache.server.counts import SIZE_BOUNDS
from nodecache.wire import Rcode

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


def busy_server(address: str, zone: str, count: int = 10) -> ServerCounts:
    """A zone that answered `count` queries of each kind at `address`."""
    return ServerCounts(
        f"dns://{address}:53",
        zone,
        requests={("udp", "1", A): count, ("udp", "1", AAAA): count, ("tcp", "1", SRV): count},
        responses={
            ("NOERROR", "cache"): 2 * count,
            ("NXDOMAIN", "forward"): count,
            ("SERVFAIL", "forward"): 0,
        },
        do_requests=1,
        duration=histogram(DURATION_BOUNDS, *[0.0001] * count, *[0.003] * count, *[0.1] * count),
        request_size={t: histogram(SIZE_BOUNDS, *[45.0] * count) for t in ("udp", "tcp")},
        response_size={t: histogram(SIZE_BOUNDS, *[120.0] * count) for t in ("udp", "tcp")},
    )


def busy_upstream(to: str, count: int = 10) -> UpstreamCounts:
    return UpstreamCounts(
        to,
        durations={
            Rcode.NOERROR: histogram(DURATION_BOUNDS, *[0.001] * count),
            Rcode.SERVFAIL: histogram(DURATION_BOUNDS, 0.5),
        },
        sent={"tcp": count + 1},
        conn_misses={"tcp": 1},
        connections_opened=1,
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


def busy_node(count: int = 10) -> Scrape:
    """The stock Corefile's four zones on two addresses, two upstreams behind them."""
    places = [(address, zone) for address in ADDRESSES for zone in ZONES]
    return Scrape(
        servers=[busy_server(address, zone, count) for address, zone in places],
        plugins=[(f"dns://{a}:53", zone, name) for a, zone in places for name in DIRECTIVES],
        caches=[busy_cache(address, zone, count) for address, zone in places],
        upstreams=[busy_upstream(to, count) for to in ("10.96.0.53:53", "192.0.2.53:53")],
        upstream_states=[UpstreamState(to="10.96.0.53:53", round_trip_seconds=0.002)],
        cluster_pods={"dns": 2},
        forwarders=[ForwarderCounts(hedged=count), ForwarderCounts()],
        directives=DirectiveCounts(
            template_matches={("dns://169.254.20.10:53", ".", "", "IN", "AAAA"): count},
            dns64_translated={"dns://169.254.20.10:53": 1},
        ),
        hosts_entries={"/etc/hosts": 4},
        agent=AgentNumbers(
            config_hash="c0ffee",
            health_duration=histogram(HEALTH, 0.0004, 0.0004),
            cache_octets=1_000_000,
            cache_budget_octets=64_000_000,
            config_loaded_at=1.7e9,
        ),
    )
