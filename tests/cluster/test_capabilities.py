"""The manifest's capabilities are enough, and each of them is needed for a named thing."""

import copy
from collections.abc import Callable, Iterator

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent
from tests.cluster.kubectl import KubectlFailed, Pod, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PATIENCE_SECONDS = 15
NOBODY = 65534
Thing = Callable[[Agent, Pod], bool]


def gets_ready(agent: Agent, _: Pod) -> bool:
    return agent.is_ready()


def worker_is_nobody(agent: Agent, _: Pod) -> bool:
    return bool(agent.place.run("worker.py").get("user") == NOBODY)


def worker_can_never_get_rights(agent: Agent, _: Pod) -> bool:
    return bool(agent.place.run("worker.py").get("bounding") == 0)


def raw_sockets_open(agent: Agent, _: Pod) -> bool:
    """What iptables of the legacy kind does first; to call it would leave its tables behind."""
    source = "import socket as s; s.socket(s.AF_INET, s.SOCK_RAW, s.IPPROTO_RAW)"
    agent.execute("python3", "-c", source)
    return True


class HungWorkerIsReplaced:
    """Stops the worker the first time it is asked. Replaced by the keeper, not by the kubelet."""

    def __init__(self) -> None:
        self._stopped = 0
        self._keeper = 0

    def __call__(self, agent: Agent, node: Pod) -> bool:
        worker = agent.place.run("worker.py")
        if not self._stopped:
            if not worker:
                return False
            self._stopped, self._keeper = worker["pid"], worker["keeper"]
            node.run("node.py", "signal", "SIGSTOP", "worker")
        is_another = worker.get("pid", self._stopped) != self._stopped
        return is_another and worker["keeper"] == self._keeper


WHAT_FOR: dict[str, tuple[str, Callable[[], Thing]]] = {
    "NET_ADMIN": ("gets ready", lambda: gets_ready),
    "NET_BIND_SERVICE": ("gets ready", lambda: gets_ready),
    "NET_RAW": ("opens the raw socket of legacy iptables", lambda: raw_sockets_open),
    "SETUID": ("has a worker that is nobody", lambda: worker_is_nobody),
    "SETGID": ("has a worker that is nobody", lambda: worker_is_nobody),
    "SETPCAP": ("has a worker that can never get rights", lambda: worker_can_never_get_rights),
    "KILL": ("replaces a worker that hangs", HungWorkerIsReplaced),
}
GRANTED = agents.container_of(agents.documents_before_sed())["securityContext"]["capabilities"]


def comes_true(thing: Thing, agent: Agent, node: Pod) -> bool:
    """Whether it does within PATIENCE_SECONDS."""
    try:
        until("it", lambda: thing(agent, node), PATIENCE_SECONDS)
    except (AssertionError, KubectlFailed):
        return False
    return True


def test_nothing_is_granted_that_is_not_known_to_be_needed():
    assert set(GRANTED["add"]) == set(WHAT_FOR)
    assert GRANTED["drop"] == ["ALL"]


@pytest.mark.parametrize("capability", WHAT_FOR)
def test_with_all_of_them_everything_works(agent: Agent, node: Pod, capability: str):
    assert comes_true(WHAT_FOR[capability][1](), agent, node)


@pytest.fixture
def lesser_agent(
    request: pytest.FixtureRequest, client: Pod, node: Pod
) -> Iterator[tuple[str, Agent]]:
    """The agent without one capability."""
    found = copy.deepcopy(agents.documents())
    agents.container_of(found)["securityContext"]["capabilities"]["add"].remove(request.param)
    it = Agent(found)
    it.delete()
    kubectl("create", "-f", "-", stdin=it.text)
    yield request.param, it
    it.delete()


@pytest.mark.parametrize("lesser_agent", WHAT_FOR, indirect=True)
def test_without_any_one_of_them_the_thing_fails(
    lesser_agent: tuple[str, Agent], node: Pod, note: Callable[[str], None]
):
    capability, agent = lesser_agent
    what, thing = WHAT_FOR[capability]
    assert not comes_true(thing(), agent, node)
    note(f"without {capability}: no longer {what}")
