"""The agent on the node under test: its manifest, its life, its counters."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kubectl import KubectlFailed, Place, Pod, get, kubectl, until

MANIFEST = Path(__file__).parents[2] / "deploy" / "nodelocaldns.yaml"
NAMESPACE = "kube-system"
DAEMONSET = "node-local-dns"
LOCAL = "169.254.20.10"
INTERFACE = "nodelocaldns"
METRICS_PORT = 9253

IMAGE = os.environ.get("NODECACHE_IMAGE", "localhost/nodecache:test")
IMPORT = os.environ.get("IMAGE_IMPORT", "")
ARGUMENTS = os.environ.get("AGENT_ARGUMENTS", "").split()
NEXT_IMAGE = f"{IMAGE}-next"
ORIGINAL = os.environ.get("ORIGINAL_IMAGE", "")
BROKEN_IMAGE = os.environ.get("BROKEN_IMAGE", "")


def import_image(name: str) -> None:
    """Let the user's hook bring `name`, made from this checkout, to the node."""
    if IMPORT:
        subprocess.run(f"{IMPORT} {name}", shell=True, check=True, timeout=600)


def cluster_dns() -> str:
    """The Service address of kube-dns, as the stock instructions ask for it."""
    return kubectl("-n", NAMESPACE, "get", "svc", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")


def seeds_sed(text: str, *, is_ipvs: bool = False) -> str:
    """The stock instructions' sed commands on the manifest."""
    dns = cluster_dns()
    commands = [
        f"s/__PILLAR__LOCAL__DNS__/{LOCAL}/g",
        "s/__PILLAR__DNS__DOMAIN__/cluster.local/g",
        "s/,__PILLAR__DNS__SERVER__//g" if is_ipvs else f"s/__PILLAR__DNS__SERVER__/{dns}/g",
    ]
    if is_ipvs:
        commands.append(f"s/__PILLAR__CLUSTER__DNS__/{dns}/g")
    argv = ["sed", *(word for command in commands for word in ("-e", command))]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


def documents(image: str = IMAGE, arguments: list[str] = ARGUMENTS) -> list[dict[str, Any]]:
    """The manifest after sed, with the image under test and what this node needs besides."""
    found = list(yaml.safe_load_all(seeds_sed(MANIFEST.read_text())))
    container = container_of(found)
    container["image"], container["imagePullPolicy"] = image, "IfNotPresent"
    container["args"] += arguments
    return [document for document in found if document]


def documents_before_sed() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def original() -> "Agent":
    """The original in the same manifest, as its own has it: other arguments, one pod at a time."""
    found = documents(ORIGINAL, [])
    container = container_of(found)
    container["args"] = [
        *("-localip", f"{LOCAL},{cluster_dns()}"),
        *("-conf", "/etc/Corefile"),
        *("-upstreamsvc", "kube-dns-upstream"),
        *("-pidfile", "/tmp/node-cache.pid"),
    ]
    container["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    container["ports"] = [
        {"containerPort": 53, "name": "dns", "protocol": "UDP"},
        {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
        {"containerPort": METRICS_PORT, "name": "metrics", "protocol": "TCP"},
    ]
    container["livenessProbe"]["initialDelaySeconds"] = 60
    del container["readinessProbe"], container["startupProbe"]
    spec = daemonset_of(found)["spec"]
    spec["updateStrategy"]["rollingUpdate"] = {"maxUnavailable": "10%"}
    del spec["minReadySeconds"]
    return Agent(found, name="original")


def daemonset_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    return next(document for document in found if document and document["kind"] == "DaemonSet")


def container_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    containers = daemonset_of(found)["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    return containers[0]  # type: ignore[no-any-return]


@contextlib.contextmanager
def link_for_the_original(node: Pod) -> Iterator[None]:
    """A bridge in place of the dummy link that this node's kernel may not know."""
    if not ARGUMENTS:
        yield
        return
    holder = node.start("node.py", "hold", INTERFACE)
    try:
        yield
    finally:
        node.run("node.py", "release")
        holder.outcome()


class Agent:
    """The DaemonSet on the cluster."""

    def __init__(self, found: list[dict[str, Any]], name: str = "nodecache") -> None:
        self.documents = found
        self.name = name

    @property
    def text(self) -> str:
        return yaml.safe_dump_all(self.documents)

    def create(self) -> None:
        """`kubectl create -f`, and wait for the pod to be ready."""
        kubectl("create", "-f", "-", stdin=self.text)
        self.wait_until_ready()

    def replace(self) -> None:
        """What is there, made by `kubectl create`, as README has it."""
        kubectl("apply", "-f", "-", "-l", "kubernetes.io/name=KubeDNSPods", stdin=self.text)
        kubectl("replace", "--save-config", "-f", "-", stdin=self.text)

    def delete(self) -> None:
        """`kubectl delete -f`, and wait for the pod to be gone."""
        kubectl("delete", "-f", "-", "--ignore-not-found", stdin=self.text)
        until("the agent's pod is gone", lambda: not self.pods())

    def wait_until_ready(self) -> None:
        """Until the rollout is through; else AssertionError with the log's last lines."""
        rollout = ["-n", NAMESPACE, "rollout", "status", f"ds/{DAEMONSET}", "--timeout=60s"]
        try:
            kubectl(*rollout)
        except KubectlFailed as error:
            raise AssertionError(f"{error}\n{self._last_words()}") from None

    def _last_words(self) -> str:
        try:
            return self.logs("--tail=10")
        except (KubectlFailed, LookupError) as error:
            return str(error)

    def wait_until_it_intercepts(self, node: Pod) -> None:
        """Until addresses and packet rules are there: the original's come late."""
        addresses = {LOCAL, cluster_dns()}

        def is_up() -> bool:
            state = node.run("node.py", "state", *addresses)
            return addresses == set(state["addresses"]) and bool(state["rules"])

        until("addresses and rules are up", is_up)

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = get("-n", NAMESPACE, "pods", "-l", f"k8s-app={DAEMONSET}")[
            "items"
        ]
        return found

    @property
    def pod(self) -> str:
        """The name of its one pod that is not on its way out."""
        names = [
            pod["metadata"]["name"]
            for pod in self.pods()
            if "deletionTimestamp" not in pod["metadata"]
        ]
        return str(names[-1])

    def is_ready(self) -> bool:
        statuses = [pod["status"].get("containerStatuses", []) for pod in self.pods()]
        each = [bool(status) and all(one["ready"] for one in status) for status in statuses]
        return bool(each) and all(each)

    def restarts(self) -> int:
        return sum(
            one["restartCount"]
            for pod in self.pods()
            for one in pod["status"].get("containerStatuses", [])
        )

    @property
    def place(self) -> Place:
        return Place(NAMESPACE, self.pod)

    def logs(self, *arguments: str) -> str:
        return kubectl("-n", NAMESPACE, "logs", self.pod, *arguments)

    def execute(self, *argv: str) -> str:
        return kubectl("-n", NAMESPACE, "exec", self.pod, "--", *argv)

    def edit_corefile(self, change: tuple[str, str]) -> None:
        """What `kubectl edit configmap node-local-dns` does: replace one text by another."""
        found = get("-n", NAMESPACE, "configmap", DAEMONSET)
        corefile = found["data"]["Corefile"]
        assert change[0] in corefile
        found["data"]["Corefile"] = corefile.replace(*change)
        kubectl("replace", "-f", "-", stdin=json.dumps(found))


@contextlib.contextmanager
def alone(it: Agent, node: Pod) -> Iterator[Agent]:
    """`it` on the node, made anew and with no agent beside it; deleted afterwards."""
    it.delete()
    with link_for_the_original(node) if it.name == "original" else contextlib.nullcontext():
        it.create()
        yield it
        it.delete()


def wait_until_released(node: Pod) -> None:
    """Until nothing on the node draws queries: no link, no address, no rule that keeps them untracked.

    What a clean stop leaves are the fallbacks to kube-dns' pods, which end within 15 minutes.
    """

    def is_released() -> bool:
        state = node.run("node.py", "state", LOCAL, cluster_dns())
        drawing = [rule for rule in state["rules"] if "notrack" in rule.lower()]
        return not (state["links"] or state["addresses"] or drawing)

    until("the node is released", is_released, 30)


def total(page: str, name: str, **labels: str) -> float:
    """The sum of all samples of a family that have these labels."""
    found = 0.0
    for line in page.splitlines():
        if not line.startswith((f"{name}{{", f"{name} ")):
            continue
        if all(f'{label}="{value}"' in line for label, value in labels.items()):
            found += float(line.rpartition(" ")[2])
    return found


def metrics_of(node: Pod) -> str:
    """The agent's metrics page."""
    return fetch(node, f"http://127.0.0.1:{METRICS_PORT}/metrics")


def fetch(pod: Pod, url: str) -> str:
    """What `url` says to a GET from within `pod`."""
    source = (
        f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"
    )
    return kubectl("-n", pod.namespace, "exec", pod.name, "--", "python3", "-c", source)
