"""From the directive as the Corefile has it to the forwarder's own terms."""

import pytest

from nodecache.corefile import parse
from nodecache.forward import (
    DEFAULT_FAILOVER,
    Endpoint,
    Settings,
    TlsSettings,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.wire import Rcode
from nodecache.worker.forwarding import ResolvConf, open_forwarders, settings_of
from tests.scenarios.simulated import SimulatedWorld


def block(*lines: str, own: str = ""):
    text = "\n".join(f"forward {line}" for line in lines)
    return parse(f". {{\n{text}\n{own}\n}}\n", "Corefile", env={}).blocks[0]


def settings(line: str, own: str = ""):
    made = block(line, own=own)
    return settings_of(made.forwards[0], made.nodecache)


def test_the_defaults_are_the_originals_but_for_failover_and_age():
    found = settings(". 10.0.0.1")
    assert found.policy == "random"
    assert found.failover_rcodes == DEFAULT_FAILOVER
    assert found.failover_rcodes == {Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTIMP}
    assert found.max_concurrent == 0
    assert found.max_connect_attempts is None
    assert not found.fails_fast
    upstream = found.upstream
    assert (upstream.expire_seconds, upstream.max_fails) == (10.0, 2)
    assert (upstream.probe_seconds, upstream.probe_recursion, upstream.probe_name) == (
        0.5,
        True,
        ".",
    )
    assert (upstream.read_timeout_seconds, upstream.max_age_seconds) == (2.0, 120.0)
    assert not upstream.force_tcp


def test_every_option_arrives():
    found = settings(
        """example.org. 10.0.0.1 {
            except a.example.org b.example.org
            force_tcp
            prefer_udp
            expire 20s
            max_fails 5
            max_connect_attempts 7
            max_idle_conns 3
            max_age 60s
            policy round_robin
            health_check 2s no_rec domain probe.example.
            max_concurrent 1000
            next NXDOMAIN
            failfast_all_unhealthy_upstreams
            failover SERVFAIL
            read_timeout 3s
        }"""
    )
    assert found.from_zone == "example.org."
    assert found.except_zones == ("a.example.org.", "b.example.org.")
    assert found.prefer_udp
    assert found.policy == "round_robin"
    assert found.max_concurrent == 1000
    assert found.max_connect_attempts == 7
    assert found.next_rcodes == {Rcode.NXDOMAIN}
    assert found.failover_rcodes == {Rcode.SERVFAIL}
    assert found.fails_fast
    upstream = found.upstream
    assert upstream.force_tcp
    assert (upstream.expire_seconds, upstream.max_age_seconds) == (20.0, 60.0)
    assert (upstream.max_fails, upstream.max_idle_connections) == (5, 3)
    assert (upstream.probe_seconds, upstream.probe_recursion) == (2.0, False)
    assert upstream.probe_name == "probe.example."
    assert upstream.read_timeout_seconds == 3.0


def test_an_age_of_0_is_no_limit():
    assert settings(". 10.0.0.1 {\n max_age 0s\n expire 0s\n }").upstream.max_age_seconds == 0


def opened(*lines: str):
    upstreams = UpstreamRegistry(SimulatedWorld())
    return open_forwarders(block(*lines), upstreams), upstreams


def endpoints(forwarder) -> list[Endpoint]:
    return [upstream.endpoint for upstream in forwarder.upstreams]


def test_destinations_become_endpoints_in_order():
    (forwarder,), _ = opened(". 10.0.0.1 10.0.0.2:5353 [fd00::1]:54 tls://9.9.9.9%dns.quad9.net")
    assert endpoints(forwarder) == [
        Endpoint("10.0.0.1", 53),
        Endpoint("10.0.0.2", 5353),
        Endpoint("fd00::1", 54),
        Endpoint("9.9.9.9", 853, scheme="tls", server_name="dns.quad9.net"),
    ]


def test_upstreams_over_https_are_asked_as_doh_method_says():
    (forwarder,), _ = opened(". https://9.9.9.9%dns.quad9.net https://[2620:fe::fe]:8443")
    assert endpoints(forwarder) == [
        Endpoint("9.9.9.9", 443, "https", "dns.quad9.net", "POST"),
        Endpoint("2620:fe::fe", 8443, "https", "", "POST"),
    ]
    (forwarder,), _ = opened(
        ". https://9.9.9.9 10.0.0.1 {\n tls_servername dns.quad9.net\n doh_method GET\n}"
    )
    assert endpoints(forwarder) == [
        Endpoint("9.9.9.9", 443, "https", "dns.quad9.net", "GET"),
        Endpoint("10.0.0.1", 53),
    ]


def test_tls_servername_is_for_every_tls_upstream():
    (forwarder,), _ = opened(
        ". tls://9.9.9.9 tls://149.112.112.112 {\n tls_servername dns.quad9.net\n}"
    )
    assert {e.server_name for e in endpoints(forwarder)} == {"dns.quad9.net"}


def test_equal_settings_share_an_upstream():
    forwarders, upstreams = opened("a. 10.0.0.1", "b. 10.0.0.1", "c. 10.0.0.1 {\n force_tcp\n}")
    first, second, third = (forwarder.upstreams[0] for forwarder in forwarders)
    assert first is second
    assert third is not first
    assert len(upstreams.all()) == 2


def test_an_upstream_outlives_a_reload_that_keeps_it():
    forwarders, upstreams = opened(". 10.0.0.1")
    kept = forwarders[0].upstreams[0]
    again = open_forwarders(block(". 10.0.0.1"), upstreams)
    forwarders[0].close()
    assert again[0].upstreams[0] is kept
    again[0].close()
    assert upstreams.all() == []


def test_next_leads_from_one_directive_to_the_following():
    (first, second), _ = opened("a. 10.0.0.1", "b. 10.0.0.2")
    assert first.following is second
    assert second.following is None


def test_a_resolv_conf_is_a_source(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text(
        "search example\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\noptions ndots:5\n"
    )
    (forwarder,), _ = opened(f". {file}")
    assert endpoints(forwarder) == [Endpoint("10.0.0.1"), Endpoint("fe80::1%eth0")]


def test_a_switched_link_is_another_file(tmp_path):
    for name, address in (("one", "10.0.0.1"), ("two", "10.0.0.2")):
        (tmp_path / name).write_text(f"nameserver {address}\n")
    link = tmp_path / "resolv.conf"
    link.symlink_to("one")
    file = ResolvConf(str(link))
    before = file.stamp()
    assert before == file.stamp()
    link.unlink()
    link.symlink_to("two")
    assert file.stamp() != before
    assert file.read() == [Endpoint("10.0.0.2")]
    link.unlink()
    assert file.stamp() != before


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path):
    upstreams = UpstreamRegistry(SimulatedWorld())
    with pytest.raises(OSError, match="resolv"):
        open_forwarders(block("a. 10.0.0.1", f". {tmp_path}/resolv.conf"), upstreams)
    assert upstreams.all() == []


def test_an_upstream_that_cannot_be_asked_leaves_no_name_that_is_resolved_for_ever(tmp_path):
    """Its reload was refused, and what it had begun to resolve went on until the end."""
    world = SimulatedWorld()
    upstreams = UpstreamRegistry(world)
    options = f"tls {tmp_path}/gone.pem\n resolver 10.0.0.53"
    with pytest.raises(OSError, match="No such file"):
        open_forwarders(block(f". tls://dns.example tls://10.0.0.1 {{\n {options}\n}}"), upstreams)
    assert upstreams.all() == []
    world.advance(10)
    assert world.is_quiet


def test_our_own_directive_sets_hedging_and_the_pools_size():
    found = settings(". 10.0.0.1", own="nodecache {\n hedge off\n pool 2\n}")
    assert not found.hedges
    assert found.upstream.max_connections == 2


def test_counts_of_an_upstream_outlive_its_address_and_go_on_when_it_comes_back():
    (forwarder,), upstreams = opened(". 10.0.0.1")
    forwarder.upstreams[0].counts.malformed = 7
    forwarder.set_upstreams([Endpoint("10.0.0.2")])
    assert {counts.to: counts.malformed for counts in upstreams.counts()} == {
        "10.0.0.1:53": 7,
        "10.0.0.2:53": 0,
    }
    forwarder.set_upstreams([Endpoint("10.0.0.1")])
    assert forwarder.upstreams[0].counts.malformed == 7


def test_the_counts_of_addresses_that_come_and_go_do_not_pile_up():
    (forwarder,), upstreams = opened(". 10.96.0.10")
    for number in range(1000):
        pod = Endpoint(f"10.244.{number // 250}.{number % 250}")
        forwarder.set_upstreams([Endpoint("10.96.0.10"), pod])
    told = [counts.to for counts in upstreams.counts()]
    assert len(told) <= 102
    assert {"10.96.0.10:53", "10.244.3.249:53", "10.244.3.248:53"} <= set(told)


def test_an_upstream_that_cannot_be_asked_with_other_settings_is_told_as_before(tmp_path):
    """A reload that was refused took its counts out of the metrics, and they began at 0 again later."""
    (forwarder,), upstreams = opened(". tls://10.0.0.1")
    forwarder.upstreams[0].counts.malformed = 7
    files = TlsSettings(authority_file=str(tmp_path / "gone.pem"))
    with pytest.raises(OSError, match="No such file"):
        upstreams.acquire(forwarder.upstreams[0].endpoint, UpstreamSettings(tls=files))
    assert [counts.malformed for counts in upstreams.counts()] == [7]


def test_upstreams_that_cannot_all_be_asked_change_nothing(tmp_path):
    (forwarder,), upstreams = opened(". 10.0.0.1")
    files = TlsSettings(authority_file=str(tmp_path / "gone.pem"))
    forwarder.settings = Settings(upstream=UpstreamSettings(tls=files))
    with pytest.raises(OSError, match="No such file"):
        forwarder.set_upstreams([Endpoint("10.0.0.2"), Endpoint("10.0.0.3", 853, scheme="tls")])
    assert [each.to for each in upstreams.all()] == ["10.0.0.1:53"]
    assert endpoints(forwarder) == [Endpoint("10.0.0.1")]
