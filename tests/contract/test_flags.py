"""The command line of node-cache 1.26 and of the CoreDNS in it: names and defaults.

From the specification of the original (its flags are an interface that manifests use).
"""

import pytest

from nodecache.config.flags import parse_flags

LOCAL = ["-localip", "169.254.20.10"]


@pytest.mark.parametrize(
    ("flag", "field", "default"),
    [
        ("setupinterface", "setup_interface", True),
        ("interfacename", "interface_name", "nodelocaldns"),
        ("syncinterval", "sync_seconds", 60.0),
        ("metrics-listen-address", "metrics_listen_address", "0.0.0.0:9353"),
        ("prometheus-listen-address", "prometheus_listen_address", ":9253"),
        ("basecorefile", "base_corefile", "/etc/coredns/Corefile.base"),
        ("kubednscm", "kubedns_folder", ""),
        ("upstreamsvc", "upstream_service", "kube-dns"),
        ("health-port", "health_port", 8080),
        ("skipteardown", "skip_teardown", False),
        ("conf", "conf", ""),
        ("dns.port", "dns_port", 53),
        ("p", "dns_port", 53),
        ("pidfile", "pidfile", ""),
        ("quiet", "quiet", False),
        ("version", "version", False),
        ("plugins", "plugins", False),
    ],
)
def test_a_flag_of_the_original_has_its_default(flag, field, default):
    assert getattr(parse_flags(LOCAL), field) == default
    shown = {True: "true", False: "false", 60.0: "60ns"}.get(default, str(default) or "x")
    parse_flags([*LOCAL, f"-{flag}={shown}"])


def test_the_rules_are_a_flag_that_turns_them_off():
    assert parse_flags(LOCAL).rules == parse_flags([*LOCAL, "-setupiptables"]).rules == "auto"
    assert parse_flags([*LOCAL, "-setupiptables=false"]).rules == "none"


def test_a_flag_for_what_is_always_done_is_taken():
    assert parse_flags([*LOCAL, "-reloadwithsignal=true"]) == parse_flags(LOCAL)


def test_the_dead_flag_is_taken():
    assert parse_flags([*LOCAL, "-corefile", "/elsewhere"]).conf == ""


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            "-localip 169.254.20.10,10.96.0.10 -conf /etc/Corefile -upstreamsvc kube-dns-upstream"
            " -pidfile /tmp/node-cache.pid",
            id="the stock manifest",
        ),
        pytest.param(
            "-localip 169.254.20.10 -conf /etc/Corefile -upstreamsvc kube-dns-upstream"
            " -skipteardown=true -setupinterface=false -setupiptables=false",
            id="Cilium's local redirect policy",
        ),
        pytest.param(
            "-localip 169.254.25.10 -conf /etc/coredns/Corefile -upstreamsvc coredns",
            id="kubespray",
        ),
        pytest.param(
            "-localip 169.254.25.10 -conf /etc/coredns/Corefile -upstreamsvc coredns -skipteardown",
            id="kubespray's second one",
        ),
        pytest.param(
            "-localip 169.254.20.11,172.20.0.10 -conf /etc/Corefile -upstreamsvc"
            " node-local-dns-upstream -skipteardown=false -setupinterface=true"
            " -setupiptables=true -health-port 8081 -metrics-listen-address :9353",
            id="a Helm chart",
        ),
    ],
)
def test_command_lines_in_the_field_are_taken(words):
    assert parse_flags(words.split()).conf.endswith("Corefile")


@pytest.mark.parametrize("flag", ["-setupebtables", "-setupebtables=true", "-cpu=100%"])
def test_a_flag_of_older_releases_is_taken_without_effect(flag):
    assert parse_flags([*LOCAL, flag]) == parse_flags(LOCAL)
