import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.corefile import Destination, nameservers
from nodecache.corefile.destinations import destination


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("10.0.0.1", Destination("address", "10.0.0.1")),
        ("10.0.0.1:5300", Destination("address", "10.0.0.1", 5300)),
        ("dns://10.0.0.1", Destination("address", "10.0.0.1")),
        ("::1", Destination("address", "::1")),
        ("[::1]", Destination("address", "::1")),
        ("[::1]:53", Destination("address", "::1")),
        ("fe80::1%eth0", Destination("address", "fe80::1%eth0")),
        ("[fe80::1%eth0]:5300", Destination("address", "fe80::1%eth0", 5300)),
        ("tls://9.9.9.9", Destination("address", "9.9.9.9", 853, "tls")),
        ("tls://9.9.9.9%q.net", Destination("address", "9.9.9.9", 853, "tls", "q.net")),
        ("tls://9.9.9.9%q.net:854", Destination("address", "9.9.9.9", 854, "tls", "q.net")),
        ("tls://[2400::1%q.net]:853", Destination("address", "2400::1", 853, "tls", "q.net")),
        ("tls://2400::1%q.net", Destination("address", "2400::1", 853, "tls", "q.net")),
        ("tls://9.9.9.9%q.net.", Destination("address", "9.9.9.9", 853, "tls", "q.net")),
        ("/etc/resolv.conf", Destination("file", "/etc/resolv.conf")),
        ("./resolv.conf", Destination("file", "./resolv.conf")),
        ("ns.example.org", Destination("name", "ns.example.org")),
        ("ns.example.org:5300", Destination("name", "ns.example.org", 5300)),
        ("kube-dns", Destination("name", "kube-dns")),
        ("tls://one.one", Destination("name", "one.one", 853, "tls")),
    ],
)
def test_destinations_are_addresses_files_or_names(word, expected):
    assert destination(word) == expected


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("a27.0.0.1", "must be an IP address, a file like resolv.conf or a host name"),
        ("1.2.3.256", "must be an IP address"),
        ("<nil>", "must be an IP address, a file like resolv.conf or a host name, not '<nil>'"),
        ("", "must be an IP address"),
        ("10.0.0.1:0", "must have a port from 1 to 65535, not '10.0.0.1:0'"),
        ("10.0.0.1:dns", "must have a port from 1 to 65535"),
        ("10.0.0.0/24", "must be an address, not a network: '10.0.0.0/24'"),
        ("quic://10.0.0.1", "must be reached over dns://, tls:// or https://, not 'quic://10"),
        ("__PILLAR__CLUSTER__DNS__", "must be filled in: nothing was put in the place of"),
        ("https://1.1.1.1/dns-query", "must have no path"),
    ],
)
def test_what_nobody_can_be_asked_at_is_refused(word, why):
    with pytest.raises(ValueError, match=why):
        destination(word)


@given(st.text())
def test_any_word_is_a_destination_or_a_value_error(word):
    with contextlib.suppress(ValueError):
        destination(word)


def test_nameserver_lines_of_a_resolv_conf_are_read():
    text = """# made by hand
nameserver 10.10.255.252
  nameserver  10.10.255.253   # trailing words
nameserver fe80::1%en0
nameserver 10.10.255.252
nameserver [10.10.255.254]
nameserver [fd00::53]:5353
nameserver tls://10.0.0.3
nameserver nonsense
nameserver
; nameserver 10.0.0.1
#nameserver 10.0.0.2
search example.org
options ndots:5
"""
    assert nameservers(text) == (
        Destination("address", "10.10.255.252"),
        Destination("address", "10.10.255.253"),
        Destination("address", "fe80::1%en0"),
        Destination("address", "10.10.255.254"),
        Destination("address", "fd00::53", 5353),
    )


def test_a_resolv_conf_may_name_nobody():
    assert nameservers("") == ()
