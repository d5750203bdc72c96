"""`nodecache doctor` beside a running agent on a node of its own: healthy, and with one fault after the other."""

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.needs import need_node
from tests.system.netns import INTERFACE, KUBE_DNS, LOCAL, SERVICE, World, wait_until
from tests.system.on_node import ROOT, Agent, stock

pytestmark = pytest.mark.system
need_node()

# The command, with the files of a node in the place of those of the machine that runs the tests.
DOCTOR = """
import sys
from pathlib import Path
from nodecache.command.doctor.main import main
sys.exit(main(sys.argv[2:], root=Path(sys.argv[1])))
"""
FILES = {
    "etc/resolv.conf": "nameserver 192.0.2.53\n",
    "var/lib/kubelet/config.yaml": f"clusterDNS: [{SERVICE}]\n",
    "sys/fs/cgroup/memory.max": str(256 << 20),
    "sys/fs/cgroup/cpu.stat": "nr_periods 1000\nnr_throttled 1\n",
}
AREAS = {
    "agent", "configuration", "conntrack", "cpu", "descriptors", "interception", "interface", "kernel", "kubelet",
    "memory", "packet rules", "resolvers", "sockets", "upstreams",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """The node, its agent, and `root`, where the node's files are."""

    world: World
    agent: Agent
    root: Path

    def examined(self) -> tuple[int, list[dict[str, Any]]]:
        """The exit status and all findings."""
        argv = (
            *(sys.executable, "-c", DOCTOR, str(self.root), "--json"),
            *("-conf", str(self.agent.corefile), "-basecorefile", "/none"),
            *("-localip", f"{LOCAL},{SERVICE}", "-metrics-listen-address", f"{LOCAL}:9353"),
        )
        told = json.loads(self.world.node.run("env", f"PYTHONPATH={ROOT}", *argv, check=False))
        return told["status"], told["findings"]

    def is_whole(self) -> bool:
        """Whether table and addresses are there."""
        traces = self.run("nft list ruleset") + self.run("ip address")
        wanted = (f"elements = {{ {SERVICE}, {LOCAL} }}", f"{LOCAL}/", f"{SERVICE}/")
        return all(each in traces for each in wanted)

    def run(self, line: str) -> str:
        return self.world.node.run(*line.split())

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[Node]:
    world = World()
    root = tmp_path_factory.mktemp("root")
    node = Node(world, Agent(world, root, [LOCAL, SERVICE]).wait_ready(), root)
    for path, text in FILES.items():
        node.write(path, text)
    (root / "proc").symlink_to("/proc")
    world.ask(SERVICE)  # as a pod
    yield node
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.agent.process.pid, signal.SIGKILL)
    node.agent.process.wait()
    world.remove()


def test_a_healthy_node_has_nothing_to_look_at(node):
    status, findings = node.examined()
    assert [each for each in findings if each["level"] != "ok"] == []
    assert {each["area"] for each in findings} == AREAS
    assert status == 0


def test_it_changes_nothing(node):
    def everything() -> list[str]:
        listings = ("nft list ruleset", "cat /proc/net/ip_tables_names", "ip address", "ip route")
        without_counts = [
            line.partition("packets")[0].partition(" [")[0]
            for listing in listings
            for line in node.run(listing).splitlines()
            if not line.startswith("#") and not re.search("expires|valid_lft", line)
        ]
        return [*without_counts, *sorted(map(str, node.root.rglob("*")))]

    before = everything()
    node.examined()
    assert everything() == before


Fault = Callable[[Node], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault, and what has to be said of it."""

    fault: Fault
    area: str
    level: str
    what: str
    mend: str


def file(path: str, text: str) -> Fault:
    """A file of the node that says something else."""

    @contextlib.contextmanager
    def planted(node: Node) -> Iterator[None]:
        node.write(path, text)
        yield
        node.write(path, FILES[path])

    return planted


def commands(*lines: str, undo: str) -> Fault:
    """Something done to the node while the keeper, which would mend some of it, does not look."""

    @contextlib.contextmanager
    def planted(node: Node) -> Iterator[None]:
        os.kill(node.agent.process.pid, signal.SIGSTOP)
        for line in lines:
            node.run(line)
        try:
            yield
        finally:
            node.run(undo)
            os.kill(node.agent.process.pid, signal.SIGCONT)
            wait_until(node.is_whole, 20)

    return planted


def corefile(old: str, new: str) -> Fault:
    """A Corefile that somebody edited."""

    @contextlib.contextmanager
    def planted(node: Node) -> Iterator[None]:
        text = stock([LOCAL, SERVICE])
        node.agent.write(text.replace(old, new))
        yield
        node.agent.write(text)

    return planted


@contextlib.contextmanager
def full_table(node: Node) -> Iterator[None]:
    (node.root / "proc").unlink()
    node.write("proc/sys/net/netfilter/nf_conntrack_max", "1000\n")
    node.write("proc/sys/net/netfilter/nf_conntrack_count", "980\n")
    yield
    (node.root / "proc").rename(node.root / "planted")
    (node.root / "proc").symlink_to("/proc")


@contextlib.contextmanager
def hanging(node: Node) -> Iterator[None]:
    """Keeper and worker stand still."""
    os.killpg(node.agent.process.pid, signal.SIGSTOP)
    yield
    os.killpg(node.agent.process.pid, signal.SIGCONT)


FLUSH = "nft delete table inet planted"
TABLE = "nft add table inet planted"
CHAIN = "nft add chain inet planted early {{ type filter hook {} priority -310 ; }}"
IPTABLES = "iptables-legacy -t raw {} PREROUTING -d {} -p udp --dport 53 -j NOTRACK"
LINK = "ip link add {0} type bridge"

FAULTS = {
    "resolv.conf leads back to the agent": Planted(
        file("etc/resolv.conf", f"nameserver {LOCAL}\n"),
        "resolvers", "broken", "the agent itself", "resolvConf",
    ),
    "resolv.conf names systemd-resolved": Planted(
        file("etc/resolv.conf", "nameserver 127.0.0.53\n"),
        "resolvers", "look", "127.0.0.53", "/run/systemd/resolve/resolv.conf",
    ),
    "the kubelet sends pods elsewhere": Planted(
        file("var/lib/kubelet/config.yaml", "clusterDNS: [10.96.0.53]\n"),
        "kubelet", "broken", "10.96.0.53", "-localip",
    ),
    "a memory limit below the budget": Planted(
        file("sys/fs/cgroup/memory.max", str(64 << 20)),
        "memory", "look", "below what the agent and its budget need", "a limit of 109Mi",
    ),
    "a CPU limit": Planted(
        file("sys/fs/cgroup/cpu.stat", "nr_periods 100\nnr_throttled 40\n"),
        "cpu", "look", "throttled in 40 %", "take the CPU limit away",
    ),
    "connection tracking is full": Planted(
        full_table, "conntrack", "look", "nearly full: 980 of 1000", "nf_conntrack_max",
    ),
    "a directive that does not exist": Planted(
        corefile("errors", "errrors"), "configuration", "broken", "errrors", "edit configmap",
    ),
    "a placeholder that nobody fills in": Planted(
        corefile(f"forward . {KUBE_DNS}", "forward . __PILLAR__CLUSTER__DNS__"),
        "configuration", "broken", "__PILLAR__CLUSTER__DNS__", "edit configmap",
    ),
    "kube-dns cannot be reached": Planted(
        commands(f"ip route add blackhole {KUBE_DNS}/32", undo=f"ip route del blackhole {KUBE_DNS}/32"),
        "upstreams", "broken", f"{KUBE_DNS}:53 does not answer", f"dig @{KUBE_DNS}",
    ),
    "kube-dns is shut off by TCP": Planted(
        commands(
            TABLE, CHAIN.format("output"),
            f"nft add rule inet planted early ip daddr {KUBE_DNS} tcp dport 53 drop", undo=FLUSH,
        ),
        "upstreams", "broken", "TCP does not answer", "TCP port 53",
    ),
    "somebody flushed the rules": Planted(
        commands("nft delete table inet nodecache", undo="true"),
        "packet rules", "broken", "is gone", "nft monitor",
    ),
    "somebody took an address out of the rules": Planted(
        commands(f"nft delete element inet nodecache addresses4 {{ {SERVICE} }}", undo="true"),
        "packet rules", "broken", f"no rule for {SERVICE}", "nft monitor",
    ),
    "somebody took an address away": Planted(
        commands(f"ip address del {SERVICE}/32 dev {INTERFACE}", undo="true"),
        "interface", "broken", f"lacks {SERVICE}", "-syncinterval",
    ),
    "a filter drops what pods ask": Planted(
        commands(
            TABLE, CHAIN.format("prerouting"), "nft add rule inet planted early udp dport 53 drop",
            undo=FLUSH,
        ),
        "packet rules", "broken", "udp dport 53 drop", "nft insert rule inet planted early",
    ),
    "a filter drops what some pods ask": Planted(
        commands(
            "iptables-legacy -t mangle -A PREROUTING -s 10.244.3.0/24 -p udp --dport 53 -j DROP",
            undo="iptables-legacy -t mangle -F",
        ),
        "packet rules", "look", "(some of them)", "iptables-legacy -t mangle -D PREROUTING",
    ),
    "a filter drops the answers": Planted(
        commands(
            TABLE, CHAIN.format("postrouting"),
            f"nft add rule inet planted early ip saddr {SERVICE} udp sport 53 drop", undo=FLUSH,
        ),
        "packet rules", "broken", "drops UDP replies from 10.96.0.10", "th sport 53 accept",
    ),
    "another node-local cache": Planted(
        commands(IPTABLES.format("-A", "169.254.25.10"), undo=IPTABLES.format("-D", "169.254.25.10")),
        "another cache", "look", "169.254.25.10", "-D PREROUTING -d 169.254.25.10/32",
    ),
    "what a cache before this one left": Planted(
        commands(IPTABLES.format("-A", SERVICE), undo=IPTABLES.format("-D", SERVICE)),
        "another cache", "look", "untracked for good", f"-D PREROUTING -d {SERVICE}/32",
    ),
    "kube-proxy in IPVS mode": Planted(
        commands(LINK.format("kube-ipvs0"), undo="ip link del kube-ipvs0"),
        "kube-proxy", "broken", "IPVS", "overlays/ipvs",
    ),
    "Cilium in the place of kube-proxy": Planted(
        commands(LINK.format("cilium_host"), undo="ip link del cilium_host"),
        "kube-proxy", "look", "Cilium", "overlays/cilium",
    ),
    "the agent hangs": Planted(hanging, "agent", "broken", "does not answer", "cpu below"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_named_with_its_mend(node, name):
    planted = FAULTS[name]
    with planted.fault(node):
        status, findings = node.examined()
    found = [each for each in findings if each["area"] == planted.area and each["level"] != "ok"]
    assert [each["level"] for each in found] == [planted.level] * len(found)
    assert planted.what in found[0]["what"]
    assert planted.mend in found[0]["mend"]
    assert found[0]["for_pods"]
    assert status == (2 if planted.level == "broken" else status)
    assert status > 0


def test_a_firewall_that_drops_by_default_is_opened_by_the_agent(node):
    """As firewalld and ufw do: the agent's accepts stand at the head, and there is nothing to look at."""
    node.run(TABLE)
    node.run("nft add chain inet planted in { type filter hook input priority 10 ; }")
    node.run("nft add rule inet planted in ct state established,related accept")
    node.run("nft add rule inet planted in reject")
    try:
        wait_until(lambda: "NodeLocal DNS Cache" in node.run("nft list table inet planted"))
        _, findings = node.examined()
        assert [
            each for each in findings if each["area"] == "packet rules" and each["level"] != "ok"
        ] == []
    finally:
        node.run(FLUSH)


def test_an_agent_that_has_ended_is_missed(node):
    node.agent.stop()
    status, findings = node.examined()
    (found,) = [each for each in findings if each["area"] == "agent"]
    assert (status, found["level"], "no agent answers" in found["what"]) == (1, "look", True)
    assert "rollout status" in found["mend"]
