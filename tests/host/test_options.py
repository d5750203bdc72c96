from ipaddress import ip_address as ip

import pytest

from nodecache.host import HostError, HostOptions

LOCAL, SERVICE = ip("169.254.20.10"), ip("10.96.0.10")
LOCAL6, SERVICE6 = ip("fe80::10"), ip("fd00::10")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"interface": "a-name-of-16-oct"}, "-interfacename", id="16 octets"),
        pytest.param({"interface": ""}, "-interfacename", id="no name"),
        pytest.param({"interface": "a/b"}, "-interfacename", id="slash"),
        pytest.param({"addresses": (ip("0.0.0.0"),)}, "-setupinterface=false", id="wildcard"),
    ],
)
def test_what_no_host_can_carry_out_is_refused_in_one_line_that_names_the_flag(wrong, words):
    with pytest.raises(HostError) as caught:
        HostOptions(**{"addresses": (LOCAL,), **wrong})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_wildcard_is_fine_where_the_host_is_left_alone():
    options = HostOptions(addresses=(ip("0.0.0.0"),), setup_interface=False, rules="none")
    assert options.leased_addresses == ()


def test_every_address_that_is_not_link_local_is_leased():
    options = HostOptions(addresses=(LOCAL, SERVICE, LOCAL6, SERVICE6))
    assert options.leased_addresses == (SERVICE, SERVICE6)
    assert options.standing_addresses == (LOCAL, LOCAL6)


def test_the_flag_decides_what_is_leased():
    options = HostOptions(addresses=(LOCAL, SERVICE), leased=(LOCAL,))
    assert options.leased_addresses == (LOCAL,)


def test_a_lease_of_0_leases_nothing():
    options = HostOptions(addresses=(LOCAL, SERVICE), lease_seconds=0)
    assert options.standing_addresses == (LOCAL, SERVICE)


def test_a_link_local_address_with_a_fallback_of_its_family_is_leased_too():
    options = HostOptions(addresses=(LOCAL, LOCAL6), fallback=(SERVICE,))
    assert options.leased_addresses == (LOCAL,)
    assert options.fallback_of(LOCAL) == SERVICE
    assert options.fallback_of(LOCAL6) is None


def test_an_address_given_twice_counts_once():
    assert HostOptions(addresses=(LOCAL, SERVICE, LOCAL)).addresses == (LOCAL, SERVICE)
