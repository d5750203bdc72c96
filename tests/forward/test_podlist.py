import pytest

from nodecache.forward import (
    Destinations,
    Endpoint,
    Forwarder,
    Pod,
    PodList,
    Settings,
    UpstreamRegistry,
    UpstreamSettings,
)
from tests.forward.kubedns import ADDRESS, SERVICE, KubeDns
from tests.scenarios.simulated import SimulatedWorld


class Node:
    """A node that asks kube-dns for its pods. `told` are the lists so far."""

    def __init__(self, *pods: str, **more: object) -> None:
        self.world = SimulatedWorld()
        self.kubedns = KubeDns(self.world, pods, **more)
        settings = Settings(upstream=UpstreamSettings(force_tcp=True))
        address = Endpoint(ADDRESS)
        destinations = Destinations([address])
        forwarder = Forwarder(settings, UpstreamRegistry(self.world), destinations)
        self.told: list[tuple[str, ...]] = []
        self.list = PodList(forwarder, address, "cluster.local.", self._changed)
        self.list.begin()
        self.kubedns.answer()

    def _changed(self, pods) -> None:
        self.told.append(tuple(pod.host for pod in pods))

    def asked_after(self, seconds: float) -> int:
        """How many questions are asked while so much time passes; they are answered at once."""
        before, end = len(self.kubedns.asked), self.world.now + seconds
        while self.world.now < end:
            self.world.advance(min(0.05, end - self.world.now))
            self.kubedns.answer()
        return len(self.kubedns.asked) - before


def test_pods_and_their_ports_are_told_by_two_questions():
    node = Node("10.244.0.2", "10.244.1.2", udp_port=5353, tcp_port=5354)
    assert node.kubedns.asked == [f"_dns._udp.{SERVICE} SRV", f"_dns-tcp._tcp.{SERVICE} SRV"]
    assert node.list.pods == (Pod("10.244.0.2", 5353, 5354), Pod("10.244.1.2", 5353, 5354))
    assert node.told == [("10.244.0.2", "10.244.1.2")]


def test_pods_of_both_families_are_found():
    node = Node("10.244.0.2", "fd00:10:244::2")
    assert [pod.host for pod in node.list.pods] == ["10.244.0.2", "fd00:10:244::2"]


def test_addresses_that_do_not_come_along_are_asked_for():
    node = Node("10.244.0.2", "fd00:10:244::2", has_additional=False, udp_port=5353)
    assert len(node.kubedns.asked) == 2 + 2 * 2
    assert node.list.pods == (Pod("10.244.0.2", 5353, 53), Pod("fd00:10:244::2", 5353, 53))


def test_a_service_whose_ports_have_other_names_tells_addresses():
    node = Node("10.244.0.2", "10.244.0.3", has_ports=False)
    assert node.list.pods == (Pod("10.244.0.2"), Pod("10.244.0.3"))


@pytest.mark.parametrize(("ttl", "seconds"), [(30, 27), (5, 4.5), (1, 0.9), (0, 4.5), (3600, 54)])
def test_the_list_is_asked_for_again_before_its_ttl_ends_within_bounds(ttl, seconds):
    node = Node("10.244.0.2", ttl=ttl)
    node.kubedns.pods = ("10.244.0.3",)
    assert node.asked_after(seconds - 0.1) == 0
    assert node.asked_after(0.2) == 2
    assert node.told == [("10.244.0.2",), ("10.244.0.3",)]


def test_an_equal_list_is_told_once():
    node = Node("10.244.0.2")
    assert node.asked_after(30) == 2
    assert node.told == [("10.244.0.2",)]


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
def test_a_kube_dns_that_fails_keeps_the_last_list(rcode):
    node = Node("10.244.0.2")
    node.kubedns.rcode = rcode
    node.asked_after(60)
    assert node.told == [("10.244.0.2",)]
    assert node.list.pods == (Pod("10.244.0.2"),)


def test_a_kube_dns_that_is_away_keeps_the_last_list_and_is_asked_until_it_is_back():
    node = Node("10.244.0.2")
    node.world.machine(ADDRESS).mood = "dead"
    node.world.advance(600)
    assert node.told == [("10.244.0.2",)]
    node.world.machine(ADDRESS).mood = "alive"
    node.kubedns.pods = ("10.244.0.3",)
    node.world.advance(40)
    node.kubedns.answer()
    node.world.advance(1)
    node.kubedns.answer()
    assert node.told[-1] == ("10.244.0.3",)


def test_without_the_service_there_is_no_list_and_it_is_asked_for_seldom():
    node = Node(has_service=False)
    assert node.told == [()]
    assert node.asked_after(1200) <= 4 * (7 + 1200 // 300)
    node.kubedns.has_service, node.kubedns.pods = True, ("10.244.0.2",)
    node.asked_after(301)
    assert node.told == [(), ("10.244.0.2",)]


def test_a_list_that_became_empty_is_told_and_soon_asked_for_again():
    node = Node("10.244.0.2")
    node.kubedns.pods = ()
    assert node.asked_after(27) == 4
    assert node.told == [("10.244.0.2",), ()]
    node.kubedns.pods = ("10.244.0.3",)
    assert node.asked_after(5) == 2
    assert node.told[-1] == ("10.244.0.3",)


def test_a_pod_that_falls_silent_has_the_list_asked_for_at_once():
    node = Node("10.244.0.2")
    node.world.advance(2)
    node.list.pod_fell_silent(node.world.now)
    node.list.pod_fell_silent(node.world.now)
    assert node.kubedns.answer() == 2
    node.list.pod_fell_silent(node.world.now)
    assert node.kubedns.answer() == 0  # once a second is enough


@pytest.mark.parametrize("is_answered", [True, False], ids=["just asked", "under way"])
def test_a_pod_that_falls_silent_as_the_list_is_asked_for_has_it_asked_for_once_more(is_answered):
    node = Node("10.244.0.2", "10.244.0.3", ttl=60)
    node.world.advance(2)
    node.list.begin()
    if is_answered:
        node.kubedns.answer()
    node.list.pod_fell_silent(node.world.now)
    node.kubedns.answer()
    node.kubedns.pods = ("10.244.0.3",)
    assert node.asked_after(1.2) == 2
    assert node.told[-1] == ("10.244.0.3",)
    assert node.asked_after(50) == 0


def test_a_port_that_is_told_for_one_protocol_is_that_of_both():
    node = Node("10.244.0.2", udp_port=0, tcp_port=5353)
    assert node.list.pods == (Pod("10.244.0.2", 5353, 5353),)


def test_nothing_is_asked_once_closed():
    node = Node("10.244.0.2")
    node.list.close()
    assert node.asked_after(600) == 0
    assert node.world.is_quiet
