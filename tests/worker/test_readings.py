import pytest

from nodecache.cache import Budget
from nodecache.corefile import parse
from nodecache.forward import UpstreamRegistry
from nodecache.metrics import Collector
from nodecache.server import InflightLimiter, ServerCounts
from nodecache.server.counts import Outcome, Tally
from nodecache.worker.assembly import WorkerContext, build
from nodecache.worker.pods import ClusterPods
from nodecache.worker.readings import Readings
from tests.cache.made import START, answer
from tests.metrics.test_collector import samples
from tests.scenarios.simulated import SimulatedWorld
from tests.scenarios.subjects import SimulatedLoop

HIT = Tally(
    "udp", "1", 1, 0, 40, 120, has_do=False, written_by="cache", outcome=Outcome.HIT_SUCCESS
)
SERVER = "dns://169.254.20.10:53"


class Worker:
    """What Readings read: one block at some addresses, and its cache."""

    def __init__(self, lines: str, servers: tuple[str, ...] = (SERVER,)) -> None:
        text = f"vendor.example cluster.local {{\n{lines}\nforward . 192.0.2.1\n}}\n"
        (block,) = parse(text, "Corefile", env={}).blocks
        world = SimulatedWorld()
        self.context = WorkerContext(
            SimulatedLoop(world), UpstreamRegistry(world), Budget(), InflightLimiter()
        )
        self.built = [build(block, self.context)]
        self.pods = ClusterPods(self.context.upstreams, lambda _: None)
        places = [(server, name) for server in servers for name in block.zone_names]
        self.counts = {place: ServerCounts(*place) for place in places}
        self.placed = [(*place, self.built[0]) for place in places]

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """What a page tells under a name, by labels in their alphabetic order."""
        page = samples(Collector(Readings(self).scrape))
        return {labels: value for (told, labels), value in page.items() if told == name}


@pytest.mark.parametrize(
    ("cache", "zones"),
    [
        ("cache", "vendor.example.,cluster.local."),
        ("cache 30 b.cluster.local", "b.cluster.local."),
    ],
)
def test_a_block_with_two_keys_has_one_series_of_its_cache(cache, zones):
    """As in CoreDNS, whose label `zones` joins them."""
    worker = Worker(cache)
    entries = {(SERVER, kind, "", zones) for kind in ("success", "denial")}
    assert worker.series("coredns_cache_entries").keys() == entries
    assert worker.series("coredns_cache_misses_total").keys() == {(SERVER, "", zones)}


def test_hits_are_told_where_they_were_asked_and_entries_at_the_first_address():
    other = "dns://10.96.0.10:53"
    worker = Worker("cache", (SERVER, other))
    worker.built[0].zone.cache.put(b"k", answer(), 30, START)
    worker.counts[other, "cluster.local."].count(HIT)
    worker.counts[other, "cluster.local."].flush()
    hits, entries = (
        {labels[0]: value for labels, value in worker.series(name).items() if "success" in labels}
        for name in ("coredns_cache_hits_total", "coredns_cache_entries")
    )
    assert hits == {SERVER: 0, other: 1}
    assert entries == {SERVER: 1, other: 0}


def test_entries_are_counted_at_the_moment_of_the_scrape():
    """What is past all use is swept away by itself, and not only when something is stored."""
    worker = Worker("nodecache {\nstale 0\n}\ncache")
    worker.built[0].zone.cache.put(b"k", answer(), 30, START)
    success = (SERVER, "success", "", "vendor.example.,cluster.local.")
    assert worker.series("coredns_cache_entries")[success] == 1
    worker.context.budget.sweep(START + 40, 10)
    assert worker.series("coredns_cache_entries")[success] == 0
