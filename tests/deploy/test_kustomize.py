"""The overlays: each renders, fits the schemas, and differs from the base in what it is for."""

import shutil

import kubernetes_validate
import pytest

from nodecache.command.top.pod_names import RESULTS
from nodecache.config.flags import parse_flags
from nodecache.config.plan import served_zones
from nodecache.corefile import parse
from nodecache.worker.pods import ZONE_VARIABLE
from tests.deploy.manifests import (
    DEPLOY,
    KUBERNETES_VERSIONS,
    MANIFEST,
    Object,
    container_of,
    kustomize,
    load,
    pick,
    with_components,
)

OVERLAYS = ("iptables", "ipvs", "dual-stack", "cilium")

# Kinds of the Prometheus operator and of Cilium have no schema in Kubernetes itself.
_FOREIGN = ("monitoring.coreos.com", "cilium.io")


def no_interface(name: str) -> list[str]:
    raise AssertionError(f"{name} is no address")


def overlay(name: str) -> list[Object]:
    return load(kustomize(DEPLOY / "overlays" / name))


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_fits_the_schema(name, version):
    for thing in overlay(name):
        if not thing["apiVersion"].startswith(_FOREIGN):
            kubernetes_validate.validate(thing, version, strict=True)


def test_iptables_overlay_is_the_plain_manifest():
    def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
        return {(o["kind"], o["metadata"]["name"]): o for o in objects}

    assert by_name(overlay("iptables")) == by_name(load(MANIFEST.read_text()))


def test_ipvs_overlay_leaves_the_service_address_to_ipvs_and_falls_back_to_it():
    args = container_of(overlay("ipvs"))["args"]
    assert args[:2] == ["-localip", "__PILLAR__LOCAL__DNS__"]
    assert args[-2:] == ["-fallback", "__PILLAR__CLUSTER__DNS__"]


def test_dual_stack_overlay_listens_on_two_addresses_of_each_family():
    objects = overlay("dual-stack")
    listened = container_of(objects)["args"][1].split(",")
    assert len(listened) == 4
    corefile = pick(objects, "ConfigMap")["data"]["Corefile"]
    binds = [line.split()[1:] for line in corefile.splitlines() if line.split()[0] == "bind"]
    assert len(binds) == 4
    assert all(sorted(bind) == sorted(listened) for bind in binds)
    for name in ("kube-dns-upstream", "kube-dns-pods"):
        assert pick(objects, "Service", name)["spec"]["ipFamilyPolicy"] == "PreferDualStack"


@pytest.mark.parametrize("name", OVERLAYS)
def test_agent_understands_the_arguments(name):
    example = {
        "LOCAL__DNS6": "fd00:da7a::10",
        "DNS__SERVER6": "fd00:10:96::a",
        "LOCAL__DNS": "169.254.20.10",
        "DNS__SERVER": "10.96.0.10",
        "CLUSTER__DNS": "10.96.0.10",
    }
    args = "\n".join(container_of(overlay(name))["args"])
    for placeholder, address in example.items():
        args = args.replace(f"__PILLAR__{placeholder}__", address)
    flags = parse_flags(args.split("\n"))
    assert flags.conf == "/run/nodecache/Corefile"
    assert flags.sets_up_host is (name != "cilium")


def test_cilium_overlay_is_an_ordinary_pod():
    objects = overlay("cilium")
    pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["hostNetwork"] is False
    container = container_of(objects)
    assert "NET_ADMIN" not in container["securityContext"]["capabilities"]["add"]
    assert {"-setupinterface=false", "-setupiptables=false"} < set(container["args"])
    assert not [v for v in pod["volumes"] if v["name"] == "xtables-lock"]
    assert all("host" not in container[p]["httpGet"] for p in container if p.endswith("Probe"))


def test_cilium_redirects_to_ports_that_the_pod_names():
    objects = overlay("cilium")
    named = {(p["name"], p["containerPort"]) for p in container_of(objects)["ports"]}
    policy = pick(objects, "CiliumLocalRedirectPolicy")["spec"]
    redirected = {(p["name"], int(p["port"])) for p in policy["redirectBackend"]["toPorts"]}
    assert redirected == {("dns", 53), ("dns-tcp", 53)}
    assert redirected < named
    selected = policy["redirectBackend"]["localEndpointSelector"]["matchLabels"]
    assert selected == pick(objects, "DaemonSet")["spec"]["template"]["metadata"]["labels"]


def test_cilium_corefile_binds_every_address_of_both_families():
    """The policy redirects each of kube-dns' addresses to the pod's of the same family."""
    text = pick(overlay("cilium"), "ConfigMap")["data"]["Corefile"]
    for placeholder in ("__PILLAR__CLUSTER__DNS__", "__PILLAR__UPSTREAM__SERVERS__"):
        text = text.replace(placeholder, "192.0.2.53")
    corefile = parse(text, "Corefile", env={}, default_port=53, read=None)
    assert len(corefile.blocks) == 4
    assert {zone.address.host for zone in served_zones(corefile, no_interface)} == {""}
    assert "__PILLAR__LOCAL__DNS__" not in text


@pytest.mark.parametrize("folder", ["dual-stack", "cilium"])
def test_corefiles_of_overlays_are_the_base_corefile_but_for_addresses(folder):
    def bare(corefile: str) -> list[str]:
        lines = [line.split() for line in corefile.splitlines()]
        return [" ".join(words) for words in lines if words[0] not in ("bind", "health")]

    base = pick(load(MANIFEST.read_text()), "ConfigMap")["data"]["Corefile"]
    own = (DEPLOY / "overlays" / folder / "Corefile").read_text()
    assert bare(own) == bare(base)


def test_guaranteed_component_asks_for_what_it_may_use(tmp_path):
    resources = container_of(load(with_components(tmp_path, "guaranteed")))["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "500m", "memory": "512Mi"}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_network_policy_lets_pods_ask_over_udp_and_tcp(version):
    (policy,) = load(kustomize(DEPLOY / "components/networkpolicy"))
    kubernetes_validate.validate(policy, version, strict=True)
    for rule in policy["spec"]["egress"]:
        assert {(p["protocol"], p["port"]) for p in rule["ports"]} == {("UDP", 53), ("TCP", 53)}


def test_network_policy_is_brought_into_a_namespace_without_the_agent(tmp_path):
    """A component's `namespace` would move all objects of its overlay."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    listed = "namespace: shop\nresources:\n  - deploy/components/networkpolicy\n"
    (tmp_path / "kustomization.yaml").write_text(listed)
    (policy,) = load(kustomize(tmp_path))
    assert (policy["kind"], policy["metadata"]["namespace"]) == ("NetworkPolicy", "shop")


def test_network_policy_lets_pods_ask_the_agent_where_it_is_an_ordinary_pod():
    (policy,) = load(kustomize(DEPLOY / "components/networkpolicy"))
    pods = [to["podSelector"]["matchLabels"] for to in policy["spec"]["egress"][-1]["to"]]
    agent = pick(overlay("cilium"), "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert pods == [{"k8s-app": "kube-dns"}, agent]


def test_pod_monitor_selects_the_pods_and_names_the_job_as_public_alerts_do(tmp_path):
    objects = load(with_components(tmp_path, "monitoring"))
    monitor = pick(objects, "PodMonitor")["spec"]
    labels = pick(objects, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"] == labels
    assert labels[monitor["jobLabel"]] == "node-local-dns"


def test_pod_monitor_scrapes_one_container_of_a_pod_that_has_others(tmp_path):
    """Prometheus makes a target of each container, an init container too, and all have the one address."""
    objects = load(with_components(tmp_path, "monitoring"))
    (endpoint,) = pick(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    (kept,) = [rule for rule in endpoint["relabelings"] if rule.get("action") == "keep"]
    assert kept["sourceLabels"] == ["__meta_kubernetes_pod_container_name"]
    assert kept["regex"] == container_of(objects)["name"]


def test_dashboard_is_where_grafana_looks_for_it(tmp_path):
    objects = load(with_components(tmp_path, "monitoring"))
    dashboard = pick(objects, "ConfigMap", "node-local-dns-dashboard")
    assert dashboard["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert list(dashboard["data"]) == ["node-local-dns.json"]


def test_podnames_component_brings_the_files_that_top_reads_and_no_right_to_change_them(tmp_path):
    objects = load(with_components(tmp_path, "podnames"))
    (mount,) = [m for m in container_of(objects)["volumeMounts"] if m["mountPath"] == RESULTS]
    assert mount["readOnly"] is True
    pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == mount["name"]]
    assert volume["hostPath"]["path"] == RESULTS


def test_endpointslices_component_lets_the_agent_read_slices_and_nothing_else(tmp_path):
    objects = load(with_components(tmp_path, "endpointslices"))
    role = pick(objects, "Role")
    assert role["metadata"]["namespace"] == "kube-system"
    assert role["rules"] == [
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    binding = pick(objects, "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
    assert [each["name"] for each in binding["subjects"]] == [pod["serviceAccountName"]]


def test_endpointslices_component_gives_the_worker_a_token_it_can_read_and_its_zone(tmp_path):
    objects = load(with_components(tmp_path, "endpointslices"))
    pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
    container = container_of(objects)
    flags = parse_flags([*container["args"][2:], "-localip", "169.254.20.10"])
    assert flags.endpoints == "api"
    assert flags.user == (65534, 65534)
    assert pod["automountServiceAccountToken"] is True
    assert pod["securityContext"]["fsGroup"] == 65534
    (zone,) = container["env"]
    assert zone["name"] == ZONE_VARIABLE
    assert zone["valueFrom"]["fieldRef"]["fieldPath"] == (
        "metadata.labels['topology.kubernetes.io/zone']"
    )


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_objects_of_the_endpointslices_component_fit_the_schema(tmp_path, version):
    objects = load(with_components(tmp_path, "endpointslices"))
    for kind in ("Role", "RoleBinding"):
        kubernetes_validate.validate(pick(objects, kind), version, strict=True)
