import pytest

from nodecache.corefile import Destination, ForwardOptions, TlsOptions
from tests.helpers.corefiles import block, body_errors, corefile

TO = {"to": ("10.0.0.1",), "destinations": (Destination("address", "10.0.0.1"),)}


def forward(options: str = "", words: str = ". 10.0.0.1") -> ForwardOptions:
    return block(f"forward {words} {{\n{options}\n}}").forwards[0]


def fault(options: str = "", words: str = ". 10.0.0.1") -> str:
    (only,) = body_errors(f"forward {words} {{\n{options}\n}}")
    return only.partition(": forward: ")[2]


def test_defaults_are_coredns_s_and_what_is_not_said_is_none():
    assert block("forward . 10.0.0.1").forwards == (ForwardOptions(**TO),)
    found = ForwardOptions(**TO)
    assert (found.expire_seconds, found.max_fails, found.health_check_seconds) == (10.0, 2, 0.5)
    assert found.max_age_seconds is None
    assert found.max_connect_attempts is None
    assert found.failover_rcodes is None


def test_destinations_are_kept_as_written_and_read():
    found = forward(words="example.org /etc/resolv.conf tls://9.9.9.9%q.net ns.a:5300")
    assert found.from_zone == "example.org."
    assert found.to == ("/etc/resolv.conf", "tls://9.9.9.9%q.net", "ns.a:5300")
    assert [each.kind for each in found.destinations] == ["file", "address", "name"]


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ("except miek.nl B.", {"except_zones": ("miek.nl.", "b.")}),
        ("except a\nexcept b", {"except_zones": ("a.", "b.")}),
        (
            "except 10.0.0.0/15",
            {"except_zones": ("0.10.in-addr.arpa.", "1.10.in-addr.arpa.")},
        ),
        ("force_tcp", {"force_tcp": True}),
        ("prefer_udp\nforce_tcp", {"force_tcp": True, "prefer_udp": True}),
        ("expire 30s", {"expire_seconds": 30.0}),
        ("max_age 1h", {"max_age_seconds": 3600.0}),
        ("max_age 0", {"max_age_seconds": 0.0}),
        ("max_idle_conns 10", {"max_idle_conns": 10}),
        ("max_fails 0", {"max_fails": 0}),
        ("max_connect_attempts 0", {"max_connect_attempts": 0}),
        ("read_timeout 500ms", {"read_timeout_seconds": 0.5}),
        ("tls", {"tls": TlsOptions()}),
        ("tls /ca", {"tls": TlsOptions(authority_file="/ca")}),
        ("tls /crt /key", {"tls": TlsOptions(certificate_file="/crt", key_file="/key")}),
        (
            "tls /crt /key /ca",
            {
                "tls": TlsOptions(
                    certificate_file="/crt", key_file="/key", authority_file="/ca"
                )
            },
        ),
        ("tls_servername dns.quad9.net", {"tls_servername": "dns.quad9.net"}),
        ("tls_servername dns.quad9.net.", {"tls_servername": "dns.quad9.net"}),
        ("tls_servername 9.9.9.9", {"tls_servername": "9.9.9.9"}),
        ("policy round_robin", {"policy": "round_robin"}),
        ("health_check 5s", {"health_check_seconds": 5.0}),
        (
            "health_check 0.5s no_rec domain Example.org",
            {"health_check_recursion": False, "health_check_domain": "example.org."},
        ),
        ("max_concurrent 1000", {"max_concurrent": 1000}),
        ("next NXDOMAIN servfail", {"next_rcodes": frozenset({2, 3})}),
        ("next_on_nodata", {"next_on_nodata": True}),
        ("failfast_all_unhealthy_upstreams", {"failfast": True}),
        ("failover SERVFAIL\nfailover REFUSED", {"failover_rcodes": frozenset({2, 5})}),
        ("resolver 10.0.0.9 [::1]:53", {"resolver": ("10.0.0.9", "[::1]:53")}),
        ("source_address 192.0.2.1", {"source_address": "192.0.2.1"}),
        ("doh_method GET", {"doh_method": "GET"}),
    ],
)  # fmt: skip
def test_options_are_read(options, fields):
    assert forward(options) == ForwardOptions(**TO | fields)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("blaatl", "unknown option 'blaatl'"),
        ("except", "except needs a value"),
        ("except a..b", "except must be a domain name, not 'a..b'"),
        ("force_tcp on", "force_tcp takes no more words, but there is 'on'"),
        ("prefer_udp on", "prefer_udp takes no more words, but there is 'on'"),
        ("expire", "expire needs a value"),
        ("expire -1s", "expire must be at least 0s, not '-1s'"),
        ("expire 10", "expire must be a duration such as 30s or 1m30s, not '10'"),
        ("max_age 5s", "max_age must not be less than expire (5s < 10s)"),
        ("max_idle_conns -1", "max_idle_conns must be a whole number of 0 or more, not '-1'"),
        ("max_fails 4294967296", "max_fails must be a whole number from 0 to 4294967295, not"),
        ("max_connect_attempts many", "max_connect_attempts must be a whole number from 0 to"),
        ("read_timeout 0s", "read_timeout must be above 0, not '0s'"),
        ("tls a b c d", "tls takes no more words, but there is 'd'"),
        ("tls_servername", "tls_servername needs a value"),
        ("tls_servername a..b", "tls_servername must name the server by a host name, not 'a..b'"),
        ("policy fastest", "policy must be one of random, round_robin, sequential, not 'fastest'"),
        ("health_check", "health_check needs a value"),
        ("health_check no_rec", "health_check must be a duration such as 30s"),
        ("health_check 1s rec", "health_check: option must be no_rec or domain, not 'rec'"),
        ("health_check 1s domain", "health_check: domain is missing"),
        ("health_check 1s domain a..b", "health_check: domain must be a domain name, not 'a..b'"),
        ("max_concurrent many", "max_concurrent must be a whole number of 0 or more, not 'many'"),
        ("max_concurrent -4", "max_concurrent must be a whole number of 0 or more, not '-4'"),
        ("next", "next needs a value"),
        ("next BOGUS", "next must be an rcode such as NXDOMAIN, not 'BOGUS'"),
        ("failfast_all_unhealthy_upstreams false", "failfast_all_unhealthy_upstreams takes no"),
        ("failover NOERROR", "failover must be the code of a failure, not 'NOERROR'"),
        ("failover", "failover needs a value"),
        ("resolver ns.a", "resolver must be IP or IP:PORT, not 'ns.a'"),
        ("source_address here", "source_address must be an IP address, not 'here'"),
        ("doh_method PUT", "doh_method must be post or get, not 'PUT'"),
    ],
)
def test_broken_options_are_told(options, why):
    assert fault(options).startswith(why)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "FROM is missing"),
        (".", "TO is missing"),
        (f"{'x' * 64} 10.0.0.1", "FROM must be a domain name"),
        (". <nil>", "TO must be an IP address, a file like resolv.conf or a host name"),
        (". a27.0.0.1", "TO must be an IP address, a file like resolv.conf or a host name"),
        (". grpc://10.0.0.1", "TO must be reached over dns://, tls:// or https://"),
        (". " + " ".join(f"10.0.0.{n}" for n in range(1, 17)), "at most 15 TOs, not 16"),
    ],
)
def test_broken_words_are_told(words, why):
    assert fault(words=words).startswith(why)


@pytest.mark.parametrize("port", ["0", "65536", "x"])
def test_a_destination_whose_port_is_none_is_left_out(port):
    """CoreDNS starts as well; it was an error, which kept the whole agent from starting."""
    found = corefile(f". {{\nforward . 10.0.0.1:{port} 10.0.0.2\nforward org 10.0.0.3:{port}\n}}")
    assert [each.to for each in found.blocks[0].forwards] == [("10.0.0.2",), ()]
    assert found.left_out == tuple(
        f"Corefile:{line}: forward: left out: TO must have a port from 1 to 65535, not '{host}:{port}'"
        for line, host in [(2, "10.0.0.1"), (3, "10.0.0.3")]
    )


@pytest.mark.parametrize("name", ["a..b", ".a", "x" * 64])
def test_a_destination_with_a_name_that_no_certificate_has_is_left_out(name):
    """Each query to it ended in an error of ours, and was counted as in flight for ever."""
    (found,) = corefile(f". {{\nforward . tls://10.0.0.1%{name} 10.0.0.2\n}}").blocks[0].forwards
    assert found.to == ("10.0.0.2",)


@pytest.mark.parametrize("word", ["10.0.0.0/24", "fd00::/64", "tls://10.0.0.1/32", "10.0.0.1/"])
def test_a_network_is_no_destination_and_left_out(word):
    """It was taken for a file, which may be missing where `check` runs, and so was nothing said."""
    (found,) = corefile(f". {{\nforward . {word} 10.0.0.2\n}}").blocks[0].forwards
    assert found.to == ("10.0.0.2",)
    told = f"Corefile:2: forward: left out: TO must be an address, not a network: {word!r}"
    assert corefile(f". {{\nforward . {word}\n}}").left_out == (told,)


def test_a_server_name_is_given_once_for_all_or_for_each():
    assert fault("tls_servername a.net", ". tls://9.9.9.9%q.net") == (
        "tls_servername is set, and 'tls://9.9.9.9%q.net' names a server as well"
    )


def test_of_several_zones_of_a_network_the_first_is_forwarded_as_in_coredns():
    found = corefile(". {\nforward 10.9.3.0/18 10.0.0.1\n}")
    assert found.blocks[0].forwards[0].from_zone == "0.9.10.in-addr.arpa."
    assert found.warnings == (
        (
            "Corefile:2: forward: '10.9.3.0/18' is several zones; "
            "only 0.9.10.in-addr.arpa. is forwarded"
        ),
    )
