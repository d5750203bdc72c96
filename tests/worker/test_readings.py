from types import SimpleNamespace

import pytest

from nodecache.cache import Budget
from nodecache.corefile import parse
from nodecache.forward import Upstreams
from nodecache.metrics import Collector
from nodecache.server import ServerCounts, WaitingRoom
from nodecache.worker.assembly import Workshop, build
from nodecache.worker.readings import Readings
from tests.metrics.test_collector import samples
from tests.scenarios.simulated import SimulatedWorld
from tests.scenarios.subjects import SimulatedLoop

SERVER = "dns://169.254.20.10:53"


@pytest.mark.parametrize(
    ("cache", "zones"),
    [
        ("cache", "vendor.example.,cluster.local."),
        ("cache 30 b.cluster.local", "b.cluster.local."),
    ],
)
def test_a_block_with_two_keys_has_one_series_of_its_cache(cache, zones):
    """As in CoreDNS, whose label `zones` joins them."""
    text = f"vendor.example cluster.local {{\n{cache}\nforward . 192.0.2.1\n}}\n"
    (block,) = parse(text, "Corefile", env={}).blocks
    world = SimulatedWorld()
    shop = Workshop(SimulatedLoop(world), Upstreams(world), Budget(), WaitingRoom())
    built = build(block, shop)
    counts = {(SERVER, name): ServerCounts(SERVER, name) for name in block.zone_names}
    placed = [(SERVER, name, built) for name in block.zone_names]
    serving = SimpleNamespace(placed=placed, counts=counts, built=[built], shop=shop)
    page = samples(Collector(Readings(serving).source))
    labels = {labels for name, labels in page if name.startswith("coredns_cache_entries")}
    assert labels == {(SERVER, kind, "", zones) for kind in ("success", "denial")}
    labels = {labels for name, labels in page if name == "coredns_cache_misses_total"}
    assert labels == {(SERVER, "", zones)}
