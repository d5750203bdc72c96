import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.corefile import ZoneKey
from nodecache.corefile.names import (
    is_domain_name,
    reverse_zones,
    zone_keys,
    zone_name,
    zone_names,
)
from nodecache.wire import wire_of


@pytest.mark.parametrize(
    ("word", "zones"),
    [
        ("example.org", ["example.org."]),
        ("Example.ORG.", ["example.org."]),
        (".", ["."]),
        (".:53", ["."]),
        ("example.org:53", ["example.org."]),
        ("dns://example.org", ["example.org."]),
        ("10.0.0.0/8:53", ["10.in-addr.arpa."]),
        ("10.0.0.0/15", ["0.10.in-addr.arpa.", "1.10.in-addr.arpa."]),
        ("10.9.3.0/18", [f"{n}.9.10.in-addr.arpa." for n in range(64)]),
        ("10.9.3.4/32", ["4.3.9.10.in-addr.arpa."]),
        ("0.0.0.0/0", ["in-addr.arpa."]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa."]),
        ("2001:db8::/30", [f"{n}.b.d.0.1.0.0.2.ip6.arpa." for n in "89ab"]),
        ("2001:db8::/29", [f"{n}.b.d.0.1.0.0.2.ip6.arpa." for n in "89abcdef"]),
        ("2001:db8::/112", ["0." * 20 + "8.b.d.0.1.0.0.2.ip6.arpa."]),
        ("2001:db8::/114", [f"{n}." + "0." * 20 + "8.b.d.0.1.0.0.2.ip6.arpa." for n in "0123"]),
    ],
)
def test_a_word_stands_for_one_zone_or_the_zones_of_a_network(word, zones):
    assert list(zone_names(word)) == zones


@pytest.mark.parametrize(
    ("word", "keys"),
    [
        ("example.org", [ZoneKey("example.org.", 5300)]),
        ("example.org:53", [ZoneKey("example.org.", 53)]),
        (".", [ZoneKey(".", 5300)]),
        ("dns://.:1053", [ZoneKey(".", 1053)]),
        ("tls://example.org", [ZoneKey("example.org.", 853, "tls")]),
        ("10.0.0.0/24:53", [ZoneKey("0.0.10.in-addr.arpa.", 53)]),
    ],
)
def test_keys_have_a_port_of_their_own_or_the_default(word, keys):
    assert list(zone_keys(word, 5300)) == keys


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("example.org:", "must have a port after the last colon, not 'example.org:'"),
        ("example.org:0", "must have a port from 1 to 65535, not 'example.org:0'"),
        ("example.org:65536", "must have a port from 1 to 65535"),
        ("https://example.org", "must be served over dns:// or tls://, not 'https://example.org'"),
        (":53", "must be a domain name, not ''"),
        ("a..b", "must be a domain name, not 'a..b'"),
        (".a", "must be a domain name, not '.a'"),
        ("a" * 64, "must be a domain name"),
        (".".join(["a" * 63] * 4), "must be a domain name"),
        ("ü" * 32, "must be a domain name"),
        ("10.0.0.0/33", "must be a network in CIDR notation"),
    ],
)
def test_keys_that_cannot_be_served_are_refused(word, why):
    with pytest.raises(ValueError, match="^" + why.replace("(", r"\(")):
        zone_keys(word, 53)


def test_a_name_outside_ascii_is_that_of_its_octets():
    """As in CoreDNS, which tells that nobody prefers it."""
    assert zone_keys("Bücher.example", 53) == (ZoneKey("bücher.example.", 53),)
    assert wire_of("bücher.example.") == b"\7b\xc3\xbccher\7example\0"
    assert is_domain_name("ü" * 31 + ".")


def test_escaped_characters_count_as_one_octet():
    assert zone_name(r"\065" * 63) == r"\065" * 63 + "."
    assert zone_name(r"a\.b") == r"a\.b."
    with pytest.raises(ValueError, match="domain name"):
        zone_name(r"\065" * 64)


@given(st.text() | st.text("a.\\029ü", max_size=12))
def test_any_word_is_keys_that_can_be_routed_or_a_value_error(word):
    keys: tuple[ZoneKey, ...] = ()
    with contextlib.suppress(ValueError):
        keys = zone_keys(word, 53)
    for key in keys:
        assert key.zone_name.endswith(".")
        assert wire_of(key.zone_name).endswith(b"\0")


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_reverse_zones_hold_every_address_of_the_network(address, prefix):
    zones = reverse_zones(f"{address}/{prefix}")
    assert any(f"{address.reverse_pointer}.".endswith(zone) for zone in zones)
