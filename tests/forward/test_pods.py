"""Pods behind the cluster DNS address, from the list to the query."""

from collections import Counter

import dns.message
import dns.rcode
import pytest

from nodecache.forward import (
    BALANCED,
    Endpoint,
    Failure,
    Forwarder,
    Pod,
    PodDestinations,
    Settings,
    TlsSettings,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.forward.pods import MAX_PODS_ASKED, some_of
from nodecache.wire import Answer, read_query
from tests.scenarios.simulated import SimulatedWorld

SERVICE = Endpoint("10.96.0.11")
ONE, OTHER = Pod("10.244.0.2"), Pod("10.244.1.2")


class Known:
    """A list of pods that a test changes."""

    def __init__(self, *pods: Pod) -> None:
        self.pods = pods
        self._followers = []

    def follow(self, changed) -> None:
        self._followers.append(changed)

    def leave(self, changed) -> None:
        self._followers.remove(changed)

    def change_to(self, *pods: Pod) -> None:
        self.pods = pods
        for changed in self._followers:
            changed()


class Node:
    """A `forward` to the cluster DNS address. `outcomes` are what queries came to."""

    def __init__(self, *pods: Pod, service: Endpoint = SERVICE, force_tcp: bool = True) -> None:
        self.world = SimulatedWorld()
        self.known = Known(*pods)
        self.upstreams = UpstreamRegistry(self.world)
        settings = Settings(policy=BALANCED, upstream=UpstreamSettings(force_tcp=force_tcp))
        destinations = PodDestinations(service, self.known, is_by_tcp=force_tcp, salt=b"node")
        self.forwarder = Forwarder(settings, self.upstreams, destinations)
        self.outcomes: list[Answer | Failure] = []
        self.silent: list[Endpoint] = []
        self.upstreams.on_silent = lambda endpoint, _: self.silent.append(endpoint)
        self._answered = 0

    @property
    def endpoints(self) -> list[str]:
        return [upstream.to for upstream in self.forwarder.upstreams]

    def ask(self, count: int = 1) -> None:
        for number in range(count):
            query = dns.message.make_query(f"{len(self.world.sent)}-{number}.example.", "A", id=1)
            now = self.world.now
            self.forwarder.ask(read_query(query.to_wire()), now + 5, self.outcomes.append, now)
            self.world.settle()

    def hosts(self) -> list[str]:
        """Who was asked since the last call."""
        new = self.world.sent[self._answered :]
        return [outgoing.endpoint.host for outgoing in new]

    def answer(self, rcode: str = "NOERROR") -> list[str]:
        """Answer all that was sent, also what is sent thereupon; who was asked."""
        asked = []
        while self._answered < len(self.world.sent):
            outgoing = self.world.sent[self._answered]
            self._answered += 1
            asked.append(outgoing.endpoint.host)
            response = dns.message.make_response(dns.message.from_wire(outgoing.packet))
            response.set_rcode(dns.rcode.from_text(rcode))
            outgoing.answer(response.to_wire())
            self.world.settle()
        return asked


def test_pods_are_asked_and_the_service_address_only_while_there_are_none():
    node = Node()
    assert node.endpoints == ["10.96.0.11:53"]
    node.ask()
    assert node.answer() == ["10.96.0.11"]
    node.known.change_to(ONE, OTHER)
    assert node.endpoints == ["10.244.0.2:53", "10.244.1.2:53", "10.96.0.11:53"]
    for _ in range(20):
        node.ask(20)
        counted = Counter(node.answer())
    assert set(counted) <= {"10.244.0.2", "10.244.1.2"}
    node.known.change_to()
    node.ask()
    assert node.answer() == ["10.96.0.11"]


def test_pods_have_ports_of_their_own():
    pod = Pod("10.244.0.2", 5353, 5354)
    assert Node(pod).endpoints == ["10.244.0.2:5354", "10.96.0.11:53"]
    assert Node(pod, force_tcp=False).endpoints == ["10.244.0.2:5353", "10.96.0.11:53"]


def test_pods_are_asked_over_tls_where_the_service_is():
    service = Endpoint("10.96.0.11", 853, scheme="tls", server_name="kube-dns.example")
    node = Node(Pod("10.244.0.2", 5353, 5354), service=service)
    pod = node.forwarder.upstreams[0].endpoint
    assert str(pod) == "10.244.0.2:853"
    assert (pod.is_tls, pod.server_name) == (True, "kube-dns.example")


def test_answers_of_a_pod_that_terminates_still_count():
    node = Node(ONE)
    node.ask()
    node.known.change_to(OTHER)
    node.ask()
    assert node.hosts() == ["10.244.0.2", "10.244.1.2"]
    node.answer()
    assert len(node.outcomes) == 2
    assert all(isinstance(outcome, Answer) for outcome in node.outcomes)
    assert {upstream.to for upstream in node.upstreams.all()} == {"10.244.1.2:53", "10.96.0.11:53"}


def test_a_query_whose_connection_a_pod_ends_goes_to_another_pod():
    node = Node(ONE, OTHER)
    node.ask()
    (first,) = node.hosts()
    node.world.machine(first).streams[-1].end(None)
    assert set(node.hosts()) == {ONE.host, OTHER.host}
    node.answer()
    assert len(node.outcomes) == 1


@pytest.mark.parametrize("mood", ["dead", "refusing"])
def test_a_pod_that_is_gone_costs_a_query_less_than_300_ms(mood):
    node = Node(ONE, OTHER)
    node.world.machine(ONE.host).mood = mood
    for asked in range(4, 204, 4):
        node.ask(4)
        for _ in range(30):
            node.world.advance(0.01)
            for outgoing in node.world.sent[node._answered :]:
                node._answered += 1
                response = dns.message.make_response(dns.message.from_wire(outgoing.packet))
                outgoing.answer(response.to_wire())
        assert len(node.outcomes) == asked
    assert all(isinstance(outcome, Answer) for outcome in node.outcomes)
    assert ONE.host in {endpoint.host for endpoint in node.silent}


def test_one_other_pod_is_asked_where_one_fails_to_serve():
    node = Node(ONE, OTHER, Pod("10.244.2.2"))
    node.ask()
    asked = node.answer("SERVFAIL")
    assert len(asked) == 2
    assert len(set(asked)) == 2
    (outcome,) = node.outcomes
    assert outcome.rcode == dns.rcode.SERVFAIL


def test_nothing_follows_the_list_once_closed():
    node = Node(ONE)
    node.forwarder.close()
    node.known.change_to(OTHER)
    assert node.upstreams.all() == []


def test_pods_that_cannot_be_asked_change_nothing(tmp_path, caplog):
    """Who told them got the error, and neither told others nor asked for the list again."""
    node = Node(ONE, service=Endpoint("10.96.0.11", 853, scheme="tls"))
    before = node.endpoints
    files = TlsSettings(authority_file=str(tmp_path / "gone.pem"))
    node.forwarder.settings = Settings(upstream=UpstreamSettings(tls=files))
    node.known.change_to(OTHER)
    assert node.endpoints == before
    assert "upstreams stay as they were" in caplog.text


def test_what_a_pod_was_asked_is_told_for_five_minutes_after_it_left():
    node = Node(ONE, OTHER)
    node.ask()
    node.answer()
    node.known.change_to(OTHER)
    told = [counts.to for counts in node.upstreams.counts()]
    assert "10.244.0.2:53" in told
    node.world.advance(299)
    assert len(node.upstreams.counts()) == 3
    node.world.advance(2)
    assert {counts.to for counts in node.upstreams.counts()} == {"10.244.1.2:53", "10.96.0.11:53"}


def test_a_pod_that_is_back_counts_on():
    node = Node(ONE)
    node.known.change_to(OTHER)
    node.world.advance(200)
    node.known.change_to(ONE, OTHER)
    node.world.advance(200)
    assert len(node.upstreams.counts()) == 3


def test_a_pod_that_is_asked_is_told_however_long_ago_its_settings_changed():
    """A reload lets go of each pod with the old settings when it asks it with the new ones already."""
    node = Node(ONE)
    settings = Settings(policy=BALANCED, upstream=UpstreamSettings(expire_seconds=30))
    destinations = PodDestinations(SERVICE, node.known, is_by_tcp=True, salt=b"node")
    Forwarder(settings, node.upstreams, destinations)
    node.forwarder.close()
    node.world.advance(301)
    assert {counts.to for counts in node.upstreams.counts()} == {"10.244.0.2:53", "10.96.0.11:53"}


def test_of_many_pods_each_node_asks_some_and_all_are_asked_by_some():
    pods = [Pod(f"10.244.{n}.2") for n in range(40)]
    nodes = [some_of(pods, MAX_PODS_ASKED, bytes([n])) for n in range(1, 200)]
    assert all(len(chosen) == MAX_PODS_ASKED for chosen in nodes)
    counted = Counter(pod for chosen in nodes for pod in chosen)
    assert len(counted) == 40
    assert max(counted.values()) < 3 * min(counted.values())


def test_a_pod_that_goes_changes_only_its_own_place():
    pods = [Pod(f"10.244.{n}.2") for n in range(40)]
    before = some_of(pods, MAX_PODS_ASKED, b"node")
    after = some_of([pod for pod in pods if pod != before[3]], MAX_PODS_ASKED, b"node")
    assert len(set(before) & set(after)) == MAX_PODS_ASKED - 1
