"""Corefiles in the field, rendered as a pod would: the stock manifest's, kubespray's, a chart's.

And the original's own tests of rendering: the same base and ConfigMap, the same text, but for what
`docs/differences.md` tells of stub domains.
"""

from pathlib import Path

import pytest
import yaml

from nodecache.corefile import Corefile, KubeDns, PillarValues, render
from tests.helpers.corefiles import corefile

DEPLOY = Path(__file__).parents[2] / "deploy" / "nodelocaldns.yaml"
LOCAL = "169.254.20.10"
KUBE_DNS = "10.96.0.10"
UPSTREAM = "10.96.0.11"

STOCK_BLOCK = """__ZONE__:53 {
    errors
    cache __CACHE__
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __TO__
    prometheus :9253
    __MORE__
    }
"""
OVER_TCP = "{\n            force_tcp\n    }"
DENIALS = "{\n            success 9984 30\n            denial 9984 5\n    }"


def stock_block(zone: str, cache: str, to: str, more: str = "") -> str:
    text = STOCK_BLOCK
    for mark, value in (
        ("__ZONE__", zone), ("__CACHE__", cache), ("__TO__", to), ("__MORE__", more),
    ):  # fmt: skip
        text = text.replace(mark, value)
    return text


STOCK = "".join(
    (
        stock_block(
            "__PILLAR__DNS__DOMAIN__", DENIALS, f"__PILLAR__CLUSTER__DNS__ {OVER_TCP}",
            "health __PILLAR__LOCAL__DNS__:8080",
        ),
        stock_block("in-addr.arpa", "30", f"__PILLAR__CLUSTER__DNS__ {OVER_TCP}"),
        stock_block("ip6.arpa", "30", f"__PILLAR__CLUSTER__DNS__ {OVER_TCP}"),
        stock_block(".", "30", "__PILLAR__UPSTREAM__SERVERS__"),
    )
)  # fmt: skip


def as_operator(text: str, *, server: str = KUBE_DNS) -> str:
    """What the documented sed commands make of it, for kube-proxy in iptables mode."""
    return (
        text.replace("__PILLAR__LOCAL__DNS__", LOCAL)
        .replace("__PILLAR__DNS__DOMAIN__", "cluster.local")
        .replace("__PILLAR__DNS__SERVER__", server)
    )


def served(text: str, **values: object) -> Corefile:
    """The Corefile that a pod makes of a base."""
    wanted = PillarValues(**{"local_dns": (LOCAL, KUBE_DNS), "cluster_dns": UPSTREAM, **values})
    rendered = render(text, wanted).text
    assert "__PILLAR__" not in rendered
    return corefile(rendered)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(STOCK, id="the original's"),
        pytest.param(
            next(
                document["data"]["Corefile"]
                for document in yaml.safe_load_all(DEPLOY.read_text())
                if document["kind"] == "ConfigMap"
            ),
            id="ours",
        ),
    ],
)
def test_the_stock_manifest_in_iptables_mode(text):
    found = served(as_operator(text))
    assert found.warnings == ()
    assert [block.zone_names for block in found.blocks] == [
        ("cluster.local.",), ("in-addr.arpa.",), ("ip6.arpa.",), (".",),
    ]  # fmt: skip
    cluster, reverse, reverse6, everything = found.blocks
    for block in found.blocks:
        assert block.bind.lines[0].addresses == (LOCAL, KUBE_DNS)
        assert block.prometheus.address == ":9253"
        assert block.loop
        assert block.reload is not None
        assert block.errors is not None
    assert (cluster.cache.success_ttl, cluster.cache.denial_ttl) == (30, 5)
    assert cluster.health.address == f"{LOCAL}:8080"
    for block in (cluster, reverse, reverse6):
        (forward,) = block.forwards
        assert forward.to == (UPSTREAM,)
        assert forward.force_tcp
    assert everything.forwards[0].to == ("/etc/resolv.conf",)
    assert not everything.forwards[0].force_tcp


def test_the_stock_manifest_in_ipvs_mode():
    text = as_operator(STOCK, server="").replace("__PILLAR__CLUSTER__DNS__", KUBE_DNS)
    found = served(text, local_dns=(LOCAL,), cluster_dns=None)
    assert {block.bind.lines[0].addresses for block in found.blocks} == {(LOCAL,)}
    assert found.blocks[0].forwards[0].to == (KUBE_DNS,)


def test_the_stock_manifest_with_nothing_but_the_domain_filled_in():
    found = served(STOCK.replace("__PILLAR__DNS__DOMAIN__", "cluster.local"), local_dns=(LOCAL,))
    assert {block.bind.lines[0].addresses for block in found.blocks} == {(LOCAL,)}


def test_the_newer_manifest_s_placeholder_for_metrics():
    text = as_operator(STOCK).replace("prometheus :9253", "prometheus __PROMETHEUS__ENDPOINT__")
    found = served(text, prometheus_endpoint="127.0.0.1:9253")
    assert {block.prometheus.address for block in found.blocks} == {"127.0.0.1:9253"}


def test_the_stock_manifest_over_ipv6():
    text = as_operator(STOCK).replace(f"health {LOCAL}:8080", "health [fd00::1]:8080")
    text = text.replace(LOCAL, "fd00::1").replace(KUBE_DNS, "fd00::a")
    found = served(text, cluster_dns="fd00::b")
    assert found.blocks[0].health.address == "[fd00::1]:8080"
    assert found.blocks[0].forwards[0].destinations[0].host == "fd00::b"


def kubespray_block(zone: str, cache: str, forward: str, *more: str) -> str:
    lines = ("errors", f"cache {cache}", "reload", "loop", "bind 169.254.25.10")
    lines += (f"forward . {forward}", "prometheus :9253", *more)
    return f"{zone}:53 {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


KUBESPRAY = "".join(
    (
        kubespray_block(
            "cluster.local",
            "{\n        success 9984 30\n        denial 9984 5\n    }",
            "10.233.0.3 {\n        force_tcp\n    }",
            "log",
            "health 169.254.25.10:9254",
        ),
        kubespray_block("in-addr.arpa", "30", "10.233.0.3 {\n        force_tcp\n    }"),
        kubespray_block("ip6.arpa", "30", "10.233.0.3 {\n        force_tcp\n    }"),
        kubespray_block(
            ".",
            "30",
            "10.0.0.2 /etc/resolv.conf",
            "hosts /etc/coredns/hosts {\n        fallthrough\n    }",
        ),
        kubespray_block(
            "example.com:53 example.org",
            "30",
            "1.1.1.1 {\n        policy sequential\n    }",
            "log",
            "rewrite name suffix example.com example.net",
        ),
    )
)


def test_kubespray_s():
    found = served(KUBESPRAY)
    assert len(found.blocks) == 5
    assert found.blocks[3].hosts.file == "/etc/coredns/hosts"
    assert found.blocks[3].directives.index("hosts") < found.blocks[3].directives.index("forward")
    assert found.blocks[4].zone_names == ("example.com.", "example.org.")


def chart_block(zone: str, cache: str, forward: str, more: str) -> str:
    return f"""{zone}:53 {{
        log
    errors
    cache {cache}
    reload
    loop
    bind 0.0.0.0
    forward . {forward}
    template IN AAAA {{
        rcode NOERROR
    }}
    prometheus :9253
    {more}
    }}
"""


CHART = "".join(
    (
        chart_block(
            "cluster.local",
            "{\n success 9984 30\n denial 9984 5\n prefetch 3 30s 20%\n serve_stale 1h verify\n }",
            "__PILLAR__CLUSTER__DNS__ {\n        force_tcp\n    }",
            "health :8080",
        ),
        chart_block("in-addr.arpa", "30 {\n prefetch 3 30s 20%\n }", "10.96.0.10 {\n\n}", ""),
        chart_block(
            ".",
            "30",
            "__PILLAR__UPSTREAM__SERVERS__ {\n  prefer_udp\n  max_concurrent 1000\n  }",
            "",
        ),
        "\nacme.example:53 {\n    errors\n    forward . 10.9.9.9\n}\n",
    )
)


def test_a_helm_chart_s_with_all_its_options():
    found = served(CHART)
    cluster, reverse, everything, extra = found.blocks
    assert cluster.cache.serve_stale.mode == "verify"
    assert reverse.cache.prefetch.percentage == 20
    assert everything.forwards[0].prefer_udp
    assert everything.forwards[0].max_concurrent == 1000
    assert [template.rdtype for template in everything.templates] == [28]
    assert extra.bind is None


# The original's tests of rendering, in their shape


ORIGINAL_BASE = """
cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind __PILLAR__LOCAL__DNS__
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__UPSTREAM__SERVERS__ {
            force_tcp
    }
    prometheus :9253
    }
"""
TCP_BLOCK = "\n    forward . __PILLAR__UPSTREAM__SERVERS__ {\n            force_tcp\n    }\n"


def filled(text: str, cluster_dns: str, upstreams: str) -> str:
    return (
        text.replace("__PILLAR__LOCAL__DNS__", "169.254.20.10 10.0.0.10")
        .replace("__PILLAR__CLUSTER__DNS__", cluster_dns)
        .replace("__PILLAR__DNS__SERVER__", "")
        .replace("__PILLAR__UPSTREAM__SERVERS__", upstreams)
    )


@pytest.mark.parametrize("directive", ["loop", "template"])
@pytest.mark.parametrize("cluster_dns", ["9.10.11.12", "2001:db8::1"])
def test_a_base_is_rendered_as_the_original_renders_it(directive, cluster_dns):
    base = ORIGINAL_BASE.replace("loop", directive)
    values = PillarValues(local_dns=("169.254.20.10", "10.0.0.10"), cluster_dns=cluster_dns)
    assert render(base, values).text == filled(base, cluster_dns, "/etc/resolv.conf")


@pytest.mark.parametrize(
    ("stub_domains", "upstreams"),
    [
        pytest.param(
            {
                "acme.local": ("1.1.1.1",),
                "google.local": ("8.8.8.8",),
                "widget.local": ("2.2.2.2:10053", "3.3.3.3"),
            },
            ("2.2.2.2:10053", "3.3.3.3"),
            id="IPv4",
        ),
        pytest.param(
            {
                "acme.local": ("2001:db8:1:1:1::1",),
                "google.local": ("2001:4860:4860::8888",),
                "widget.local": ("[2001:db8:2:2:2::2]:10053", "2001:db8:3:3:3::3"),
            },
            ("[2001:db8:2:2:2::2]:10053", "2001:db8:3:3:3::3"),
            id="IPv6",
        ),
    ],
)
def test_stub_domains_and_upstreams_are_rendered_as_the_original_does(stub_domains, upstreams):
    kube_dns = KubeDns(tuple(stub_domains.items()), upstreams)
    values = PillarValues(
        local_dns=("169.254.20.10", "10.0.0.10"), cluster_dns="9.10.11.12", kube_dns=kube_dns
    )
    text = render(ORIGINAL_BASE, values).text
    over_udp = ORIGINAL_BASE.replace(TCP_BLOCK, f"\n    forward . {' '.join(upstreams)}\n")
    base, *stubs = text.split("\n\n")
    assert base + "\n" == filled(over_udp, "9.10.11.12", "")
    # The one difference: `prometheus` as in the block of all names.
    assert [stub.replace("    prometheus :9253\n", "").rstrip("\n") for stub in stubs] == [
        f"{domain}:53 {{\n    errors\n    cache 30\n    bind 169.254.20.10 10.0.0.10\n"
        f"    forward . {' '.join(servers)}\n}}"
        for domain, servers in stub_domains.items()
    ]
    assert len(corefile(text).blocks) == 2 + len(stub_domains)
