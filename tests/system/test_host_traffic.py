"""Who answers a pod: the agent while it lives, kube-dns when it does not, and nothing in between."""

import signal
import time

import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import NOERROR, REFUSED, Asker
from tests.system.netns import KUBE_DNS, LOCAL, SERVICE, SERVICE6, World, wait_until
from tests.system.on_node import Agent, StandIn, stock

pytestmark = pytest.mark.system
need_node("conntrack")

ADDRESSES = [LOCAL, SERVICE, SERVICE6]
MODES = [
    pytest.param("nftables", "nftables", id="nftables beside kube-proxy nftables"),
    pytest.param("nftables", "legacy", id="nftables beside kube-proxy iptables-legacy"),
    pytest.param("iptables", "legacy", id="iptables beside kube-proxy iptables-legacy"),
    pytest.param("iptables", "nft", id="iptables beside kube-proxy iptables-nft"),
]


@pytest.fixture
def start(world, tmp_path):
    """Starts agents, and ends what a failed test left running."""

    agents: list[Agent] = []

    def start(*flags: str, corefile: str = "") -> Agent:
        agents.append(Agent(world, tmp_path, ADDRESSES, *flags, corefile=corefile))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.process.poll() is None:
            print(agent.log)
            agent.kill_all()


def rcodes(world: World, seconds=PATIENCE_SECONDS) -> set[int | None]:
    """Whoever answers a pod at the Service addresses, by UDP and TCP."""
    both = ("udp", "tcp")
    return {world.ask(ip, protocol, seconds) for ip in (SERVICE, SERVICE6) for protocol in both}


@pytest.mark.parametrize(("rules", "proxy"), MODES)
def test_pods_are_answered_here_untracked_and_after_a_clean_stop_by_kube_dns(
    world, start, rules, proxy
):
    world.proxy(proxy)
    assert rcodes(world) == {NOERROR}
    agent = start("-rules", rules).wait_ready()
    wait_until(lambda: world.is_served_untracked(ADDRESSES))
    assert agent.stop() == 0
    assert rcodes(world) == {NOERROR}
    assert world.traces() == ""


@pytest.mark.parametrize(("rules", "proxy"), MODES)
def test_with_all_of_it_killed_kube_dns_answers_within_the_lease(world, start, rules, proxy):
    world.proxy(proxy)
    lease = 3
    flags = ("-rules", rules, "-lease", f"{lease}s")
    start(*flags).wait_ready().kill_all()
    assert all(world.lifetime(address) <= lease for address in (SERVICE, SERVICE6))
    wait_until(lambda: rcodes(world, seconds=1) == {NOERROR})
    wait_until(lambda: world.lifetime(SERVICE) == world.lifetime(SERVICE6) == 0)
    assert rcodes(world) == {NOERROR}

    again = start(*flags).wait_ready()
    wait_until(lambda: rcodes(world) == {REFUSED})
    assert again.stop() == 0
    assert world.traces() == ""


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_stopped_worker_is_noticed_and_replaced_before_the_lease_ends(world, start, rules):
    world.proxy("legacy")
    agent = start("-rules", rules, "-lease", "20s").wait_ready()
    asker = Asker()
    asker.start(SERVICE, world.pod)
    time.sleep(0.3)
    stopped_at = time.monotonic()
    stopped = agent.kill_worker(signal.SIGSTOP)
    wait_until(lambda: f"worker {stopped} killed" in agent.log)
    noticed = time.monotonic() - stopped_at
    time.sleep(0.5)
    seen = asker.stop()
    print(
        f"SIGSTOP, lease 20 s, {rules}: replaced after {noticed:.2f} s, lost {seen.lost} of {len(seen.rcodes)}"
    )
    assert agent.worker != stopped
    assert seen.rcodes_after(0) <= {REFUSED, NOERROR, None}  # by kube-dns while nobody reads here
    assert seen.lost <= 1  # which it had just read
    wait_until(lambda: rcodes(world) == {REFUSED})
    assert agent.stop() == 0
    assert "withdrawing" not in agent.log


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_killed_worker_costs_no_query_but_the_one_in_its_hands(world, start, rules):
    world.proxy("legacy")
    agent = start("-rules", rules).wait_ready()
    asker = Asker()
    asker.start(SERVICE, world.pod, 0.005)
    kills = 3
    for _ in range(kills):
        time.sleep(0.5)
        agent.kill_worker()
    time.sleep(1)
    seen = asker.stop()
    print(f"{kills} kills, {rules}: {len(seen.rcodes)} asked, {seen.lost} lost")
    assert seen.lost <= kills
    assert seen.rcodes_after(0) - {None} == {REFUSED}
    assert agent.stop() == 0


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_clean_stop_costs_no_query(world, start, rules):
    world.proxy("legacy")
    agent = start("-rules", rules).wait_ready()
    asker = Asker()
    asker.start(SERVICE, world.pod, 0.002)
    time.sleep(0.3)
    assert agent.stop() == 0
    time.sleep(0.3)
    seen = asker.stop()
    print(f"clean stop, {rules}: {len(seen.rcodes)} asked, {seen.lost} lost")
    assert seen.rcodes_after(0) == {REFUSED, NOERROR}


def test_a_start_costs_no_query(world, start):
    world.proxy("legacy")
    asker = Asker()
    asker.start(SERVICE, world.pod, 0.002)
    time.sleep(0.3)
    agent = start().wait_ready()
    time.sleep(0.3)
    seen = asker.stop()
    assert seen.rcodes_after(0) == {REFUSED, NOERROR}
    assert agent.stop() == 0


def test_with_skipteardown_all_stays_but_the_leased_address_runs_out(world, start):
    world.proxy("nftables")
    agent = start("-skipteardown", "-lease", "2s", "-rules", "nftables").wait_ready()
    assert agent.stop() == 0
    assert "nodelocaldns" in world.traces()
    assert "table inet nodecache" in world.traces()
    wait_until(lambda: rcodes(world, seconds=1) == {NOERROR})
    again = start("-rules", "nftables").wait_ready()
    assert again.stop() == 0
    assert world.traces() == ""


def test_when_replacing_does_not_help_the_service_address_is_given_back_and_comes_back(
    world, tmp_path, monkeypatch
):
    world.proxy("nftables")
    mute = tmp_path / "mute"
    monkeypatch.setenv("STAND_IN_MUTE", str(mute))
    agent = StandIn(world.node, ADDRESSES, lease_seconds=2).wait_ready()
    mute.touch()
    wait_until(lambda: rcodes(world, seconds=1) == {NOERROR})
    mute.unlink()
    wait_until(lambda: rcodes(world, seconds=1) == {REFUSED})
    log = agent.stop()
    assert "withdrawing 10.96.0.10" in log
    assert "restoring 10.96.0.10" in log


def test_a_signal_during_the_start_leaves_nothing(world, start):
    for delay in (0.05, 0.2, 0.5, 0.8):
        agent = start("-rules", "nftables")
        time.sleep(delay)
        agent.process.send_signal(signal.SIGTERM)
        status = agent.process.wait(PATIENCE_SECONDS)
        assert status in (0, -signal.SIGTERM), agent.log
        assert world.traces() == ""


def test_two_signals_end_it_as_well(world, start):
    corefile = stock(ADDRESSES).replace(
        f"health {LOCAL}:8080", f"health {LOCAL}:8080 {{ lameduck 30s }}"
    )
    agent = start(
        "-rules", "nftables", corefile=corefile.replace("{ lameduck 30s }", "{\nlameduck 30s\n}")
    )
    agent.wait_ready()
    agent.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert rcodes(world) == {REFUSED}  # the lameduck
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(PATIENCE_SECONDS) == 0
    assert world.traces() == ""


def test_an_interrupt_is_a_clean_stop_and_a_hangup_a_reload(world, start):
    agent = start("-rules", "nftables").wait_ready()
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP: Reloading" in agent.log)
    wait_until(lambda: rcodes(world) == {REFUSED})
    agent.process.send_signal(signal.SIGINT)
    assert agent.process.wait(PATIENCE_SECONDS) == 0
    assert world.traces() == ""


def test_a_reload_works_for_a_worker_without_rights_and_brings_a_new_address(world, start):
    agent = start("-rules", "nftables", corefile=stock([LOCAL, SERVICE]))
    wait_until(lambda: world.ask(SERVICE, seconds=1) == REFUSED)
    agent.write(stock(ADDRESSES))
    wait_until(lambda: world.ask(SERVICE6, seconds=1) == REFUSED, 60)


def test_the_answers_of_kube_dns_come_through(world, start):
    agent = start("-rules", "nftables").wait_ready()
    with world.pod.entered():
        import dns.message
        import dns.query

        query = dns.message.make_query("a.example.", "A")
        assert dns.query.udp(query, str(SERVICE), timeout=PATIENCE_SECONDS).rcode() == 0
        assert dns.query.tcp(query, str(SERVICE), timeout=PATIENCE_SECONDS).rcode() == 0
    assert str(KUBE_DNS) in stock(ADDRESSES)
    agent.stop()


def test_a_stopped_keeper_loses_the_address_to_kube_dns_and_takes_it_back(world, start):
    world.proxy("nftables")
    agent = start("-rules", "nftables", "-lease", "2s").wait_ready()
    agent.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: rcodes(world, seconds=1) == {NOERROR})
    agent.process.send_signal(signal.SIGCONT)
    wait_until(lambda: rcodes(world, seconds=1) == {REFUSED})
    assert agent.stop() == 0
    assert "replacing it" not in agent.log  # the worker was never at fault
