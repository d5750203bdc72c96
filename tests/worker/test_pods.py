import subprocess
import sys

import pytest

from nodecache.config.cluster_dns import ClusterDns
from nodecache.config.flags import parse_flags
from nodecache.forward import Pod, UpstreamRegistry
from nodecache.process.pods import read_pods
from nodecache.worker.pods import ClusterPods, api_lister
from tests.forward.kubedns import ADDRESS, KubeDns
from tests.helpers.corefiles import corefile
from tests.scenarios.simulated import SimulatedWorld

STOCK = f"cluster.local {{\nforward . {ADDRESS} {{\nforce_tcp\n}}\n}}\n"


class Node:
    """A worker's list of pods. `told` is what the keeper hears."""

    def __init__(self, *pods: str) -> None:
        self.world = SimulatedWorld()
        self.kubedns = KubeDns(self.world, pods)
        self.told: list[tuple[str, ...]] = []
        self.upstreams = UpstreamRegistry(self.world)
        self.pods = ClusterPods(self.upstreams, self._tell)

    def _tell(self, pods) -> None:
        self.told.append(tuple(pod.host for pod in pods))

    def load(self, text: str = STOCK, address: str | None = ADDRESS) -> None:
        cluster = address and ClusterDns(address, "cluster.local.")
        self.pods.change_to(corefile(text), cluster)
        self.kubedns.answer()


@pytest.fixture
def node() -> Node:
    node = Node("10.244.0.2", "10.244.0.3")
    node.load()
    return node


def test_the_keeper_is_told_when_the_list_changes_and_each_minute(node):
    assert node.told == [("10.244.0.2", "10.244.0.3")]
    node.pods.tick(node.world.now + 59)
    assert len(node.told) == 1
    node.pods.tick(node.world.now + 61)
    assert len(node.told) == 2
    node.kubedns.pods = ("10.244.0.3",)
    node.world.advance(30)
    node.kubedns.answer()
    assert node.told[-1] == ("10.244.0.3",)


def test_the_questions_go_the_way_of_the_queries(node):
    assert {outgoing.transport for outgoing in node.world.sent} == {"TCP"}
    assert {each.to for each in node.upstreams.all()} == {
        f"{host}:53" for host in (ADDRESS, "10.244.0.2", "10.244.0.3")
    }


def test_the_service_address_is_asked_first_and_the_pods_where_it_does_not_answer(node):
    assert {outgoing.endpoint.host for outgoing in node.world.sent} == {ADDRESS}
    known = len(node.world.sent)
    node.world.advance(40)  # nobody answers
    again = [outgoing.endpoint.host for outgoing in node.world.sent[known:]]
    assert again[0] == ADDRESS
    assert {"10.244.0.2", "10.244.0.3"} & set(again)


def test_a_reload_that_asks_the_same_changes_nothing(node):
    sent = len(node.world.sent)
    node.load(STOCK + "example.org {\nwhoami\n}\n")
    assert len(node.world.sent) == sent
    assert [pod.host for pod in node.pods.pods] == ["10.244.0.2", "10.244.0.3"]


def test_a_reload_without_kube_dns_ends_the_list(node):
    node.load("example.org {\nwhoami\n}\n", None)
    assert node.told[-1] == ()
    assert node.pods.pods == ()
    assert node.upstreams.all() == []


def test_addresses_that_no_pod_can_have_are_left_out():
    node = Node("127.0.0.1", "169.254.20.10", "10.244.0.3")
    node.load()
    assert node.told == [("10.244.0.3",)]


def test_nothing_that_dns_says_looks_to_the_keeper_like_a_fault_of_ours():
    node = Node("10.244.0.2")
    node.kubedns.udp_port = 0
    node.load()
    (pod,) = node.pods.pods
    assert read_pods([[pod.host, pod.udp_port, pod.tcp_port]])


def test_nobody_is_asked_where_no_forward_names_the_cluster_dns_address():
    node = Node()
    node.load("example.org {\nwhoami\n}\n", None)
    assert node.world.sent == []
    assert node.told == []


def test_how_many_there_are_is_told_by_where_the_list_is_from(node):
    assert node.pods.counted() == {"dns": 2}
    node.load("example.org {\nwhoami\n}\n", None)
    assert node.pods.counted() == {}


def test_before_an_answer_there_are_none():
    node = Node()
    node.pods.change_to(corefile(STOCK), ClusterDns(ADDRESS, "cluster.local."))
    assert (node.pods.counted(), node.pods.is_told) == ({"dns": 0}, False)
    node.kubedns.answer()
    assert (node.pods.counted(), node.pods.is_told) == ({"dns": 0}, True)


class FakeLister:
    """Somebody else who knows the pods."""

    origin = "the stars"
    pods = None

    def __init__(self, changed) -> None:
        self.changed = changed
        self.silent = 0

    def begin(self) -> None:
        self.pods = [Pod("10.244.0.9")]
        self.changed(self.pods)

    def pod_fell_silent(self, now: float) -> None:
        self.silent += 1

    def close(self) -> None:
        pass


def test_another_lister_may_be_asked_in_the_place_of_kube_dns():
    world = SimulatedWorld()
    told = []
    pods = ClusterPods(UpstreamRegistry(world), told.append, FakeLister)
    pods.change_to(corefile(STOCK), ClusterDns(ADDRESS, "cluster.local."))
    assert told == [(Pod("10.244.0.9"),)]
    assert pods.counted() == {"api": 1}
    assert world.sent == []


@pytest.mark.parametrize(("value", "is_asked"), [("dns", False), ("off", False), ("api", True)])
def test_the_api_server_is_asked_where_the_flag_says_so(value, is_asked):
    flags = parse_flags(["-localip", "169.254.20.10", "-endpoints", value])
    assert (api_lister(flags) is not None) is is_asked


def test_the_client_library_is_imported_only_where_it_is_wanted():
    code = "import sys, nodecache.worker.agent; assert 'lightkube' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
