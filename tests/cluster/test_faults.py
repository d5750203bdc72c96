"""The agent dies in every way a node knows, under 1,000 q/s from a pod that nobody changed.

Each prints how many queries were lost and the longest gap; where ORIGINAL_IMAGE names the
original's image, its figures stand beside ours.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent
from tests.cluster.asking import KUBERNETES, describe
from tests.cluster.kubectl import Pod, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PACE = "1000"
LEASE_SECONDS = 10  # the default of -lease
SLACK_SECONDS = 1.5
# Above what the agent uses when idle, below that and a container's 64 MiB of shared memory.
MEMORY_LIMIT = "80Mi"
AGENTS = ["nodecache", *(["original"] if agents.ORIGINAL else [])]


@dataclass(frozen=True, slots=True)
class Stand:
    """An agent on the node, a client to load it, a window to break it through."""

    agent: Agent
    client: Pod
    node: Pod
    note: Callable[[str], None]

    def lost_during(
        self, what: str, fault: "Fault", *, seconds: int, server: str = ""
    ) -> dict[str, float]:
        """The load's outcome while `fault` happens five seconds into it; noted."""
        variables = (f"LOAD_SERVER={server}",) if server else ()
        load = self.client.start("load.py", PACE, str(seconds), KUBERNETES, variables=variables)
        time.sleep(5)
        fault(self)
        outcome: dict[str, float] = load.outcome(timeout=seconds + 60)
        self.note(f"{self.agent.name}, {what}: {describe(outcome)}")
        return outcome

    def signal(self, name: str, whom: str) -> None:
        self.node.run("node.py", "signal", name, whom)


Fault = Callable[[Stand], object]


@pytest.fixture
def stand(agent: Agent, client: Pod, node: Pod, note: Callable[[str], None]) -> Stand:
    agent.wait_until_it_intercepts(node)
    return Stand(agent, client, node, note)


@pytest.fixture(params=AGENTS)
def any_stand(
    request: pytest.FixtureRequest, client: Pod, node: Pod, note: Callable[[str], None]
) -> Iterator[Stand]:
    """nodecache, then the original where there is one."""
    is_original = request.param == "original"
    it = agents.original() if is_original else Agent(agents.documents())
    it.delete()
    with agents.link_for_the_original(node) if is_original else contextlib.nullcontext():
        it.create()
        it.wait_until_it_intercepts(node)
        yield Stand(it, client, node, note)
        it.delete()


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


def exhaust_memory(stand: Stand) -> None:
    outcome = stand.agent.place.run("exhaust.py")
    assert outcome["is_worker_gone"], outcome


def test_a_killed_worker_loses_no_more_than_what_it_held_in_its_hands(stand: Stand):
    """One hit is read and answered in a few microseconds; a kill may fall between the two."""
    outcome = stand.lost_during("worker killed", kill_worker, seconds=15)
    assert outcome["lost"] <= 1
    assert stand.agent.restarts() == 0


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(kill_container, 30, id="container killed"),
        pytest.param(kill_again_and_again, 60, id="killed again and again for 20 s"),
        pytest.param(stop_everything, 120, id="stopped until the liveness probe fails"),
    ],
)
def test_what_dies_stays_away_no_longer_than_its_lease(
    any_stand: Stand, request: pytest.FixtureRequest, fault: Fault, seconds: int
):
    what = request.node.callspec.id.rpartition("-")[2]
    outcome = any_stand.lost_during(what, fault, seconds=seconds)
    if any_stand.agent.name == "nodecache":
        assert outcome["longest_gap_ms"] <= (LEASE_SECONDS + SLACK_SECONDS) * 1000


@pytest.mark.parametrize("fault", [restart, delete], ids=["rollout restart", "kubectl delete"])
def test_what_is_taken_away_in_order_loses_nothing(
    any_stand: Stand, request: pytest.FixtureRequest, fault: Fault
):
    what = request.node.callspec.id.rpartition("-")[2]
    outcome = any_stand.lost_during(what, fault, seconds=40)
    if any_stand.agent.name == "nodecache":
        assert outcome["lost"] == 0


def test_a_rollout_restart_at_the_local_address(any_stand: Stand):
    """Nobody else serves that address: the next agent has to take over from this one."""
    what = f"rollout restart, at {agents.LOCAL}"
    outcome = any_stand.lost_during(what, restart, seconds=40, server=agents.LOCAL)
    if any_stand.agent.name == "nodecache":
        assert outcome["lost"] == 0


@pytest.mark.parametrize("server", ["", agents.LOCAL], ids=["Service", "local"])
def test_a_new_image_is_rolled_out_without_loss(stand: Stand, server: str):
    agents.import_image(agents.NEXT_IMAGE)
    what = f"new image rolled out, at {server or 'the Service address'}"
    outcome = stand.lost_during(what, roll_out_next, seconds=40, server=server)
    assert outcome["lost"] == 0


def test_a_new_pod_that_cannot_start_changes_nothing(stand: Stand):
    """Its container ends again and again; the pod before it stays, for nothing is unavailable."""
    wrong = {"name": agents.container_of(stand.agent.documents)["name"], "args": ["-frobnicate"]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [wrong]}}}})

    def roll_out_what_cannot_start(stand: Stand) -> None:
        kubectl("-n", agents.NAMESPACE, "patch", "ds", agents.DAEMONSET, "-p", patch)
        time.sleep(20)
        assert len(stand.agent.pods()) == 2

    what = f"a pod that cannot start is rolled out, at {agents.LOCAL}"
    outcome = stand.lost_during(what, roll_out_what_cannot_start, seconds=40, server=agents.LOCAL)
    assert outcome["lost"] == 0
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
    outcome = stand.lost_during("out of memory", exhaust_memory, seconds=30)
    assert stand.agent.restarts() == 0
    assert outcome["lost"] == 0
