"""The Helm chart, rendered by Helm itself: the same objects as the overlays, and what values change."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from nodecache.config.flags import parse_flags
from nodecache.corefile import parse
from tests.deploy.manifests import (
    DEPLOY,
    ROOT,
    Object,
    container_of,
    kustomize,
    load,
    pick,
    with_components,
)

CHART = DEPLOY / "chart/nodecache"
VALUES = {"config": {"dnsServer": "10.96.0.10", "dnsServer6": "fd00:10:96::a"}}
MODES = ("iptables", "ipvs", "dual-stack", "cilium")

# What README.md and the overlays' own comments have `sed` fill in.
FILLED_IN = {
    "__PILLAR__LOCAL__DNS6__": "fd00:da7a::10",
    "__PILLAR__DNS__SERVER6__": "fd00:10:96::a",
    "__PILLAR__LOCAL__DNS__": "169.254.20.10",
    "__PILLAR__DNS__DOMAIN__": "cluster.local",
}


def rendered(mode: str = "iptables", **values: Any) -> list[Object]:
    """The objects that Helm makes of the chart."""
    with helm.Chart.load(CHART) as chart:
        config = {**VALUES["config"], **values.pop("config", {})}
        files = chart.render(
            {"mode": mode, "config": config, **values}, name="nodelocal", namespace="kube-system"
        )
    manifests = (text for name, text in files.items() if not name.endswith("NOTES.txt"))
    return [thing for text in manifests for thing in load(text)]


def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects}


def filled_in(mode: str, text: str) -> list[Object]:
    addresses = (
        {"__PILLAR__CLUSTER__DNS__": "10.96.0.10"}
        if mode == "ipvs"
        else {"__PILLAR__DNS__SERVER__": "10.96.0.10"}
    )
    for placeholder, value in (FILLED_IN | addresses).items():
        text = text.replace(placeholder, value)
    return load(text)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_its_overlay(mode):
    overlay = filled_in(mode, kustomize(DEPLOY / "overlays" / mode))
    assert by_name(rendered(mode)) == by_name(overlay)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_with_the_pods_from_the_api_server_is_its_overlay_with_the_component(tmp_path, mode):
    overlay = filled_in(mode, with_components(tmp_path, "endpointslices", mode=mode))
    objects = rendered(mode, endpointSlices={"enabled": True})
    assert by_name(objects) == by_name(overlay)
    assert parse_flags(container_of(objects)["args"]).endpoints == "api"


def test_the_account_of_the_values_is_who_may_read_the_slices():
    account = {"create": False, "name": "dns"}
    objects = rendered(serviceAccount=account, endpointSlices={"enabled": True})
    binding = pick(objects, "RoleBinding")
    assert [each["name"] for each in binding["subjects"]] == ["dns"]
    pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "dns"
    assert not [each for each in objects if each["kind"] == "ServiceAccount"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_makes_a_corefile_and_flags_that_the_agent_takes(mode):
    objects = rendered(mode)
    text = pick(objects, "ConfigMap")["data"]["Corefile"]
    text = text.replace("__PILLAR__CLUSTER__DNS__", "10.96.0.11").replace(
        "__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf"
    )
    text = text.replace(" __PILLAR__DNS__SERVER__", "")
    corefile = parse(text, "Corefile", env={}, default_port=53, read=None)
    assert [zone for block in corefile.blocks for zone in block.zone_names] == [
        "cluster.local.",
        "in-addr.arpa.",
        "ip6.arpa.",
        ".",
    ]
    assert parse_flags(container_of(objects)["args"]).local_ips


def test_helm_finds_nothing_to_complain_of():
    report = helm.lint(CHART, VALUES, strict=True)
    problems = [each for each in report["messages"] if each["severity"] > 1]
    assert (problems, report["errors"]) == ([], [])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"mode": "ebtables"}, "mode"),
        ({"config": {"localDns": "node.local"}}, "localDns"),
        ({"config": {"bindIp": False}}, "bindIp"),
        ({"nameOverride": "dns"}, "nameOverride"),
        ({"endpointSlices": True}, "endpointSlices"),
    ],
    ids=["mode", "address", "all addresses", "unknown", "a switch without its name"],
)
def test_a_value_that_cannot_be_meant_is_named(values, named):
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmValuesError, match=named):
        chart.validate_schema({**chart.values, **values})


def test_without_a_cluster_to_ask_kube_dns_has_to_be_told():
    with (
        helm.Chart.load(CHART) as chart,
        pytest.raises(helm.HelmRenderError, match=r"config\.dnsServer"),
    ):
        chart.render({}, name="nodelocal", namespace="kube-system")


def test_values_of_the_other_chart_do_what_they_did_there():
    objects = rendered(
        config={
            "dnsDomain": "k8s.example",
            "localDns": "169.254.20.25",
            "enableLogging": True,
            "noIPv6Lookups": True,
            "cacheTTL": 60,
            "prefetch": {"enabled": True},
            "healthPort": 9254,
            "commProtocol": "prefer_udp",
            "customUpstreamsvc": "dns-behind",
            "upstreamServers": "192.0.2.53",
            "upstreamForwardConfig": ["max_concurrent 1000"],
            "extraServerBlocks": "acme.test:53 {\n    forward . 192.0.2.54\n}\n",
        },
        image={"repository": "registry.example/nodecache", "tag": "2"},
        podLabels={"team": "dns"},
        podAnnotations={"note": "here"},
        resources={"limits": {"memory": "128Mi"}},
        tolerations=[{"operator": "Exists", "effect": "NoSchedule"}],
        updateStrategy={"type": "OnDelete"},
        extraArgs=["-log-format=json"],
    )
    daemon = pick(objects, "DaemonSet")
    container = container_of(objects)
    flags = parse_flags(container["args"])
    assert (flags.health_port, flags.upstream_service) == (9254, "dns-behind")
    assert container["image"] == "registry.example/nodecache:2"
    assert container["livenessProbe"]["httpGet"] == {
        "host": "169.254.20.25",
        "path": "/health",
        "port": 9254,
    }
    assert container["resources"] == {"limits": {"memory": "128Mi"}}
    assert daemon["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert daemon["spec"]["template"]["metadata"]["labels"]["team"] == "dns"
    assert daemon["spec"]["template"]["metadata"]["annotations"]["note"] == "here"
    assert ("Service", "kube-dns-upstream") not in by_name(objects)
    text = pick(objects, "ConfigMap")["data"]["Corefile"]
    assert text.splitlines()[1].strip() == "log"
    for line in (
        "k8s.example:53 {",
        "prefetch 3 30s 20%",
        "aaaa suppress",
        "prefer_udp",
        "bind 169.254.20.25 10.96.0.10",
        "health 169.254.20.25:9254",
        "cache 60 {",
        "forward . 192.0.2.53 {",
        "max_concurrent 1000",
        "acme.test:53 {",
    ):
        assert line in text


def test_a_daemonset_of_other_labels_can_be_taken_over_and_alerts_know_its_pods():
    """Helm merges maps: a default that named a label would stand beside those of the values."""
    labels = {"app.kubernetes.io/name": "node-local-dns", "app.kubernetes.io/instance": "dns"}
    objects = rendered(selectorLabels=labels, serviceMonitor={"enabled": True})
    daemon = pick(objects, "DaemonSet")
    assert daemon["spec"]["selector"]["matchLabels"] == labels
    assert pick(objects, "Service")["spec"]["selector"] == labels
    monitor = pick(objects, "PodMonitor")["spec"]
    assert monitor["selector"]["matchLabels"] == labels
    of_pods = daemon["spec"]["template"]["metadata"]["labels"]
    assert labels.items() <= of_pods.items()
    assert of_pods[monitor["jobLabel"]] == "node-local-dns"


def test_a_node_selector_leaves_out_nodes_that_are_not_linux():
    pod = pick(rendered(nodeSelector={"pool": "web"}), "DaemonSet")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "web"}


def test_pods_of_kube_dns_are_selected_by_the_labels_of_the_values_alone():
    labels = {"app": "coredns"}
    objects = rendered(
        config={"upstreamServiceSelector": labels}, networkPolicy={"namespaces": ["shop"]}
    )
    for name in ("kube-dns-upstream", "kube-dns-pods"):
        assert pick(objects, "Service", name)["spec"]["selector"] == labels
    policy = pick(objects, "NetworkPolicy", "allow-node-local-dns")["spec"]
    assert policy["egress"][-1]["to"][0]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("mode", MODES)
def test_the_network_policy_names_every_address_that_pods_ask(mode):
    objects = rendered(mode, networkPolicy={"namespaces": ["shop"]})
    policy = pick(objects, "NetworkPolicy", "allow-node-local-dns")
    assert policy["metadata"]["namespace"] == "shop"
    named = {ip_network(to["ipBlock"]["cidr"]) for to in policy["spec"]["egress"][0]["to"]}
    flags = parse_flags(container_of(objects)["args"])
    asked = {*flags.local_ips, ip_address(VALUES["config"]["dnsServer"])}
    assert named == set(map(ip_network, asked))


def test_the_agents_address_may_be_of_ipv6_alone():
    objects = rendered(config={"localDns": "fd00:da7a::10", "dnsServer": "fd00:10:96::a"})
    text = pick(objects, "ConfigMap")["data"]["Corefile"]
    text = text.replace("__PILLAR__CLUSTER__DNS__", "fd00:10:96::b")
    text = text.replace("__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf")
    block = parse(text, "Corefile", env={}, default_port=53, read=None).blocks[0]
    assert block.health is not None
    assert block.health.address == "[fd00:da7a::10]:8080"


@pytest.mark.parametrize(
    "values",
    [{"prometheusScraping": {"enabled": False}}, {"serviceMonitor": {"enabled": True}}],
    ids=["switched off", "by the operator"],
)
def test_no_annotation_has_prometheus_scrape_what_it_is_not_to(values):
    objects = rendered(**values)
    pods = pick(objects, "DaemonSet")["spec"]["template"]["metadata"]
    for metadata in (pods, pick(objects, "Service")["metadata"]):
        assert "prometheus.io/scrape" not in metadata.get("annotations", {})


def test_monitoring_dashboard_and_network_policy_are_a_value_each():
    objects = by_name(
        rendered(
            serviceMonitor={"enabled": True, "labels": {"release": "prometheus"}},
            dashboard={"enabled": True, "namespace": "grafana"},
            networkPolicy={"namespaces": ["shop"]},
        )
    )
    assert objects["PodMonitor", "node-local-dns"]["metadata"]["labels"]["release"] == "prometheus"
    assert ("PrometheusRule", "node-local-dns") in objects
    assert objects["ConfigMap", "node-local-dns-dashboard"]["metadata"]["namespace"] == "grafana"
    assert ("NetworkPolicy", "allow-node-local-dns") in objects


@pytest.mark.parametrize("mode", MODES)
def test_pod_names_are_the_component(mode, tmp_path):
    expected = filled_in(mode, with_components(tmp_path, "podnames", mode=mode))
    objects = rendered(mode, podNames={"enabled": True})

    def mounted(objects: list[Object]) -> list[Any]:
        volumes = pick(objects, "DaemonSet")["spec"]["template"]["spec"]["volumes"]
        parts = (volumes, container_of(objects)["volumeMounts"])
        return [sorted(part, key=lambda each: each["name"]) for part in parts]

    assert mounted(objects) == mounted(expected)


def test_versions_are_the_projects():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    chart = yaml.safe_load(Path(CHART, "Chart.yaml").read_text(encoding="utf-8"))
    assert f'version = "{chart["appVersion"]}"' in project
