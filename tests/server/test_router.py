import pytest

from nodecache.server.replies import ZoneBinding
from nodecache.server.router import Zones
from nodecache.wire import read_query
from tests.server.zone_harness import ZoneHarness
from tests.wire.messages import name, query

STOCK = (".", "cluster.local.", "in-addr.arpa.", "ip6.arpa.")


def served(question: str, *zone_names: str) -> str | None:
    """The name of the zone that takes a question."""
    bindings = {zone_name: binding() for zone_name in zone_names}
    zones = Zones((name(zone_name), served) for zone_name, served in bindings.items())
    taken = zones.match(read_query(query(question)))
    return next((zone_name for zone_name, served in bindings.items() if served is taken), None)


def binding() -> ZoneBinding:
    return ZoneHarness().served


@pytest.mark.parametrize(
    ("qname", "zone_name"),
    [
        ("kubernetes.default.svc.cluster.local.", "cluster.local."),
        ("KUBERNETES.default.svc.Cluster.LOCAL.", "cluster.local."),
        ("cluster.local.", "cluster.local."),
        ("xcluster.local.", "."),
        ("local.", "."),
        ("1.0.96.10.in-addr.arpa.", "in-addr.arpa."),
        ("example.com.", "."),
        (".", "."),
    ],
)
def test_the_longest_zone_takes_a_name(qname, zone_name):
    assert served(f"{qname} A", *STOCK) == zone_name


def test_a_stub_domain_takes_its_names_from_the_zone_above():
    assert served("a.b.example. A", "example.", "b.example.", "c.b.example.") == "b.example."


@pytest.mark.parametrize("qname", ["example.com.", "."])
def test_a_name_that_no_block_covers_is_nobodys(qname):
    assert served(f"{qname} A", "cluster.local.") is None


def test_labels_that_look_like_dots_are_no_dots():
    """A label may hold a dot: `a.cluster\\.local` is no name of cluster.local."""
    zones = Zones([(name("cluster.local."), binding())])
    asked = read_query(query("a.cluster\\.local. A"))
    assert zones.match(asked) is None


@pytest.mark.parametrize(
    ("qname", "zone_name"),
    [
        ("a.b.example.", "example."),
        ("b.example.", "example."),
        ("example.", "example."),
        ("other.", "."),
    ],
)
def test_ds_records_live_in_the_topmost_zone(qname, zone_name):
    assert served(f"{qname} DS", ".", "example.", "b.example.") == zone_name
    assert served("a.b.example. DS", "b.example.") == "b.example."
    assert served("a.example. DS", "b.") is None


def test_all_zones_can_be_gone_through():
    root, child = binding(), binding()
    assert list(Zones([(b"\0", root), (b"\1a\0", child)])) == [root, child]
