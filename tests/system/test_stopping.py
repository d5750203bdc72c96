"""An agent that is told to stop: before it has come up, and while it still has something to answer."""

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.netns import LOCAL, SERVICE, World, wait_until
from tests.system.on_node import ROOT, Agent

pytestmark = pytest.mark.system
need_node("unshare", "conntrack")


class FirstProcess:
    """The agent again, with the flags of `before`, as process 1 of a namespace of its own.

    Such a process never gets a signal that it does not handle.
    """

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
        """Its process id as seen from here, once it handles SIGTERM, or holds it back."""
        wait_until(lambda: self._children() and self._handles(signal.SIGTERM))
        return self._children()[0]

    def _children(self) -> list[int]:
        pid = self.outer.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _handles(self, number: signal.Signals) -> bool:
        status = Path(f"/proc/{self._children()[0]}/status").read_text()
        masks = re.findall(r"^Sig(?:Cgt|Blk):\s*([0-9a-f]+)$", status, re.MULTILINE)
        return any(int(mask, 16) & (1 << (number - 1)) for mask in masks)


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
@pytest.mark.parametrize("seconds", [0.2, 0.4])
def test_what_a_former_life_left_is_taken_away_all_the_same(world, tmp_path, rules, seconds):
    before = Agent(world, tmp_path, [LOCAL, SERVICE], "-rules", rules).wait_ready()
    before.kill_all()
    assert world.traces()
    agent = FirstProcess(world, before, "-rules", rules)
    pid = agent.pid
    time.sleep(seconds)
    os.kill(pid, signal.SIGTERM)
    assert agent.outer.wait(PATIENCE_SECONDS) == 0
    assert world.traces() == ""


class Client:
    """One query from the pod to the Service address, in a thread of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rcode: int | None = None
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self) -> None:
        query = dns.message.make_query("late.example.", "A")
        with self._world.pod.entered():
            self.rcode = dns.query.udp(query, str(SERVICE), timeout=PATIENCE_SECONDS).rcode()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_reply_that_leaves_late_makes_no_entry_in_conntrack(world, tmp_path, rules):
    """Such an entry would keep the client's port from kube-dns for minutes."""
    world.proxy("legacy")
    agent = Agent(world, tmp_path, [LOCAL, SERVICE], "-rules", rules).wait_ready()
    for server in world.servers:
        server.send_signal(signal.SIGSTOP)
    client = Client(world)
    time.sleep(0.3)
    agent.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    for server in world.servers:
        server.send_signal(signal.SIGCONT)
    client.thread.join(PATIENCE_SECONDS)
    assert agent.process.wait(PATIENCE_SECONDS) == 0
    assert client.rcode in (0, 2)  # late it is, as an answer or, on a busy machine, as a SERVFAIL
    flows = world.conntrack(SERVICE).splitlines()
    assert [flow for flow in flows if f" src={SERVICE} " in flow.partition("dport")[0]] == []
    assert world.traces() == ""


def test_a_keeper_that_must_end_takes_the_host_down_first(world, tmp_path):
    """It ends by nothing that is an error; an exit in its own code stands for what is none."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "from nodecache.keeper.supervisor import Supervisor\n"
        "turn = Supervisor.turn\n"
        "def end(self, now):\n"
        f"    if os.path.exists('{tmp_path}/end'):\n"
        "        raise SystemExit(7)\n"
        "    turn(self, now)\n"
        "Supervisor.turn = end\n"
    )
    before = ("env", f"PYTHONPATH={tmp_path}:{ROOT}")
    agent = Agent(world, tmp_path, [LOCAL, SERVICE], before=before).wait_ready()
    assert world.traces()
    (tmp_path / "end").touch()
    assert agent.process.wait(PATIENCE_SECONDS) == 7
    assert world.traces() == ""
