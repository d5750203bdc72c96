"""`nodecache doctor` beside a running agent on a node of its own, healthy and then not."""

import json
import sys

import pytest

from tests.needs import need, need_root
from tests.system.netns import LOCAL, SERVICE, World
from tests.system.on_node import ROOT, Agent

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
need_root()
for tool, package in (("ip", "iproute2"), ("nft", "nftables")):
    need(tool, package=package)

# What is of the machine that runs the tests, and not of the node that they make.
OF_THE_MACHINE = {"resolvers", "memory", "cpu", "kubelet"}


@pytest.fixture
def agent(world, tmp_path):
    agent = Agent(world, tmp_path, [LOCAL, SERVICE]).wait_ready()
    world.ask(SERVICE)  # as a pod
    yield agent
    if agent.process.poll() is None:
        agent.stop()


def examined(world: World, agent: Agent) -> dict[str, set[str]]:
    """The areas by level, of what is the node's own."""
    told = world.node.run(
        *("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "nodecache", "doctor", "--json"),
        *("-conf", str(agent.corefile), "-basecorefile", "/none"),
        *("-localip", f"{LOCAL},{SERVICE}", "-metrics-listen-address", f"{LOCAL}:9353"),
        check=False,
    )
    levels: dict[str, set[str]] = {}
    for finding in json.loads(told)["findings"]:
        if finding["area"] not in OF_THE_MACHINE:
            levels.setdefault(finding["level"], set()).add(finding["area"])
    return levels


def test_a_healthy_node_has_nothing_to_look_at(world, agent):
    assert examined(world, agent) == {
        "ok": {
            "agent", "configuration", "conntrack", "descriptors", "interception", "interface",
            "packet rules", "sockets", "upstreams",
        }
    }  # fmt: skip


def test_an_upstream_that_went_away_is_named(world, agent):
    for server in world.servers:
        server.kill()
        server.wait()
    assert "upstreams" in examined(world, agent)["broken"]
