"""One agent takes over from another on a node, under a stream of queries from a pod."""

import contextlib
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import dns.message
import dns.query
import pytest

from nodecache.process.vitals import measure
from tests.helpers.agent import HOST, free_port
from tests.helpers.agent import Agent as Loopback
from tests.helpers.agent import stock as stock_on_loopback
from tests.helpers.upstream import FakeUpstream, silent
from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import REFUSED, Asker
from tests.system.netns import LOCAL, SERVICE, World, wait_until
from tests.system.on_node import Agent, stock

pytestmark = pytest.mark.system
need_node()

ADDRESSES = [LOCAL, SERVICE]
EVERY_SECONDS = 0.002
TAKEN = "taken over from the previous agent"
BACK = "serving again"


@pytest.fixture(scope="module")
def one_world():
    world = World()
    yield world
    world.remove()


@pytest.fixture
def world(one_world):
    yield one_world
    one_world.sweep()


class Node:
    """Agents that follow one another on a node, and the queries they answer."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self._folder = folder
        self._count = 0
        self._askers: list[Asker] = []

    def start(self, *flags: str, corefile: str = "", before: Sequence[str] = ()) -> Agent:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        return Agent(self.world, folder, ADDRESSES, *flags, corefile=corefile, before=before)

    def ask(self) -> None:
        for address in ADDRESSES:
            self._askers.append(Asker())
            self._askers[-1].start(address, self.world.pod, EVERY_SECONDS)
        time.sleep(0.3)

    def check_that_all_were_answered_by_an_agent(self, kills: int = 0) -> None:
        """A worker that is killed, alone or with its keeper, may have a query in its hands."""
        time.sleep(0.5)
        answered = [asker.stop() for asker in self._askers]
        assert sum(each.lost for each in answered) <= kills
        assert [set(each.rcodes) - {None} for each in answered] == [{REFUSED}, {REFUSED}]
        assert all(len(each.rcodes) > 50 for each in answered)


@pytest.fixture
def node(world, tmp_path):
    return Node(world, tmp_path)


def wait_for(agent: Agent, text: str) -> None:
    wait_until(lambda: text in agent.log)


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_second_agent_takes_over_and_the_first_goes_without_one_query_lost(node, rules):
    first = node.start("-rules", rules).wait_ready()
    node.ask()
    second = node.start("-rules", rules)
    wait_for(second, TAKEN)
    time.sleep(1)
    assert first.stop() == 0
    second.wait_ready()
    time.sleep(1)
    node.check_that_all_were_answered_by_an_agent()
    assert "putting back" not in first.log + second.log
    assert "repaired" not in first.log + second.log
    assert second.stop() == 0
    assert node.world.traces() == ""


def test_the_addresses_stay_leased_over_the_change(node):
    first = node.start("-lease", "6s").wait_ready()
    node.ask()
    second = node.start("-lease", "6s").wait_ready()
    assert first.stop() == 0
    time.sleep(7)
    node.check_that_all_were_answered_by_an_agent()
    assert "withdrawing" not in second.log
    second.stop()


def test_a_successor_that_is_killed_gives_way_to_the_one_that_stands_by(node):
    first = node.start().wait_ready()
    node.ask()
    second = node.start().wait_ready()
    second.kill_all()
    wait_for(first, BACK)
    time.sleep(1)
    node.check_that_all_were_answered_by_an_agent(kills=1)
    assert first.stop() == 0
    assert node.world.traces() == ""


def test_a_successor_that_is_told_to_stop_gives_the_node_back(node):
    first = node.start().wait_ready()
    node.ask()
    second = node.start().wait_ready()
    assert second.stop() == 0
    wait_for(first, BACK)
    time.sleep(1)
    node.check_that_all_were_answered_by_an_agent()
    assert first.stop() == 0
    assert node.world.traces() == ""


def test_a_successor_with_a_broken_corefile_changes_nothing(node):
    first = node.start().wait_ready()
    node.ask()
    second = node.start(corefile=". {\n  forwards 1.1.1.1\n}\n")
    assert second.process.wait(PATIENCE_SECONDS) == 1
    node.check_that_all_were_answered_by_an_agent()
    assert "standing by" not in first.log
    assert first.stop() == 0


def test_a_successor_whose_worker_dies_takes_over_with_the_next_worker(node):
    first = node.start().wait_ready()
    second = node.start()
    wait_for(second, "are lent")
    second.kill_worker()
    wait_for(second, TAKEN)
    second.wait_ready()
    assert first.stop() == 0
    second.stop()


def test_told_to_stop_before_the_successor_is_ready_the_first_waits_for_it(node):
    first = node.start().wait_ready()
    node.ask()
    second = node.start()
    wait_for(second, "are lent")
    assert first.stop() == 0
    second.wait_ready()
    node.check_that_all_were_answered_by_an_agent()
    assert TAKEN in second.log
    second.stop()
    assert node.world.traces() == ""


def test_a_successor_that_hangs_is_waited_for_no_longer_than_told(node):
    first = node.start().wait_ready()
    second = node.start()
    wait_for(second, "are lent")
    os.killpg(second.process.pid, signal.SIGSTOP)
    assert first.stop() == 0
    assert node.world.traces() == ""
    second.kill_all()


def test_three_in_a_row_take_over_from_each_other(node):
    agents = [node.start().wait_ready()]
    node.ask()
    agents += [node.start().wait_ready() for _ in range(2)]
    for agent in agents[:2]:
        assert agent.stop() == 0
    node.check_that_all_were_answered_by_an_agent()
    assert agents[-1].stop() == 0
    assert node.world.traces() == ""


def test_a_successor_that_listens_on_every_address_is_not_kept_from_its_queries(node):
    """A socket bound to one address goes before one that is bound to all."""
    first = node.start().wait_ready()
    everywhere = stock(ADDRESSES).replace(f"bind {' '.join(map(str, ADDRESSES))}", "bind 0.0.0.0")
    second = node.start(corefile=everywhere + f".:5353 {{\n  bind {LOCAL}\n  whoami\n}}\n")
    wait_for(second, "nodecache serves")
    assert node.world.ask(LOCAL) == REFUSED
    first.stop()
    assert node.world.ask(LOCAL) == REFUSED
    second.stop()


def test_an_agent_that_serves_other_addresses_is_left_alone(node, world, tmp_path):
    first = node.start().wait_ready()
    other = Agent(
        world, _made(tmp_path / "other"), [LOCAL], "-setupinterface=false", "-setupiptables=false",
        "-p", "5300", corefile=f".:5300 {{\n  bind {LOCAL}\n  whoami\n}}\n",
    )  # fmt: skip
    wait_for(other, "nodecache serves")
    assert "lent" not in other.log
    assert "another agent" not in first.log
    other.stop()
    first.stop()


@pytest.fixture
def upstream():
    with FakeUpstream("a.example. 30 IN A 192.0.2.1") as fake:
        yield fake


def follow(agent: Loopback, folder: Path, upstream: FakeUpstream, more: str = "") -> Loopback:
    """An agent at the port of another one."""
    second = Loopback(_made(folder), "", *agent._flags)
    second.port = agent.port
    second.write(stock_on_loopback(upstream.address, more=more))
    return second


def test_a_connection_lives_on_with_the_agent_that_took_it(tmp_path, upstream):
    query = dns.message.make_query("a.example.", "A")
    with Loopback(tmp_path, stock_on_loopback(upstream.address)) as first, first.stream() as stream:
        dns.query.send_tcp(stream, query)
        dns.query.receive_tcp(stream)
        with follow(first, tmp_path / "second", upstream) as second:
            first.wait_for_line("standing by")
            dns.query.send_tcp(stream, query)
            assert dns.query.receive_tcp(stream)[0].answer
            assert second.tcp(query).answer
            first.stop()
            assert second.tcp(query).answer


def test_the_cache_goes_along(tmp_path, upstream):
    with Loopback(tmp_path, stock_on_loopback(upstream.address)) as first:
        before = first.ask("a.example.").answer[0]
        upstream.behave = silent
        time.sleep(1.1)
        with follow(first, tmp_path / "second", upstream) as second:
            second.wait_for_line("1 answers kept by the previous agent are ours now")
            first.stop()
            after = second.ask("a.example.").answer[0]
    assert after.ttl < before.ttl


def test_pages_are_the_successors_and_come_back_with_the_node(tmp_path, upstream):
    pages = f"prometheus {HOST}:{free_port()}"
    url = f"http://{pages.split()[1]}/metrics"
    with Loopback(tmp_path, stock_on_loopback(upstream.address, more=pages)) as first:
        with follow(first, tmp_path / "second", upstream, pages) as second:
            first.wait_for_line("standing by")
            assert started_at(url) > started_at_of(first)
            second.process.kill()
            second.process.wait()
        first.wait_for_line(BACK)
        wait_until(lambda: started_at(url) == started_at_of(first))


def test_a_successor_with_other_addresses_serves_them_and_the_old_ones_come_back(
    tmp_path, upstream
):
    other = free_port()
    both = stock_on_loopback(upstream.address) + f".:{other} {{\n  bind {HOST}\n  whoami\n}}\n"
    query = dns.message.make_query("a.example.", "A")
    with Loopback(tmp_path, both, "-localip", HOST, "-p", str(other)) as first:
        with follow(first, tmp_path / "second", upstream) as second:
            first.wait_for_line("standing by")
            assert second.ask("a.example.").answer
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((HOST, other), 1).close()
            second.process.kill()
            second.process.wait()
        first.wait_for_line(BACK)
        first.wait_for_line("Reloading complete")
        assert dns.query.udp(query, HOST, port=other, timeout=PATIENCE_SECONDS).additional


def started_at(url: str) -> float:
    """When the agent behind a metrics page was started."""
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as page,
    ):
        line = next(li for li in page.read().decode().splitlines() if li.startswith(STARTED))
        return float(line.split()[1])
    return 0.0


STARTED = "process_start_time_seconds "


def started_at_of(agent: Loopback) -> float:
    return measure(agent.process.pid).started_at


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def beside(node: Node, number: int, *flags: str) -> Agent:
    """One of two agents of a node that do not replace each other: all but the pages is the same."""
    pages = f"health {LOCAL}:{9252 + 2 * number}\n    prometheus :{9251 + 2 * number}"
    corefile = stock(ADDRESSES).replace(f"health {LOCAL}:8080", pages)
    return node.start("-skipteardown", *flags, corefile=corefile)


def are_green(node: Node) -> list[bool]:
    """Whether each of the two is well, as its probe sees it."""
    return [is_green(node, f"http://{LOCAL}:{port}/health") for port in (9254, 9256)]


def is_green(node: Node, url: str) -> bool:
    with node.world.node.entered(), contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(url, timeout=2).status == 200)
    return False


def test_two_agents_that_do_not_replace_each_other_keep_their_pages(node):
    first = beside(node, 1).wait_ready()
    node.ask()
    second = beside(node, 2)
    wait_for(second, TAKEN)
    wait_for(first, "standing by")
    wait_until(lambda: are_green(node) == [True, True])
    second.kill_all()  # and its next life
    wait_for(first, BACK)
    wait_until(lambda: are_green(node) == [True, False])
    second = beside(node, 2)
    wait_for(second, TAKEN)
    wait_until(lambda: are_green(node) == [True, True])
    first.kill_all()
    first = beside(node, 1)
    wait_for(first, TAKEN)
    wait_until(lambda: are_green(node) == [True, True])
    assert second.stop() == 0
    wait_until(lambda: are_green(node) == [True, False])
    node.check_that_all_were_answered_by_an_agent(kills=2)
    assert first.stop() == 0


def has_rules(node: Node) -> bool:
    """Whether rules of ours keep queries out of conntrack."""
    run = node.world.node.run
    listed = run("nft", "list", "ruleset") + run("iptables-nft-save") + run("iptables-legacy-save")
    return "NodeLocal DNS Cache: skip conntrack" in listed


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_successor_that_makes_no_rules_leaves_none_of_its_predecessors(node, rules):
    first = node.start("-rules", rules).wait_ready()
    assert has_rules(node)
    second = node.start("-setupiptables=false")
    wait_for(second, TAKEN)
    assert first.stop() == 0
    assert not has_rules(node)
    assert node.world.ask(LOCAL) == REFUSED
    assert second.stop() == 0
    assert node.world.traces() == ""


def test_the_rules_come_back_with_the_one_that_makes_them(node):
    first = node.start().wait_ready()
    second = node.start("-rules", "none")
    wait_for(second, TAKEN)
    assert not has_rules(node)
    assert second.stop() == 0
    wait_for(first, BACK)
    wait_until(lambda: has_rules(node))
    assert first.stop() == 0
    assert node.world.traces() == ""
