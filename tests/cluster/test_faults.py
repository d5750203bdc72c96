"""The agent dies in every way a node knows, under the load of a pod that nobody changed.

That pod asks the Service address and the node-local address at once, each 1,000 times a second over UDP
and 100 times over TCP, each query with a source port or connection of its own. How many were lost and
the longest gap are printed; where ORIGINAL_IMAGE names the original's image, its figures stand beside ours.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, metrics_of, total
from tests.cluster.asking import KUBERNETES, describe
from tests.cluster.kubectl import Pod, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

LEASE_SECONDS = 10  # the default of -lease
SLACK_SECONDS = 1.5
# Above what the agent uses when idle, below that and a container's 64 MiB of shared memory.
MEMORY_LIMIT = "80Mi"
AGENTS = ["nodecache", *(["original"] if agents.ORIGINAL else [])]


SERVICE, LOCAL = "at the Service address", "at the node-local address"
OVER_TCP = ", over TCP"
LOADS = {
    SERVICE: ("", "udp", "1000"),
    LOCAL: (agents.LOCAL, "udp", "1000"),
    SERVICE + OVER_TCP: ("", "tcp", "100"),
    LOCAL + OVER_TCP: (agents.LOCAL, "tcp", "100"),
}
MAX_OVER_TCP = 30  # one in a hundred

Outcome = dict[str, float]


@dataclass(frozen=True, slots=True)
class Stand:
    """An agent on the node, a client to load it, a window to break it through."""

    agent: Agent
    client: Pod
    node: Pod
    note: Callable[[str], None]

    def lost_during(self, what: str, fault: "Fault", *, seconds: int) -> dict[str, Outcome]:
        """Each load's outcome while `fault` happens five seconds into them; noted."""
        loads = {
            where: self.client.start(
                *("load.py", pace, str(seconds), KUBERNETES),
                variables=(f"LOAD_SERVER={server}", f"LOAD_PROTOCOL={protocol}"),
            )
            for where, (server, protocol, pace) in LOADS.items()
        }
        time.sleep(5)
        fault(self)
        outcomes: dict[str, Outcome] = {}
        for where, load in loads.items():
            outcomes[where] = load.outcome(timeout=seconds + 60)
            self.note(f"{self.agent.name}, {what}, {where}: {describe(outcomes[where])}")
        return outcomes

    def wait_until_ready(self) -> None:
        """Until it draws queries to it, and the kernel knows whom else to send them to."""
        self.agent.wait_until_it_intercepts(self.node)
        if self.is_ours:
            until("the agent knows kube-dns' pods", lambda: self.known_pods() > 0)

    def known_pods(self) -> float:
        return total(metrics_of(self.node), "nodecache_cluster_dns_pods", source="dns")

    @property
    def is_ours(self) -> bool:
        return self.agent.name == "nodecache"

    def signal(self, name: str, whom: str) -> None:
        self.node.run("node.py", "signal", name, whom)


Fault = Callable[[Stand], object]


@pytest.fixture
def stand(agent: Agent, client: Pod, node: Pod, note: Callable[[str], None]) -> Stand:
    it = Stand(agent, client, node, note)
    it.wait_until_ready()
    return it


@pytest.fixture(params=AGENTS)
def any_stand(
    request: pytest.FixtureRequest, client: Pod, node: Pod, note: Callable[[str], None]
) -> Iterator[Stand]:
    """nodecache, then the original where there is one."""
    it = agents.original() if request.param == "original" else Agent(agents.documents())
    with agents.alone(it, node):
        stand = Stand(it, client, node, note)
        stand.wait_until_ready()
        yield stand


def kill_worker(stand: Stand) -> None:
    stand.signal("SIGKILL", "worker")


def kill_container(stand: Stand) -> None:
    before = stand.agent.restarts()
    stand.signal("SIGKILL", "all")
    until("the container is started again", lambda: stand.agent.restarts() > before)


def kill_again_and_again(stand: Stand) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        stand.signal("SIGKILL", "all")


def delete_pod_by_force(stand: Stand) -> None:
    pod = stand.agent.pod
    kubectl("-n", agents.NAMESPACE, "delete", "pod", pod, "--force", "--grace-period=0")
    stand.agent.wait_until_ready()


def stop_everything(stand: Stand) -> None:
    """SIGSTOP: the liveness probe fails until the kubelet starts the container again."""
    before = stand.agent.restarts()
    stand.signal("SIGSTOP", "all")
    until("the kubelet replaces it", lambda: stand.agent.restarts() > before, 120)


def restart(stand: Stand) -> None:
    kubectl("-n", agents.NAMESPACE, "rollout", "restart", f"ds/{agents.DAEMONSET}")
    stand.agent.wait_until_ready()


def delete(stand: Stand) -> None:
    stand.agent.delete()


def roll_out_next(stand: Stand) -> None:
    container = agents.container_of(stand.agent.documents)["name"]
    change = f"{container}={agents.NEXT_IMAGE}"
    kubectl("-n", agents.NAMESPACE, "set", "image", f"ds/{agents.DAEMONSET}", change)
    stand.agent.wait_until_ready()


def roll_out_what_cannot_run(stand: Stand) -> None:
    """An image without our program in it: each container fails as it is made."""
    container = agents.container_of(stand.agent.documents)["name"]
    change = f"{container}={agents.BROKEN_IMAGE}"
    kubectl("-n", agents.NAMESPACE, "set", "image", f"ds/{agents.DAEMONSET}", change)


def exhaust_memory(stand: Stand) -> None:
    outcome = stand.agent.place.run("exhaust.py")
    assert outcome["is_worker_gone"], outcome


def most(outcomes: dict[str, Outcome], lost: int, gap_ms: float, where: str) -> None:
    """At most so many were lost at an address; over TCP each death resets what is under way."""
    assert outcomes[where]["lost"] <= lost
    assert outcomes[where + OVER_TCP]["lost"] <= min(lost, MAX_OVER_TCP)
    for place in (where, where + OVER_TCP):
        assert outcomes[place]["longest_gap_ms"] <= gap_ms, place


def nothing_lost(outcomes: dict[str, Outcome]) -> None:
    assert {place: outcome["lost"] for place, outcome in outcomes.items()} == dict.fromkeys(
        LOADS, 0
    )


def test_a_killed_worker_loses_no_more_than_what_it_held_in_its_hands(stand: Stand):
    """One hit is read and answered in a few microseconds; a kill may fall between the two.

    Its connections end with it.
    """
    outcomes = stand.lost_during("worker killed", kill_worker, seconds=15)
    assert outcomes[SERVICE]["lost"] + outcomes[LOCAL]["lost"] <= 1
    assert stand.agent.restarts() == 0


@pytest.mark.parametrize(
    ("fault", "lost", "gap_ms"),
    [
        pytest.param(kill_container, 50, 150, id="container killed"),
        pytest.param(kill_again_and_again, 100, 300, id="killed again and again for 20 s"),
        pytest.param(delete_pod_by_force, 50, 150, id="pod deleted by force"),
    ],
)
def test_while_there_is_no_agent_kube_dns_answers(
    any_stand: Stand, request: pytest.FixtureRequest, fault: Fault, lost: int, gap_ms: float
):
    what = request.node.callspec.id.rpartition("-")[2]
    outcomes = any_stand.lost_during(what, fault, seconds=30)
    if any_stand.is_ours:
        most(outcomes, lost, gap_ms, SERVICE)
        most(outcomes, 100, 300, LOCAL)


def test_an_agent_that_stops_altogether_is_away_no_longer_than_its_lease(any_stand: Stand):
    """Its sockets are there and nobody reads them: nothing but the lease tells."""
    what = "stopped until the liveness probe fails"
    outcomes = any_stand.lost_during(what, stop_everything, seconds=120)
    if any_stand.is_ours:
        longest = outcomes[SERVICE]["longest_gap_ms"]
        assert longest <= (LEASE_SECONDS + SLACK_SECONDS) * 1000


def test_a_rollout_restart_loses_nothing(any_stand: Stand):
    outcomes = any_stand.lost_during("rollout restart", restart, seconds=30)
    if any_stand.is_ours:
        nothing_lost(outcomes)


def test_what_is_deleted_leaves_its_addresses_to_kube_dns(any_stand: Stand):
    """The node-local address for some minutes only."""
    outcomes = any_stand.lost_during("kubectl delete", delete, seconds=30)
    if any_stand.is_ours:
        nothing_lost(outcomes)


@pytest.mark.skipif(not agents.BROKEN_IMAGE, reason="BROKEN_IMAGE is not set")
def test_a_broken_image_after_a_good_one_changes_nothing(any_stand: Stand):
    outcomes = any_stand.lost_during("broken image", roll_out_what_cannot_run, seconds=30)
    if any_stand.is_ours:
        nothing_lost(outcomes)


def test_a_new_image_is_rolled_out_without_loss(stand: Stand):
    agents.import_image(agents.NEXT_IMAGE)
    nothing_lost(stand.lost_during("new image rolled out", roll_out_next, seconds=40))


def test_a_new_pod_that_cannot_start_changes_nothing(stand: Stand):
    """Its container ends again and again; the pod before it stays, for nothing is unavailable."""
    wrong = {"name": agents.container_of(stand.agent.documents)["name"], "args": ["-frobnicate"]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [wrong]}}}})

    def roll_out_what_cannot_start(stand: Stand) -> None:
        kubectl("-n", agents.NAMESPACE, "patch", "ds", agents.DAEMONSET, "-p", patch)
        time.sleep(20)
        assert len(stand.agent.pods()) == 2

    outcomes = stand.lost_during(
        "a pod that cannot start is rolled out", roll_out_what_cannot_start, seconds=30
    )
    nothing_lost(outcomes)
    kubectl("-n", agents.NAMESPACE, "rollout", "undo", f"ds/{agents.DAEMONSET}")
    stand.agent.wait_until_ready()


def test_the_oom_killer_takes_the_worker_and_nothing_is_lost(stand: Stand):
    container = {
        "name": agents.container_of(stand.agent.documents)["name"],
        "resources": {"limits": {"memory": MEMORY_LIMIT}},
    }
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kubectl("-n", agents.NAMESPACE, "patch", "ds", agents.DAEMONSET, "-p", json.dumps(patch))
    stand.agent.wait_until_ready()
    outcomes = stand.lost_during("out of memory", exhaust_memory, seconds=30)
    assert stand.agent.restarts() == 0
    assert (outcomes[SERVICE]["lost"], outcomes[LOCAL]["lost"]) == (0, 0)
