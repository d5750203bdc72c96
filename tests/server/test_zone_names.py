import pytest

from nodecache.server.zone_names import ZoneNames
from nodecache.wire import wire_of


@pytest.mark.parametrize(
    ("qname", "zone"),
    [
        ("a.b.example.org.", "b.example.org."),
        ("example.org.", "example.org."),
        ("xexample.org.", None),
        ("org.", None),
    ],
)
def test_the_longest_zone_counts(qname, zone):
    zones = ZoneNames(["example.org", "B.example.org."])
    assert zones.match(wire_of(qname)) == zone


def test_the_root_holds_every_name():
    assert ZoneNames(["."]).match(wire_of("a.example.")) == "."


def test_zones_are_absolute_and_in_lower_case():
    zones = ZoneNames(["Example.ORG", "other.ORG."])
    assert zones.match(wire_of("a.example.org")) == "example.org."
    assert zones.match(wire_of("other.org")) == "other.org."
