import pytest

from nodecache.config.cluster_dns import ClusterDns, cluster_dns, usual_forms
from nodecache.config.flags import parse_flags
from nodecache.config.rendering import cluster_dns_addresses, corefile_text
from tests.helpers.corefiles import corefile

STOCK = """
in-addr.arpa:53 {
    forward . 10.96.0.11
}
home.example:53 {
    forward . 10.96.0.11 {
        force_tcp
    }
}
.:53 {
    forward . 9.9.9.9
}
"""


def found(text: str, *addresses: str) -> ClusterDns | None:
    return cluster_dns(corefile(text), frozenset(addresses))


def test_domain_is_that_of_the_block_that_asks_the_cluster_dns_address():
    assert found(STOCK, "10.96.0.11", "10.96.0.10") == ClusterDns("10.96.0.11", "home.example.")


def test_another_domain_that_kube_dns_forwards_may_stand_first():
    text = "corp.example {\nforward . 10.96.0.11\n}\ncluster.local {\nforward . 10.96.0.11\n}\n"
    assert found(text, "10.96.0.11") == ClusterDns("10.96.0.11", "cluster.local.")


def test_reverse_zones_and_the_block_of_all_names_tell_no_domain():
    text = "in-addr.arpa 0.96.10.in-addr.arpa . {\nforward . 10.96.0.11\n}\n"
    assert found(text, "10.96.0.11") == ClusterDns("10.96.0.11", "cluster.local.")


def test_nothing_where_nobody_asks_it():
    assert found(STOCK, "10.96.0.12") is None
    assert found(STOCK) is None


def test_a_line_with_other_upstreams_as_well_stays_as_it_is():
    assert found("a.example {\nforward . 10.96.0.11 9.9.9.9\n}\n", "10.96.0.11") is None


def test_another_port_of_the_address_is_asked_there_and_not_at_the_pods():
    assert found("a.example {\nforward . 10.96.0.11:5353\n}\n", "10.96.0.11") is None
    assert found("a.example {\nforward . tls://10.96.0.11:8853\n}\n", "10.96.0.11") is not None


def test_nothing_where_the_pods_are_not_to_be_asked():
    text = "a.example {\nnodecache {\nendpoints off\n}\nforward . 10.96.0.11\n}\n"
    assert found(text, "10.96.0.11") is None


def test_a_block_that_may_is_enough():
    text = "a.example {\nnodecache {\nendpoints off\n}\nforward . 10.96.0.11\n}\n"
    text += "b.example {\nforward . 10.96.0.11\n}\n"
    assert found(text, "10.96.0.11") == ClusterDns("10.96.0.11", "b.example.")


def test_one_address_is_written_in_many_ways():
    text = "a.example {\nforward . [fd00:0::000a]:53\n}\n"
    assert found(text, "fd00::a") == ClusterDns("fd00::a", "a.example.")


def test_what_is_no_address_is_passed_over():
    assert usual_forms(["", "kube-dns", "10.0.0.1", "fe80::1%eth0"]) == {"10.0.0.1"}


@pytest.mark.parametrize(
    ("env", "addresses"),
    [
        ({"KUBE_DNS_UPSTREAM_SERVICE_HOST": "10.96.0.11"}, {"10.96.0.11"}),
        ({"KUBE_DNS_SERVICE_HOST": "10.96.0.10"}, {"10.96.0.10"}),
        ({}, set()),
    ],
)
def test_a_corefile_without_placeholders_is_known_by_the_environment(tmp_path, env, addresses):
    conf = tmp_path / "Corefile"
    conf.write_text(STOCK)
    flags = parse_flags([
        "-localip", "169.254.20.10", "-upstreamsvc", "kube-dns-upstream",
        "-conf", str(conf), "-basecorefile", str(tmp_path / "none"),
    ])  # fmt: skip
    text = corefile_text(flags, env)
    assert cluster_dns_addresses(text, flags, env) == addresses


def test_what_was_rendered_is_known(tmp_path):
    base = tmp_path / "Corefile.base"
    base.write_text("a.example {\nforward . __PILLAR__CLUSTER__DNS__\n}\n")
    flags = parse_flags(["-localip", "169.254.20.10", "-basecorefile", str(base)])
    text = corefile_text(flags, {"KUBE_DNS_SERVICE_HOST": "10.96.0.10"})
    assert cluster_dns_addresses(text, flags, {}) == {"10.96.0.10"}


def test_endpoints_off_knows_no_address(tmp_path):
    base = tmp_path / "Corefile.base"
    base.write_text("a.example {\nforward . __PILLAR__CLUSTER__DNS__\n}\n")
    flags = parse_flags(
        ["-localip", "169.254.20.10", "-basecorefile", str(base), "-endpoints", "off"]
    )
    env = {"KUBE_DNS_SERVICE_HOST": "10.96.0.10"}
    assert cluster_dns_addresses(corefile_text(flags, env), flags, env) == set()
