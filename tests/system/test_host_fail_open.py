"""Killed, the agent is out of the way at once: the next query reaches kube-dns, and nothing is cleaned up.

No test here waits for the lease: it is longer than any of them takes, unless it is what is shown.
"""

import os
import socket
from pathlib import Path

import pytest

from tests.needs import need, need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import NOERROR, REFUSED, ask, ask_on
from tests.system.netns import (
    KUBE_DNS,
    KUBE_DNS6,
    LOCAL,
    LOCAL6,
    SERVICE,
    SERVICE6,
    World,
    wait_until,
)  # fmt: skip
from tests.system.on_node import Agent, StandIn, stock

pytestmark = pytest.mark.system
need_node("conntrack")

SERVICES = [SERVICE, SERVICE6]
ADDRESSES = [LOCAL, LOCAL6, *SERVICES]
LEASE = 600  # seconds
PODS = [[str(KUBE_DNS), 53], [str(KUBE_DNS6), 53]]
BACKENDS = [
    pytest.param("nftables", "nftables", id="nftables beside kube-proxy nftables"),
    pytest.param("nftables", "legacy", id="nftables beside kube-proxy iptables-legacy"),
    pytest.param("iptables", "nft", id="iptables-nft"),
    pytest.param("iptables", "legacy", id="iptables-legacy"),
]
PROTOCOLS = ("udp", "tcp")


@pytest.fixture
def start(world):
    """Starts stand-ins of the agent with a lease that no test outlasts."""

    def start(rules: str, **options) -> StandIn:
        wanted = {"lease_seconds": LEASE, **options}
        return StandIn(world.node, ADDRESSES, rules=rules, **wanted).wait_ready()

    return start


def from_pod(world: World, addresses=SERVICES, seconds=PATIENCE_SECONDS) -> set[int | None]:
    return {world.ask(ip, protocol, seconds) for ip in addresses for protocol in PROTOCOLS}


def from_node(world: World, addresses=SERVICES, seconds=PATIENCE_SECONDS) -> set[int | None]:
    with world.node.entered():
        return {ask(ip, protocol, seconds) for ip in addresses for protocol in PROTOCOLS}


@pytest.mark.parametrize(("rules", "proxy"), BACKENDS)
def test_killed_again_and_again_every_query_is_answered_by_us_or_else_by_kube_dns(
    world, start, rules, proxy
):
    world.proxy(proxy)
    for _ in range(3):
        agent = start(rules)
        assert agent.state()["rules_fail_open"] == "socket"
        wait_until(lambda: world.is_served_untracked(ADDRESSES))
        agent.kill_all()
        for _ in range(5):
            assert from_pod(world) == {NOERROR}
    assert f"{SERVICE}/32" in world.node.run("ip", "address")  # nothing was cleaned up
    again = start(rules)
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    again.stop()
    assert from_pod(world) == {NOERROR}
    assert world.traces() == ""


@pytest.mark.parametrize(("rules", "proxy"), BACKENDS)
def test_the_node_local_address_falls_back_to_the_pods_that_were_told(world, start, rules, proxy):
    world.proxy(proxy)
    nodes_own = [LOCAL, LOCAL6]
    agent = start(rules, dns_pods=PODS)
    wait_until(lambda: from_pod(world, nodes_own, seconds=1) == {REFUSED})
    agent.kill_all()
    assert from_pod(world, nodes_own) == {NOERROR}
    again = start(rules)  # which was told no pods: those of the former life hold
    wait_until(lambda: from_pod(world, nodes_own, seconds=1) == {REFUSED})
    again.kill_all()
    assert from_pod(world, nodes_own) == {NOERROR}


def test_without_pods_the_node_local_address_is_refused_as_nobody_is_there(world, start):
    world.proxy("nftables")
    agent = start("nftables")
    wait_until(lambda: from_pod(world, [LOCAL], seconds=1) == {REFUSED})
    agent.kill_all()
    assert {world.ask(LOCAL, protocol, 0.3) for protocol in PROTOCOLS} == {None}


@pytest.mark.parametrize("proxy", ["nftables", "nft", "legacy"])
def test_of_the_nodes_own_queries_one_is_refused_at_each_address_and_the_next_ones_are_answered(
    world, start, proxy
):
    world.proxy(proxy)
    agent = start("nftables", dns_pods=PODS)
    wait_until(lambda: agent.state()["probes"]["answered"] > 0)
    wait_until(lambda: from_node(world, ADDRESSES, seconds=1) == {REFUSED})
    agent.kill_all()
    with world.node.entered():
        refused = {(ip, protocol): ask(ip, protocol) for ip in ADDRESSES for protocol in PROTOCOLS}
    assert list(refused.values()).count(None) <= len(ADDRESSES)
    assert from_node(world, ADDRESSES) == {NOERROR}
    again = start("nftables")
    wait_until(lambda: from_node(world, ADDRESSES, seconds=1) == {REFUSED})
    again.stop()


def test_the_nodes_own_queries_leave_a_worker_that_answers_nothing(world, start):
    world.proxy("nftables")
    agent = start("nftables")
    wait_until(lambda: from_node(world, seconds=1) == {REFUSED})
    agent.tell("stop")
    wait_until(lambda: from_node(world, seconds=1) == {NOERROR})
    assert f"{SERVICE}/32" in world.node.run("ip", "address")
    agent.kill_all()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_sockets_of_ours_at_every_address_count_and_strangers_do_not(world, tmp_path, rules):
    world.proxy("legacy")
    addresses = [LOCAL, *SERVICES]
    without_bind = stock(addresses).replace(f"bind {' '.join(map(str, addresses))}\n", "")
    flags = ("-rules", rules, "-lease", f"{LEASE}s")
    agent = Agent(world, tmp_path, addresses, *flags, corefile=without_bind).wait_ready()
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    agent.kill_all()
    assert from_pod(world) == {NOERROR}
    with world.node.entered():
        strangers = [everywhere(socket.SOCK_DGRAM), everywhere(socket.SOCK_STREAM)]
    assert from_pod(world) == {NOERROR}
    for stranger in strangers:
        stranger.close()
    again = Agent(world, tmp_path, addresses, *flags, corefile=without_bind).wait_ready()
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    assert again.stop() == 0


def everywhere(kind: socket.SocketKind) -> socket.socket:
    """A stranger's socket, of both families and every address, that nobody reads."""
    stranger = socket.socket(socket.AF_INET6, kind)
    stranger.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    stranger.bind(("::", 53))
    if kind is socket.SOCK_STREAM:
        stranger.listen()
    return stranger


@pytest.mark.parametrize("address", SERVICES)
def test_a_connection_that_began_at_kube_dns_goes_on_there_when_we_are_back(world, start, address):
    world.proxy("nftables")
    start("nftables").kill_all()
    with world.connection_at_kube_dns(address):
        agent = start("nftables")
        wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    agent.stop()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_a_connection_to_a_dead_agent_ends_and_the_next_one_is_answered(world, start, rules):
    world.proxy("nft")
    agent = start(rules)
    with world.pod.entered():
        connection = socket.create_connection((str(SERVICE), 53), timeout=PATIENCE_SECONDS)
    agent.kill_all()
    assert ask_on(connection) is None
    connection.close()
    assert from_pod(world) == {NOERROR}


@pytest.mark.parametrize("program", ["nft", "iptables-nft"])
def test_a_kernel_without_the_match_fails_open_by_the_lease(
    world, start, program, tmp_path, monkeypatch
):
    """A program in front of the real one refuses what such a kernel would."""
    world.proxy("nft")
    lacking(program, tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    rules = "nftables" if program == "nft" else "iptables"
    agent = start(rules, lease_seconds=2)
    assert agent.state()["rules_fail_open"] == "lease"
    wait_until(lambda: from_pod(world, seconds=1) == {REFUSED})
    agent.kill_all()
    assert world.ask(SERVICE, seconds=0.2) is None or world.lifetime(SERVICE) == 0
    wait_until(lambda: from_pod(world, seconds=1) == {NOERROR})
    again = start(rules, lease_seconds=2)
    log = again.stop()
    assert log.count("no match on sockets") == 1
    assert world.traces() == ""


def lacking(program: str, folder: Path) -> None:
    real = need(program, package="nftables" if program == "nft" else "iptables")
    fake = folder / program
    fake.write_text(
        f"""#!/bin/sh
input=$(mktemp)
[ "$1" = -f ] || [ "$1" = -c ] && cat > "$input"
case "$* $(cat "$input")" in
*"socket transparent"*|*"-m socket"*) echo "No such file or directory" >&2; rm "$input"; exit 1 ;;
esac
{real} "$@" < "$input"; status=$?
rm "$input"; exit $status
"""
    )
    fake.chmod(0o755)


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_the_agent_itself_killed_loses_no_query_to_nobody(world, tmp_path, rules):
    world.proxy("legacy")
    agent = Agent(
        world, tmp_path, [LOCAL, *SERVICES], "-rules", rules, "-lease", "600s"
    ).wait_ready()
    agent.kill_all()
    for _ in range(20):
        assert from_pod(world) == {NOERROR}
    again = Agent(world, tmp_path, [LOCAL, *SERVICES], "-rules", rules).wait_ready()
    assert again.stop() == 0
    assert world.traces() == ""


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
def test_what_stays_on_a_node_where_nothing_runs_is_harmless_and_taken_over(world, start, rules):
    """As after `kubectl delete` of an agent that had been killed: nothing was there to clean up."""
    world.proxy("nft")
    start(rules, lease_seconds=2, dns_pods=PODS).kill_all()
    wait_until(lambda: f"{SERVICE}/32" not in world.node.run("ip", "address"))
    assert world.traces() != ""
    assert from_pod(world, ADDRESSES) == {NOERROR}
    assert from_node(world, [SERVICE]) == {NOERROR}  # IPv6 has no route to a Service in this world
    agent = start(rules)
    assert agent.state()["setup_errors"] == dict.fromkeys(agent.state()["setup_errors"], 0)
    wait_until(lambda: from_pod(world, ADDRESSES, seconds=1) == {REFUSED})
    agent.stop()
    assert from_pod(world, ADDRESSES) == {NOERROR}
