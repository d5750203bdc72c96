"""An agent that is told to stop before it has come up, as the first process of its container."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.needs import need, need_root
from tests.system.netns import LOCAL, SERVICE, World, wait_until
from tests.system.on_node import ROOT, Agent

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]
need_root()
for tool, package in (
    ("ip", "iproute2"), ("nft", "nftables"), ("iptables-legacy", "iptables"), ("unshare", "util-linux"),
):  # fmt: skip
    need(tool, package=package)


@pytest.fixture(scope="module")
def world():
    world = World()
    yield world
    world.remove()


class FirstProcess:
    """The agent again, with the flags of `before`, as process 1 of a namespace of its own."""

    def __init__(self, world: World, before: Agent, *flags: str) -> None:
        addresses = ",".join(map(str, before.addresses))
        self.outer = world.node.start(
            *("unshare", "--pid", "--fork", "--kill-child", sys.executable, "-m", "nodecache"),
            *("-conf", str(before.corefile), "-basecorefile", "/nonexistent"),
            *("-localip", addresses, "-interfacekind", "bridge"),
            *("-metrics-listen-address", f"{LOCAL}:9353", *flags),
            cwd=ROOT,
        )

    @property
    def pid(self) -> int:
        """Its process id as seen from here, once it runs Python."""
        wait_until(lambda: self._children() and b"nodecache" in self._command())
        return self._children()[0]

    def _children(self) -> list[int]:
        pid = self.outer.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _command(self) -> bytes:
        return Path(f"/proc/{self._children()[0]}/cmdline").read_bytes()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
@pytest.mark.parametrize("seconds", [0.06, 0.2, 0.4])
def test_what_a_former_life_left_is_taken_away_all_the_same(world, tmp_path, rules, seconds):
    before = Agent(world, tmp_path, [LOCAL, SERVICE], "-rules", rules).wait_ready()
    before.kill_all()
    assert world.traces()
    agent = FirstProcess(world, before, "-rules", rules)
    pid = agent.pid
    time.sleep(seconds)
    os.kill(pid, signal.SIGTERM)
    assert agent.outer.wait(15) == 0
    assert world.traces() == ""
