"""Packet rules match a bound socket only while a worker reads it."""

import contextlib
import signal
import socket
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import NOERROR, REFUSED, Asker
from tests.system.netns import LOCAL, SERVICE, World, wait_until
from tests.system.on_node import ROOT, Agent

pytestmark = pytest.mark.system
need_node()

RULES = pytest.mark.parametrize("rules", ["nftables", "iptables"])
NOBODY, SOMEBODY = "no worker answers", "a worker reads"
# What a worker had read and not answered as it was stopped, and what met the sockets just then.
IN_HANDS = 2
# What a worker does first of all: while a file says so, it dies, or takes its time.
SITE = """
import os, time
folder = os.path.dirname(__file__)
def in_child():
    if os.path.exists(f"{folder}/die"):
        os._exit(3)
    while os.path.exists(f"{folder}/wait"):
        time.sleep(0.01)
os.register_at_fork(after_in_child=in_child)
"""


class Site:
    """Files that tell the workers of an agent what to do at their start."""

    def __init__(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text(SITE)
        self._folder = folder
        self.before = ("env", f"PYTHONPATH={folder}:{ROOT}")

    def let(self, word: str) -> None:
        (self._folder / word).touch()

    def let_no_more(self, word: str) -> None:
        (self._folder / word).unlink()


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def started(world: World, folder: Path, rules: str, site: Site) -> Agent:
    flags = ("-rules", rules, "-lease", "60s")
    return Agent(world, folder, [LOCAL, SERVICE], *flags, before=site.before)


def is_read(agent: Agent) -> bool:
    """Whether a worker reads, as the log has it; one that is starved is said not to, for a moment."""
    return agent.log.rfind(SOMEBODY) > agent.log.rfind(NOBODY)


def from_pod(world: World, seconds=PATIENCE_SECONDS) -> set[int | None]:
    return {world.ask(SERVICE, protocol, seconds) for protocol in ("udp", "tcp")}


@RULES
def test_while_the_worker_hangs_kube_dns_answers_and_what_is_queued_waits(
    world, tmp_path, site, rules
):
    world.proxy("legacy")
    agent = started(world, tmp_path, rules, site).wait_ready()
    asker = Asker()
    asker.start(SERVICE, world.pod, 0.005)
    site.let("wait")
    agent.kill_worker(signal.SIGSTOP)
    wait_until(lambda: not is_read(agent))
    assert from_pod(world) == {NOERROR}
    wait_until(lambda: "killed by SIGKILL" in agent.log)
    assert from_pod(world) == {NOERROR}
    site.let_no_more("wait")
    wait_until(lambda: is_read(agent))
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    assert asker.stop().lost <= IN_HANDS
    assert "withdrawing" not in agent.log
    assert agent.stop() == 0


@RULES
def test_a_connection_to_a_worker_that_hangs_ends_with_it(world, tmp_path, site, rules):
    world.proxy("legacy")
    agent = started(world, tmp_path, rules, site).wait_ready()
    query = dns.message.make_query("id.server.", "TXT", "CH")
    with world.pod.entered():
        client = socket.create_connection((str(SERVICE), 53), 5)
    with client:
        dns.query.send_tcp(client, query)
        assert dns.query.receive_tcp(client)[0].rcode() == REFUSED
        agent.kill_worker(signal.SIGSTOP)
        dns.query.send_tcp(client, query)
        client.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(ConnectionError):  # a reset, where a query was left unread
            assert client.recv(100) == b""
    assert agent.stop() == 0


@RULES
def test_while_one_worker_after_the_other_dies_kube_dns_answers(world, tmp_path, site, rules):
    world.proxy("legacy")
    agent = started(world, tmp_path, rules, site).wait_ready()
    site.let("die")
    agent.kill_worker()
    wait_until(lambda: not is_read(agent))
    asker = Asker()
    asker.start(SERVICE, world.pod, 0.005)
    deaths = agent.log.count("exited with 3")
    wait_until(lambda: agent.log.count("exited with 3") >= deaths + 3)
    assert from_pod(world) == {NOERROR}
    site.let_no_more("die")
    wait_until(lambda: is_read(agent))
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    assert asker.stop().lost <= IN_HANDS
    assert agent.stop() == 0


@RULES
def test_while_an_agent_takes_its_time_to_start_kube_dns_answers(world, tmp_path, site, rules):
    """As where `cpu: 40m` makes 14 s of a start; what a killed one left draws nothing to it."""
    world.proxy("legacy")
    started(world, tmp_path, rules, site).wait_ready().kill_all()
    asker = Asker()
    asker.start(SERVICE, world.pod, 0.005)
    site.let("wait")
    agent = started(world, tmp_path, rules, site)
    listed = ("ss", "--no-header", "-lun", "sport", "=", "53")
    wait_until(lambda: str(SERVICE) in world.node.run(*listed))
    assert from_pod(world) == {NOERROR}
    site.let_no_more("wait")
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    assert asker.stop().lost <= IN_HANDS
    assert agent.stop() == 0
    assert world.traces() == ""
