import pytest

from nodecache.corefile import (
    BindLine,
    KubeDns,
    PillarValues,
    line_needing_cluster_dns,
    render,
)
from nodecache.corefile.stream import Sources
from tests.helpers.corefiles import corefile

VALUES = PillarValues(local_dns=("169.254.20.10", "10.0.0.10"), cluster_dns="10.96.0.11")
CUSTOM = PillarValues(
    local_dns=("169.254.20.10",),
    cluster_dns="10.96.0.11",
    kube_dns=KubeDns(upstream_nameservers=("2.2.2.2:10053", "3.3.3.3")),
)


def text(base: str, values: PillarValues = VALUES) -> str:
    return render(base, values).text


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("a __PILLAR__CLUSTER__DNS__ b", "a 10.96.0.11 b"),
        ("__PILLAR__LOCAL__DNS__ __PILLAR__LOCAL__DNS__", "169.254.20.10 10.0.0.10 " * 2),
        ("__PILLAR__DNS__SERVER__", ""),
        ("__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf"),
        ("__PROMETHEUS__ENDPOINT__", ":9253"),
        ("# __PILLAR__CLUSTER__DNS__", "# 10.96.0.11"),
        ("__PILLAR__DNS__DOMAIN__:53", "__PILLAR__DNS__DOMAIN__:53"),
        ("", ""),
    ],
)
def test_placeholders_are_filled_in_everywhere(base, expected):
    assert text(base) == expected.rstrip(" ")


def test_without_an_address_the_placeholder_goes_and_the_caller_is_told_of_its_line():
    base = "# __PILLAR__CLUSTER__DNS__\n\nforward . __PILLAR__CLUSTER__DNS__\n"
    assert line_needing_cluster_dns(base) == 3
    assert line_needing_cluster_dns("# __PILLAR__CLUSTER__DNS__") is None
    assert text(base, PillarValues()) == "# \n\nforward . \n"


# Custom upstream servers are asked over UDP


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "    forward . __PILLAR__UPSTREAM__SERVERS__ {\n            force_tcp\n    }\n",
            "    forward . 2.2.2.2:10053 3.3.3.3\n",
            id="as the original's file is indented",
        ),
        pytest.param(
            "\tforward . __PILLAR__UPSTREAM__SERVERS__ {\n\t\tforce_tcp\n\t}\n",
            "\tforward . 2.2.2.2:10053 3.3.3.3\n",
            id="however it is indented",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__ {\n  force_tcp\n  max_fails 3\n}\n",
            "forward . 2.2.2.2:10053 3.3.3.3 {\n  max_fails 3\n}\n",
            id="beside other options",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__ { # so\n  force_tcp\n} # there\n",
            "forward . 2.2.2.2:10053 3.3.3.3 { # so\n} # there\n",
            id="between comments",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__ { force_tcp\n}\nloop\n",
            "forward . 2.2.2.2:10053 3.3.3.3\nloop\n",
            id="on the line of the brace",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__ { force_tcp\n  max_fails 3\n}\n",
            "forward . 2.2.2.2:10053 3.3.3.3 {\n  max_fails 3\n}\n",
            id="on the line of the brace, beside other options",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__ {\n  force_tcp\n  import more.conf\n}\n",
            "forward . 2.2.2.2:10053 3.3.3.3 {\n  import more.conf\n}\n",
            id="beside options of a file",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__ {\n  force_tcp }\nloop\n",
            "forward . 2.2.2.2:10053 3.3.3.3\nloop\n",
            id="on the line of the closing brace",
        ),
        pytest.param(
            "forward . __PILLAR__UPSTREAM__SERVERS__\n",
            "forward . 2.2.2.2:10053 3.3.3.3\n",
            id="over UDP already",
        ),
        pytest.param(
            "forward . __PILLAR__CLUSTER__DNS__ {\n  force_tcp\n}\n",
            "forward . 10.96.0.11 {\n  force_tcp\n}\n",
            id="but not to the cluster's",
        ),
    ],
)
def test_custom_upstream_servers_are_asked_over_udp(before, after):
    assert text(f". {{\n{before}}}\n", CUSTOM) == f". {{\n{after}}}\n"


def test_a_forward_in_a_snippet_is_switched_too():
    base = "(up) {\nforward . __PILLAR__UPSTREAM__SERVERS__ {\nforce_tcp\n}\n}\n. {\nimport up\n}\n"
    assert text(base, CUSTOM) == ("(up) {\nforward . 2.2.2.2:10053 3.3.3.3\n}\n. {\nimport up\n}\n")


@pytest.mark.parametrize(
    "base",
    [
        (
            "(tcp) {\nforce_tcp\n}\n"
            "a {\nforward . 1.1.1.1 {\nimport tcp\n}\n}\n"
            ". {\nforward . __PILLAR__UPSTREAM__SERVERS__ {\nimport tcp\n}\n}\n"
        ),
        (
            "(up) {\nforward . {args[0]} {\nforce_tcp\n}\n}\n"
            "a {\nimport up 1.1.1.1\n}\n. {\nimport up __PILLAR__UPSTREAM__SERVERS__\n}\n"
        ),
    ],
    ids=["an option", "a forward"],
)
def test_force_tcp_that_is_imported_stays_for_those_who_import_it(base):
    assert corefile(text(base, CUSTOM)).blocks[0].forwards[0].force_tcp


def test_without_custom_servers_force_tcp_stays():
    base = ". {\nforward . __PILLAR__UPSTREAM__SERVERS__ {\nforce_tcp\n}\n}\n"
    assert text(base) == base.replace("__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf")


def test_lines_are_known_by_their_numbers_in_the_base():
    base = ". {\nforward . __PILLAR__UPSTREAM__SERVERS__ {\nforce_tcp\n}\nloop\n}\n"
    stub = KubeDns((("a", ("1.1.1.1",)),), ("3.3.3.3",))
    rendered = render(base, PillarValues(kube_dns=stub))
    lines = rendered.text.split("\n")
    assert lines[:4] == [". {", "forward . 3.3.3.3", "loop", "}"]
    assert [rendered.base_line(number) for number in (1, 2, 3, 4)] == [1, 2, 5, 6]
    assert lines.index("a:53 {") == 5
    assert rendered.base_line(6) is None


# Stub domains

STUBS = KubeDns((("acme.local", ("1.1.1.1",)), ("w.local", ("2.2.2.2:53", "ns.w.org"))))


def test_stub_domains_are_bound_and_measured_as_all_names_are():
    base = "a {\nprometheus :1\n}\n.:53 {\nbind 0.0.0.0 ::\nprometheus :9253\n}\n"
    assert text(base, PillarValues(kube_dns=STUBS)) == base + (
        "\nacme.local:53 {\n"
        "    errors\n    cache 30\n    bind 0.0.0.0 ::\n    forward . 1.1.1.1\n"
        "    prometheus :9253\n}\n"
        "\nw.local:53 {\n"
        "    errors\n    cache 30\n    bind 0.0.0.0 ::\n    forward . 2.2.2.2:53 ns.w.org\n"
        "    prometheus :9253\n}\n"
    )


@pytest.mark.parametrize(
    ("bind", "copied"),
    [
        pytest.param("bind 10.0.0.1\nbind ::1\n", "bind 10.0.0.1\n    bind ::1\n", id="two lines"),
        pytest.param(
            "bind lo {\nexcept ::1\n}\n",
            "bind lo {\n        except ::1\n    }\n",
            id="with an exception",
        ),
        pytest.param("bind {$NODE_IP}\n", "bind 192.0.2.1\n", id="a variable"),
        pytest.param("import common\n", "bind 10.0.0.2\n", id="imported"),
    ],
)
def test_stub_domains_are_bound_as_all_names_are_however_that_is_written(bind, copied):
    base = f".:53 {{\n{bind}whoami\n}}\n"
    sources = Sources({"NODE_IP": "192.0.2.1"}, {"common": "bind 10.0.0.2\n"}.__getitem__)
    values = PillarValues(local_dns=("169.254.20.10",), kube_dns=KubeDns(STUBS.stub_domains[:1]))
    assert render(base, values, sources).text == base + (
        f"\nacme.local:53 {{\n    errors\n    cache 30\n    {copied}    forward . 1.1.1.1\n}}\n"
    )


def test_stub_domains_are_bound_where_any_block_of_all_names_is():
    base = ". {\nbind 1.1.1.1\nwhoami\n}\n. {\nbind 2.2.2.2\nwhoami\n}\n"
    found = corefile(text(base, PillarValues(kube_dns=STUBS)))
    assert found.blocks[2].bind.lines == (BindLine(("1.1.1.1",)), BindLine(("2.2.2.2",)))


def test_metrics_are_served_by_tls_with_stub_domains_too():
    base = '. {\nprometheus :9253 {\ntls "/etc/my tls/web.yml"\n}\nwhoami\n}\n'
    found = corefile(text(base, PillarValues(kube_dns=STUBS)))
    assert {block.prometheus.tls_config_file for block in found.blocks} == {"/etc/my tls/web.yml"}


def test_a_stub_domain_whose_block_has_a_variable_for_a_key_is_served_already():
    base = "{$DOMAIN} {\nbind 1.1.1.1\nbind 2.2.2.2\nwhoami\n}\n. {\nbind 2.2.2.2\nwhoami\n}\n"
    rendered = render(base, PillarValues(kube_dns=STUBS), Sources({"DOMAIN": "acme.local"}))
    assert rendered.served_already == ("acme.local",)


@pytest.mark.parametrize(
    ("base", "bind"),
    [
        pytest.param("a {\nwhoami\n}\n", "    bind 169.254.20.10\n", id="no block of all names"),
        pytest.param(".:5300 {\nwhoami\n}\n", "    bind 169.254.20.10\n", id="on another port"),
        pytest.param(". {\nwhoami\n}\n", "", id="one that is not bound"),
    ],
)
def test_stub_domains_are_bound_to_our_own_addresses_where_nothing_else_is_said(base, bind):
    values = PillarValues(local_dns=("169.254.20.10",), kube_dns=KubeDns(STUBS.stub_domains[:1]))
    assert text(base, values) == base + (
        f"\nacme.local:53 {{\n    errors\n    cache 30\n{bind}    forward . 1.1.1.1\n}}\n"
    )


def test_stub_domains_are_served_on_the_port_of_the_flag():
    values = PillarValues(local_dns=("1.2.3.4",), dns_port=1053, kube_dns=STUBS)
    found = corefile(text(". {\nbind 1.2.3.4\nwhoami\n}\n", values), default_port=1053)
    assert [str(block.zones[0]) for block in found.blocks] == [
        "dns://.:1053", "dns://acme.local.:1053", "dns://w.local.:1053",
    ]  # fmt: skip


def test_a_base_with_faults_is_rendered_all_the_same():
    assert text(". {\nforward . __PILLAR__UPSTREAM__SERVERS__ {\n", CUSTOM).startswith(
        ". {\nforward"
    )


def test_a_stub_domain_is_bound_to_nothing_where_nothing_says_to_what():
    values = PillarValues(dns_port=1053, kube_dns=STUBS)
    rendered = text(". {\nwhoami\n}\n", values)
    assert "bind" not in rendered
    assert len(corefile(rendered).blocks) == 1 + len(STUBS.stub_domains)
