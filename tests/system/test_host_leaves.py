"""A clean stop leaves the node to kube-dns' pods for a while, and then nothing that matches."""

import json
import re
import signal
import socket
import time

import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import NOERROR, REFUSED, Asker, ask
from tests.system.netns import (
    KUBE_DNS,
    KUBE_DNS6,
    LOCAL,
    LOCAL6,
    POD,
    SERVICE,
    SERVICE6,
    World,
    wait_until,
)
from tests.system.on_node import Agent, StandIn, stock

pytestmark = pytest.mark.system
need_node("conntrack")

NODE_LOCAL = [LOCAL, LOCAL6]
ADDRESSES = [*NODE_LOCAL, SERVICE, SERVICE6]
PODS = [[str(KUBE_DNS), 53], [str(KUBE_DNS6), 53]]
BACKENDS = [
    pytest.param("nftables", "nftables", id="nftables beside kube-proxy nftables"),
    pytest.param("iptables", "nft", id="iptables-nft"),
    pytest.param("iptables", "legacy", id="iptables-legacy"),
]
PROTOCOLS = ("udp", "tcp")
MOST_SECONDS = 900


@pytest.fixture
def start(world):
    """Starts stand-ins of the agent."""

    def start(rules: str, **options) -> StandIn:
        return StandIn(world.node, ADDRESSES, rules=rules, **options).wait_ready()

    return start


def from_pod(world: World, addresses, seconds: float = 3.0) -> set[int | None]:
    return {world.ask(ip, protocol, seconds) for ip in addresses for protocol in PROTOCOLS}


def expire(world: World, rules: str, proxy: str) -> None:
    """Have the time pass, in the kernel: for iptables the date, which is in each rule, is put to the past."""
    if rules == "nftables":
        listed = json.loads(world.node.run("nft", "-j", "list", "table", "inet", "nodecache"))
        for entry in listed["nftables"]:
            timed = entry.get("set") or entry.get("map") or {}
            for element in timed.get("elem", ()) if "timeout" in timed.get("flags", ()) else ():
                key = element[0] if isinstance(element, list) else element
                assert key["elem"]["expires"] <= MOST_SECONDS
            if "timeout" in timed.get("flags", ()):
                kind = "map" if "map" in entry else "set"
                world.node.run("nft", "flush", kind, "inet", "nodecache", timed["name"])
        return
    for binary in (f"iptables-{proxy}", f"ip6tables-{proxy}"):
        saved = world.node.run(f"{binary}-save", "-t", "nat")
        dated = [line for line in saved.splitlines() if line.startswith("-A NODECACHE-DNS")]
        assert dated
        assert all("--datestop" in line for line in dated)
        past = [re.sub(r"--datestop \S+", "--datestop 2020-01-01T00:00:00", line) for line in dated]
        text = "\n".join(["*nat", ":NODECACHE-DNS - [0:0]", *past, "COMMIT", ""])
        world.node.run(f"{binary}-restore", "-n", stdin=text)


@pytest.mark.parametrize(("rules", "proxy"), BACKENDS)
def test_after_a_clean_stop_pods_are_answered_by_kube_dns_until_that_expires(
    world, start, rules, proxy
):
    world.proxy(proxy)
    agent = start(rules, dns_pods=PODS)
    wait_until(lambda: from_pod(world, ADDRESSES, seconds=1) == {REFUSED})
    agent.stop()
    assert from_pod(world, ADDRESSES) == {NOERROR}
    with world.node.entered():
        assert {ask(LOCAL, protocol) for protocol in PROTOCOLS} == {NOERROR}
    left = world.traces()
    assert "nodelocaldns" not in left
    assert "notrack" not in left.lower()
    assert "ACCEPT" not in left
    expire(world, rules, proxy)
    assert from_pod(world, NODE_LOCAL, 0.3) == {None}
    assert from_pod(world, [SERVICE, SERVICE6]) == {NOERROR}


@pytest.mark.parametrize(("rules", "proxy"), BACKENDS)
def test_the_next_agent_takes_over_what_was_left(world, start, rules, proxy):
    world.proxy(proxy)
    start(rules, dns_pods=PODS).stop()
    again = start(rules)  # which was told no pods
    wait_until(lambda: from_pod(world, ADDRESSES, seconds=1) == {REFUSED})
    assert "fib daddr type !=" not in world.traces()
    wait_until(lambda: "! --dst-type LOCAL" not in world.traces())
    again.stop()
    assert from_pod(world, NODE_LOCAL) == {NOERROR}


@pytest.mark.parametrize(("rules", "proxy"), BACKENDS)
def test_a_service_that_takes_over_from_the_node_local_address_does_so_for_a_while(
    world, start, rules, proxy
):
    """IPVS mode, where no kube-dns pod is known."""
    for service in (SERVICE, SERVICE6):
        world.node.run("ip", "address", "add", f"{service}", "dev", "lo")
        world.serve(world.node, str(service))
    agent = StandIn(world.node, NODE_LOCAL[:1], rules=rules, fallback=[str(SERVICE)]).wait_ready()
    wait_until(lambda: from_pod(world, [LOCAL], seconds=1) == {REFUSED})
    agent.stop()
    assert from_pod(world, [LOCAL]) == {NOERROR}
    assert f"dnat ip to {SERVICE}:53" in world.traces() or "NODECACHE-DNS" in world.traces()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_whoever_serves_the_node_local_address_next_is_not_passed_by(world, start, rules):
    """As the original, which makes an interface with that address."""
    world.proxy("nft")
    start(rules, dns_pods=PODS).stop()
    assert from_pod(world, NODE_LOCAL) == {NOERROR}
    other = start("none")
    wait_until(lambda: from_pod(world, NODE_LOCAL, seconds=1) == {REFUSED})
    other.stop()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_on_an_interface_of_somebody_elses_the_address_falls_back_all_the_same(world, start, rules):
    world.proxy("nft")
    world.node.run("ip", "address", "add", f"{LOCAL}/32", "dev", "lo")
    agent = start(rules, dns_pods=PODS, setup_interface=False)
    wait_until(lambda: from_pod(world, [LOCAL], seconds=1) == {REFUSED})
    agent.stop()
    assert from_pod(world, [LOCAL]) == {NOERROR}
    with world.node.entered():  # with iptables nothing masquerades the node's own queries
        assert rules == "iptables" or ask(LOCAL) == NOERROR


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_without_pods_nothing_is_left(world, start, rules):
    world.proxy("nft")
    start(rules).stop()
    assert world.traces() == ""


@pytest.mark.parametrize("address", [LOCAL, SERVICE])
def test_a_connection_that_began_between_two_agents_goes_on_at_kube_dns(world, start, address):
    world.proxy("nftables")
    start("nftables", dns_pods=PODS).stop()
    with world.connection_at_kube_dns(address):
        agent = start("nftables")
        wait_until(lambda: from_pod(world, [address], seconds=1) == {REFUSED})
    agent.stop()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_from_one_agents_clean_stop_to_the_next_agent_no_query_is_lost(world, tmp_path, rules):
    """`kubectl delete pod`, by force too: nobody is there to hand over to."""
    world.proxy("nft")
    addresses = [LOCAL, SERVICE]
    StandIn(world.node, addresses, rules=rules, dns_pods=PODS[:1]).wait_ready().kill_all()
    seen: list[Asker] = []
    for _ in range(2):
        agent = Agent(world, tmp_path, addresses, "-rules", rules).wait_ready()
        for address in addresses if not seen else ():
            seen.append(Asker())
            seen[-1].start(address, world.pod, 0.002)
        time.sleep(0.3)
        assert agent.stop() == 0
        time.sleep(0.3)
    for answered in [asker.stop() for asker in seen]:
        assert answered.lost == 0
        assert set(answered.rcodes) == {REFUSED, NOERROR}
    # An entry without kube-dns in it would keep the client's port from being sent there.
    flows = [line for address in addresses for line in world.conntrack(address).splitlines()]
    of_pod = [line for line in flows if f"src={POD} " in line]
    assert of_pod
    assert [line for line in of_pod if f"src={KUBE_DNS} " not in line] == []


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_an_agent_that_comes_while_another_one_ends_keeps_the_node(world, tmp_path, rules):
    """Deleted by force, a pod may still have queries to answer when the next one starts."""
    world.proxy("nft")
    addresses = [LOCAL, SERVICE]
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    StandIn(world.node, addresses, rules=rules, dns_pods=PODS[:1]).wait_ready().kill_all()
    silent = f"late.:53 {{\nbind {LOCAL} {SERVICE}\nforward . 10.244.2.77\n}}\n"
    corefile = stock(addresses) + silent
    old = Agent(world, folders[0], addresses, "-rules", rules, corefile=corefile).wait_ready()
    header = b"\0\1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    with world.pod.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(header + b"\x04late\0\0\x01\0\x01", (str(SERVICE), 53))
    time.sleep(0.2)
    old.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Shutting down" in old.log)
    new = Agent(world, folders[1], addresses, "-rules", rules).wait_ready()
    asker = Asker()
    asker.start(LOCAL, world.pod, 0.002)
    assert old.process.wait(PATIENCE_SECONDS) == 0
    time.sleep(0.5)
    answered = asker.stop()
    assert answered.lost == 0
    assert "repaired" not in new.log
    assert "putting back" not in new.log
    assert new.stop() == 0
