"""From the original to nodecache on a node that serves, under 1,000 q/s from a pod."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, wait_until_released
from tests.cluster.asking import KUBERNETES, describe
from tests.cluster.kubectl import Pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not agents.ORIGINAL, reason="ORIGINAL_IMAGE is not set"),
]

PACE, SECONDS = "1000", "60"
# The original takes the link away as it ends, and with it the address that nobody else serves.
LOCAL_GAP_MS = 500
# What the original has read, or lies in its sockets, when it ends; 0 and 1 were seen.
IN_ITS_HANDS = 5


@pytest.fixture
def original(client: Pod, node: Pod) -> Iterator[Agent]:
    """The original, serving."""
    it = agents.original()
    it.delete()
    if agents.ARGUMENTS:
        node.run("node.py", "make", agents.INTERFACE)
    it.create()
    it.wait_until_it_intercepts(node)
    yield it
    it.delete()


@pytest.mark.parametrize("server", ["", agents.LOCAL], ids=["Service", "local"])
def test_our_manifest_is_put_in_the_place_of_the_original(
    original: Agent, client: Pod, node: Pod, note: Callable[[str], None], server: str
):
    variables = (f"LOAD_SERVER={server}",) if server else ()
    load = client.start("load.py", PACE, SECONDS, KUBERNETES, variables=variables)
    time.sleep(5)
    ours = Agent(agents.documents())
    ours.replace()
    ours.wait_until_ready()
    outcome = load.outcome(timeout=120)
    where = server or "the Service address"
    note(f"our manifest in the place of the original's, at {where}: {describe(outcome)}")
    if server:
        assert outcome["longest_gap_ms"] <= LOCAL_GAP_MS
    else:
        assert outcome["lost"] <= IN_ITS_HANDS
    assert [pod["metadata"]["name"] for pod in ours.pods()] == [ours.pod]
    ours.delete()
    wait_until_released(node)
