import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.names import covers
from nodecache.wire import is_within, wire_of


def wire(name: str) -> bytes:
    return dns.name.from_text(name).to_wire()


@pytest.mark.parametrize(
    ("qname", "zone", "is_so"),
    [
        ("a.example.", "example.", True),
        ("example.", "example.", True),
        ("a.example.", ".", True),
        (".", ".", True),
        ("badexample.", "example.", False),
        ("example.", "a.example.", False),
        ("example.org.", "example.", False),
        (".", "example.", False),
    ],
)
def test_a_name_is_within_its_zones(qname, zone, is_so):
    assert is_within(wire(qname), {wire_of(zone)}) is is_so


def test_a_dot_within_a_label_is_no_border():
    """`forward a\\.b.example` of a Corefile is for the two labels that it names."""
    assert is_within(wire(r"x.a\.b.example."), {wire_of(r"a\.b.example.")})
    assert not is_within(wire("x.a.b.example."), {wire_of(r"a\.b.example.")})


def test_octets_that_look_like_a_zone_inside_a_label_do_not_count():
    # One label that ends in the very octets of "example.": its length octet is no label border.
    qname = b"\x09x\x07example\x00"
    assert not is_within(qname, {wire_of("example.")})


_labels = st.lists(st.sampled_from(["a", "b", "xa", "example"]), max_size=4)


@given(_labels, _labels)
def test_dnspython_agrees(qname, zone):
    full, suffix = ".".join(qname) + ".", ".".join(zone) + "."
    full, suffix = full if qname else ".", suffix if zone else "."
    expected = dns.name.from_text(full).is_subdomain(dns.name.from_text(suffix))
    assert is_within(wire(full), {wire_of(suffix)}) is expected


def test_excepted_names_are_left_to_others_but_never_the_zone_itself():
    zone, exceptions = (
        wire_of("example."),
        frozenset((wire_of("in.example."), wire_of("example."))),
    )
    assert not covers(wire("a.in.example."), zone, exceptions)
    assert not covers(wire("b.example."), zone, exceptions)
    assert covers(wire("example."), zone, exceptions)
    assert not covers(wire("org."), zone, frozenset())


class Counting(set[bytes]):
    """A set that counts how often it is asked."""

    asked = 0

    def __contains__(self, name: object) -> bool:
        self.asked += 1
        return super().__contains__(name)


def test_of_many_zones_as_many_are_looked_at_as_the_name_has_labels():
    """50,000 names after `except` cost each miss 25 ms."""
    zones = Counting(wire_of(f"n{number}.example.") for number in range(1000))
    assert not is_within(wire("a.b.example."), zones)
    assert zones.asked == 4
