"""A keeper that may not kill its worker, for somebody took CAP_KILL away, lives on with it."""

import os
import signal

import dns.rcode
import pytest

from tests.helpers.agent import Agent as Loopback
from tests.helpers.agent import stock
from tests.helpers.upstream import FakeUpstream
from tests.needs import need_node
from tests.system.asking import REFUSED
from tests.system.netns import LOCAL, SERVICE, wait_until
from tests.system.on_node import Agent

pytestmark = pytest.mark.system
need_node("setpriv")

WITHOUT_KILL = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
LACK = "cannot be killed: the capability CAP_KILL is missing"


@pytest.fixture
def agent(tmp_path):
    records = "a.example. 30 IN A 192.0.2.1"
    with FakeUpstream(records) as upstream:
        corefile = stock(upstream.address)
        with Loopback(tmp_path, corefile, before=WITHOUT_KILL) as running:
            yield running


def test_a_hung_worker_is_told_again_and_again_and_serves_once_it_comes_to_itself(agent):
    hung = agent.kill_worker(signal.SIGSTOP)
    for _ in range(2):
        agent.wait_for_line(LACK)
    os.kill(hung, signal.SIGCONT)
    assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
    assert agent.worker == hung
    assert agent.stop() == 0


def test_told_to_stop_it_does_not_wait_for_a_hung_worker(agent):
    hung = agent.kill_worker(signal.SIGSTOP)
    try:
        assert agent.stop() == 0
        agent.wait_for_line(LACK)
    finally:
        os.kill(hung, signal.SIGKILL)


def test_addresses_that_were_withdrawn_come_back_with_the_worker(world, tmp_path):
    flags = ("-lease", "2s")
    agent = Agent(world, tmp_path, [LOCAL, SERVICE], *flags, before=WITHOUT_KILL).wait_ready()
    hung = agent.kill_worker(signal.SIGSTOP)
    wait_until(lambda: LACK in agent.log and "withdrawing" in agent.log)
    os.kill(hung, signal.SIGCONT)
    wait_until(lambda: "restoring" in agent.log)
    wait_until(lambda: world.ask(SERVICE, seconds=1) == REFUSED)
    assert agent.worker == hung
    assert agent.stop() == 0


def test_the_node_is_handed_over_though_the_worker_hangs(world, tmp_path):
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        folder.mkdir()
    first = Agent(world, folders[0], [LOCAL, SERVICE], before=WITHOUT_KILL).wait_ready()
    hung = first.kill_worker(signal.SIGSTOP)
    second = Agent(world, folders[1], [LOCAL, SERVICE]).wait_ready()
    assert "taken over from the previous agent" in second.log
    assert first.stop() == 0
    os.kill(hung, signal.SIGKILL)
    wait_until(lambda: world.ask(SERVICE, seconds=1) == REFUSED)
    assert second.stop() == 0
