"""deploy/nodelocaldns.yaml: fits the documented commands, the schemas, and what the stock file has."""

import copy
import json
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from nodecache.command import check
from nodecache.config.flags import parse_flags
from nodecache.forward.podlist import SERVICE
from nodecache.keeper.handover import PATIENCE_SECONDS
from tests.deploy.manifests import (
    DEPLOY,
    KUBERNETES_DOCS_SED,
    KUBERNETES_VERSIONS,
    LEFT_TO_THE_AGENT,
    MANIFEST,
    ROOT,
    Object,
    container_of,
    load,
    pick,
    placeholders,
    sed,
)
from tests.needs import need

README = (ROOT / "README.md").read_text(encoding="utf-8")
MODES = list(KUBERNETES_DOCS_SED)


@pytest.fixture
def stock() -> list[Object]:
    return load(MANIFEST.read_text())


@pytest.fixture(params=MODES)
def filled(request) -> list[Object]:
    return load(sed(request.param, MANIFEST.read_text()))


def test_manifest_is_made_of_its_parts():
    parts = ("serviceaccount", "services", "configmap", "daemonset")
    joined = "---\n".join((DEPLOY / "base" / f"{part}.yaml").read_text() for part in parts)
    assert MANIFEST.read_text().split("\n", 1)[1] == joined, "run make manifest"


def test_manifest_has_the_five_placeholders():
    assert placeholders(MANIFEST.read_text()) == {
        "__PILLAR__LOCAL__DNS__",
        "__PILLAR__DNS__DOMAIN__",
        "__PILLAR__DNS__SERVER__",
        "__PILLAR__CLUSTER__DNS__",
        "__PILLAR__UPSTREAM__SERVERS__",
    }


@pytest.mark.parametrize("mode", MODES)
def test_documented_sed_leaves_only_what_the_agent_fills_in(mode):
    assert placeholders(sed(mode, MANIFEST.read_text())) == LEFT_TO_THE_AGENT[mode]


@pytest.mark.parametrize("part", ["manifest", "ConfigMap"])
@pytest.mark.parametrize("mode", MODES)
def test_check_finds_nothing_wrong_with_it_once_it_is_filled_in(mode, part, tmp_path, capsys):
    objects = load(sed(mode, MANIFEST.read_text()))
    file = tmp_path / "filled.yaml"
    file.write_text(yaml.safe_dump_all(objects if part == "manifest" else [pick(objects, part)]))
    status = check.main([str(file)], {"KUBE_DNS_UPSTREAM_SERVICE_HOST": "10.96.0.11"})
    assert (status, capsys.readouterr().err) == (0, "")


def test_with_the_brackets_that_the_readme_asks_for_its_addresses_may_be_ipv6(tmp_path, capsys):
    assert "write `health [__PILLAR__LOCAL__DNS__]:8080`" in README
    text = MANIFEST.read_text()
    text = text.replace("health __PILLAR__LOCAL__DNS__:", "health [__PILLAR__LOCAL__DNS__]:")
    text = sed("iptables", text).replace("169.254.20.10", "fd00:da7a::10")
    file = tmp_path / "filled.yaml"
    file.write_text(text.replace("10.96.0.10", "fd00:10:96::a"))
    status = check.main([str(file)], {"KUBE_DNS_UPSTREAM_SERVICE_HOST": "fd00:10:96::b"})
    assert (status, capsys.readouterr().err) == (0, "")


def test_check_names_a_placeholder_that_is_left_in_the_arguments_alone(tmp_path, capsys):
    objects = load(sed("ipvs", MANIFEST.read_text()))
    container_of(objects)["args"][1] += ",__PILLAR__DNS__SERVER__"
    file = tmp_path / "filled.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    assert check.main([str(file)], {}) == 1
    assert "not filled in yet: __PILLAR__DNS__SERVER__" in capsys.readouterr().err


def test_iptables_mode_serves_the_service_address_and_ipvs_mode_does_not():
    localip = {
        mode: container_of(load(sed(mode, MANIFEST.read_text())))["args"][1] for mode in MODES
    }
    assert localip == {"iptables": "169.254.20.10,10.96.0.10", "ipvs": "169.254.20.10"}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_object_fits_the_schema(filled, version):
    for thing in filled:
        kubernetes_validate.validate(thing, version, strict=True)


def test_objects_are_those_of_the_stock_file_and_the_pods_of_kube_dns(stock):
    assert [(o["kind"], o["metadata"]["name"]) for o in stock] == [
        ("ServiceAccount", "node-local-dns"),
        ("Service", "kube-dns-upstream"),
        ("Service", "kube-dns-pods"),
        ("Service", "node-local-dns"),
        ("ConfigMap", "node-local-dns"),
        ("DaemonSet", "node-local-dns"),
    ]
    assert {o["metadata"]["namespace"] for o in stock} == {"kube-system"}


def test_no_addon_manager_takes_an_object_for_its_own(stock):
    """AKS and kube-up prune what has these labels and is applied by somebody else (Azure/AKS#1435)."""
    labels = {label for thing in stock for label in thing["metadata"].get("labels", {})}
    assert labels.isdisjoint({"kubernetes.io/cluster-service", "addonmanager.kubernetes.io/mode"})


def test_the_object_that_the_stock_file_does_not_have_is_found_by_the_readmes_label(stock):
    label = {"kubernetes.io/name": "KubeDNSPods"}
    found = [o for o in stock if label.items() <= o["metadata"].get("labels", {}).items()]
    assert [o["metadata"]["name"] for o in found] == ["kube-dns-pods"]
    (command,) = re.findall(r"kubectl apply -f nodelocaldns\.yaml(.*?) +#", README)
    assert command == " -l kubernetes.io/name=KubeDNSPods"


def test_what_kubectl_created_is_replaced_since_a_merge_leaves_its_ports(stock):
    """The stock file is made by `kubectl create`, so `apply` does not know that its ports are gone."""
    ours = pick(stock, "DaemonSet")
    created = copy.deepcopy(ours)
    container_of([created])["ports"] = [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    kubectl = need("kubectl", package="kubernetes-client")
    merged = subprocess.run(
        [kubectl, *("patch", "--local", "-f", "-", "-o", "json", "-p", json.dumps(ours))],
        input=json.dumps(created),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert container_of([json.loads(merged)])["ports"]
    assert "    kubectl replace --save-config -f nodelocaldns.yaml\n" in README


def test_the_pods_of_kube_dns_are_told_under_the_names_the_agent_asks_for(stock):
    spec = pick(stock, "Service", "kube-dns-pods")["spec"]
    assert SERVICE == "kube-dns-pods.kube-system.svc"
    assert spec["clusterIP"] == "None"
    assert spec["selector"] == {"k8s-app": "kube-dns"}
    assert spec["publishNotReadyAddresses"] is False
    named = [(port["name"], port["protocol"], port["port"]) for port in spec["ports"]]
    assert named == [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)]


def test_base_corefile_has_the_stock_blocks_and_directives(stock):
    """Somebody who goes back to the original keeps this ConfigMap."""
    corefile = pick(stock, "ConfigMap")["data"]["Corefile"]
    heads = [line.split()[0] for line in corefile.splitlines() if line.endswith(":53 {")]
    assert heads == ["__PILLAR__DNS__DOMAIN__:53", "in-addr.arpa:53", "ip6.arpa:53", ".:53"]
    first_words = {line.split()[0] for line in corefile.splitlines()}
    assert first_words - {"}", *heads, "success", "denial", "force_tcp"} == {
        *("errors", "cache", "reload", "loop", "bind", "forward", "prometheus", "health")
    }


def test_pod_keeps_what_the_stock_pod_has(stock):
    daemonset = pick(stock, "DaemonSet")
    pod = daemonset["spec"]["template"]["spec"]
    assert daemonset["spec"]["selector"] == {"matchLabels": {"k8s-app": "node-local-dns"}}
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["hostNetwork"] is True
    assert pod["dnsPolicy"] == "Default"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["xtables-lock"]["hostPath"]["path"] == "/run/xtables.lock"
    assert volumes["kube-dns-config"]["configMap"] == {"name": "kube-dns", "optional": True}
    assert volumes["config-volume"]["configMap"]["items"] == [
        {"key": "Corefile", "path": "Corefile.base"}
    ]


def test_the_next_pod_is_there_before_the_one_before_it_goes(stock):
    """Both at once: nothing may keep the second off the node, and the change is as wide as the stock file's."""
    daemonset = pick(stock, "DaemonSet")
    strategy = daemonset["spec"]["updateStrategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": "10%", "maxUnavailable": 0}
    container = daemonset["spec"]["template"]["spec"]["containers"][0]
    assert "ports" not in container
    # Until it has taken over, a pod's probes are answered by its predecessor.
    assert daemonset["spec"]["minReadySeconds"] >= PATIENCE_SECONDS


def test_pod_runs_on_every_linux_node_and_on_no_other(stock):
    pod = pick(stock, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["tolerations"] == [{"operator": "Exists"}]


def test_pod_has_no_access_to_the_api_server(stock):
    pod = pick(stock, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pick(stock, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is True, "KUBE_DNS_UPSTREAM_SERVICE_HOST comes from them"


def test_container_has_the_least_privilege(stock):
    security = container_of(stock)["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"]["drop"] == ["ALL"]
    assert "privileged" not in security
    pod = pick(stock, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_whatever_the_container_writes_is_on_a_volume(stock):
    """The root file system is read-only."""
    container = container_of(stock)
    args = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
    written = [args[flag] for flag in ("-conf", "-pidfile", "-state")]
    control = args.get("-control", parse_flags((), is_served=False).control)
    (temporary,) = re.findall(r"\bTMPDIR=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    for file in (*written, control, f"{temporary}/check"):
        assert any(f"{file}/".startswith(f"{path}/") for path in writable), file


def test_nothing_keeps_a_second_pod_off_the_node_while_one_replaces_the_other(stock):
    """Ports of a pod on the host's network are the scheduler's to hand out once."""
    assert "ports" not in container_of(stock)


def test_probes_ask_the_address_that_the_corefile_serves_health_on(filled):
    container = container_of(filled)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["host"], asked["port"]) == ("169.254.20.10", 8080)
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert "health 169.254.20.10:8080" in pick(filled, "ConfigMap")["data"]["Corefile"]


@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_a_limit_range_has_nothing_to_refuse(stock, kind):
    """Memory that is not asked for is what the namespace's LimitRange says, 500Mi to 1Gi or else."""
    assert "memory" not in container_of(stock)["resources"].get(kind, {})


def test_prometheus_finds_the_pods_by_annotation_and_through_the_headless_service(stock):
    template = pick(stock, "DaemonSet")["spec"]["template"]
    service = pick(stock, "Service")
    wanted = {"prometheus.io/port": "9253", "prometheus.io/scrape": "true"}
    assert template["metadata"]["annotations"] == wanted
    assert service["metadata"]["annotations"] == wanted
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 9253, "targetPort": 9253}]


def test_sed_in_place_works_on_a_copy_as_the_documentation_says(tmp_path):
    copy = tmp_path / "nodelocaldns.yaml"
    copy.write_text(MANIFEST.read_text())
    command = f'kubedns=10.96.0.10 domain=x localdns=169.254.20.10; sed -i "{KUBERNETES_DOCS_SED["iptables"]}" {copy}'
    subprocess.run(["sh", "-c", command], check=True)
    assert container_of(load(copy.read_text()))["args"][1] == "169.254.20.10,10.96.0.10"
