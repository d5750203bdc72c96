"""Who answers a pod: the agent while it lives, kube-dns when it does not, and nothing in between."""

import time

import pytest

from tests.needs import need, need_root
from tests.system.netns import (
    LOCAL,
    NOERROR,
    REFUSED,
    SERVICE,
    SERVICE6,
    Answered,
    StandIn,
    World,
)

pytestmark = pytest.mark.system
need_root()
for tool, package in (
    ("ip", "iproute2"), ("nft", "nftables"), ("iptables-legacy", "iptables"), ("conntrack", "conntrack"),
):  # fmt: skip
    need(tool, package=package)

ADDRESSES = [LOCAL, SERVICE, SERVICE6]
MODES = [
    pytest.param("nftables", "nftables", id="nftables beside kube-proxy nftables"),
    pytest.param("nftables", "legacy", id="nftables beside kube-proxy iptables-legacy"),
    pytest.param("iptables", "legacy", id="iptables beside kube-proxy iptables-legacy"),
    pytest.param("iptables", "nft", id="iptables beside kube-proxy iptables-nft"),
]


@pytest.fixture
def world():
    world = World()
    yield world
    world.remove()


def rcodes(world: World) -> set[int | None]:
    """Whoever answers a pod at the Service addresses, by UDP and TCP."""
    return {world.ask(ip, protocol) for ip in (SERVICE, SERVICE6) for protocol in ("udp", "tcp")}


@pytest.mark.parametrize(("rules", "proxy"), MODES)
def test_pods_are_answered_here_untracked_and_after_a_clean_stop_by_kube_dns(world, rules, proxy):
    world.proxy(proxy)
    assert rcodes(world) == {NOERROR}
    agent = StandIn(world.node, ADDRESSES, rules=rules).wait_ready()
    world.node.run("conntrack", "-F")
    assert rcodes(world) == {REFUSED}
    assert world.ask(LOCAL) == REFUSED
    with world.node.entered():
        assert world.ask(LOCAL) == REFUSED
    assert [world.conntrack(address) for address in ADDRESSES] == ["", "", ""]
    agent.stop()
    assert rcodes(world) == {NOERROR}
    assert world.traces() == ""


@pytest.mark.parametrize(("rules", "proxy"), MODES)
@pytest.mark.parametrize("lease", [2, 5])
def test_with_all_of_it_killed_kube_dns_answers_within_the_lease(world, rules, proxy, lease):
    world.proxy(proxy)
    agent = StandIn(world.node, ADDRESSES, rules=rules, lease_seconds=lease).wait_ready()
    asker = world.asker()
    asker.start(SERVICE, world.pod)
    time.sleep(0.5)
    killed_at = agent.kill_all()
    time.sleep(lease + 1.2)
    seen = asker.stop()
    print(f"lease {lease} s, {rules}/{proxy}: outage {seen.gap_after(killed_at):.2f} s")
    assert seen.rcodes_after(0) <= {REFUSED, NOERROR, None}
    assert seen.gap_after(killed_at) <= lease + 1
    assert rcodes(world) == {NOERROR}

    again = StandIn(world.node, ADDRESSES, rules=rules, lease_seconds=lease).wait_ready()
    assert rcodes(world) == {REFUSED}
    again.stop()
    assert world.traces() == ""


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_stopped_worker_is_noticed_and_replaced_before_the_lease_ends(world, rules):
    world.proxy("legacy")
    agent = StandIn(world.node, ADDRESSES, rules=rules, lease_seconds=4).wait_ready()
    asker = world.asker()
    asker.start(SERVICE, world.pod)
    time.sleep(0.3)
    stopped_at = time.monotonic()
    agent.tell("stop")
    time.sleep(3.5)
    seen: Answered = asker.stop()
    print(
        f"stopped worker, lease 4 s, {rules}: {seen.gap_after(stopped_at):.2f} s, lost {seen.lost}"
    )
    assert seen.gap_after(stopped_at) <= 2.5
    assert rcodes(world) == {REFUSED}
    log = agent.stop()
    assert "replacing it" in log


def test_when_replacing_does_not_help_the_service_address_is_given_back_and_comes_back(
    world, tmp_path, monkeypatch
):
    world.proxy("nftables")
    mute = tmp_path / "mute"
    monkeypatch.setenv("STAND_IN_MUTE", str(mute))
    agent = StandIn(world.node, ADDRESSES, lease_seconds=2).wait_ready()
    mute.touch()
    time.sleep(2.0)
    assert rcodes(world) == {NOERROR}
    mute.unlink()
    time.sleep(1.5)
    assert rcodes(world) == {REFUSED}
    log = agent.stop()
    assert "withdrawing 10.96.0.10" in log
    assert "restoring 10.96.0.10" in log
