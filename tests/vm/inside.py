"""Runs as the only program of the virtual machine: each check prints one line of JSON.

What is checked here needs a kernel that test machines do not have: the dummy link kind, modules
loaded on demand, IPVS.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, "/app")
from tests.system.asking import NOERROR, REFUSED, Address, ask
from tests.system.netns import (
    INTERFACE,
    KUBE_DNS,
    LOCAL,
    SERVICE,
    SERVICE6,
    Namespace,
    World,
    wait_until,
)
from tests.system.on_node import Agent, StandIn

ADDRESSES = [LOCAL, SERVICE, SERVICE6]
LEASE = 4


def dummy_link_with_its_addresses(world: World) -> dict:
    agent = StandIn(world.node, ADDRESSES, interface_kind="dummy", lease_seconds=LEASE).wait_ready()
    link = world.node.run("ip", "-d", "link", "show", INTERFACE)
    addresses = world.node.run("ip", "address", "show", INTERFACE)
    state = agent.state()
    agent.stop()
    assert "dummy" in link, link
    assert ",UP" in link, link
    assert f"alias nodecache {LOCAL} {SERVICE} {SERVICE6}" in link, link
    for text in (f"inet {LOCAL}/32", f"inet {SERVICE}/32", f"inet6 {SERVICE6}/128"):
        assert text in addresses, addresses
    assert "tentative" not in addresses, addresses
    assert addresses.count(" dynamic") == 2, addresses
    assert sum(state["setup_errors"].values()) == 0, state
    assert world.traces() == "", world.traces()
    return {"backend": state["rules_backend"]}


def traffic_and_lease(world: World, rules: str, addresses: list[Address]) -> dict:
    """A pod is answered, untracked; killed, the kernel gives the address back; all is taken over."""
    options = {"interface_kind": "dummy", "rules": rules, "lease_seconds": LEASE}
    agent = StandIn(world.node, addresses, **options).wait_ready()
    world.node.run("conntrack", "-F")
    for address in addresses:
        for protocol in ("udp", "tcp"):
            assert world.ask(address, protocol) == REFUSED, (address, protocol)
    tracked = world.conntrack(SERVICE)
    assert tracked == "", tracked
    killed_at = agent.kill_all()
    assert world.lifetime(SERVICE) <= LEASE
    wait_until(lambda: world.ask(SERVICE, seconds=1) == NOERROR)
    outage = time.monotonic() - killed_at
    again = StandIn(world.node, addresses, **options).wait_ready()
    assert world.ask(SERVICE) == REFUSED
    log = again.stop()
    assert world.ask(SERVICE) == NOERROR
    assert world.traces() == "", world.traces()
    return {"outage_seconds": round(outage, 2), "lease_seconds": LEASE, "log": log.splitlines()}


def the_agent_itself(world: World) -> dict:
    """The real command with its default link, from its start to its death and its next life."""
    folder = Path("/tmp/agent")
    folder.mkdir()
    begun = time.monotonic()
    agent = Agent(world, folder, ADDRESSES, "-lease", f"{LEASE}s", kind="dummy").wait_ready()
    started = time.monotonic() - begun
    # A worker that is starved leaves queries to kube-dns for a moment.
    wait_until(lambda: {world.ask(ip, p) for ip in ADDRESSES for p in ("udp", "tcp")} == {REFUSED})
    assert "dummy" in world.node.run("ip", "-d", "link", "show", INTERFACE)
    killed_at = agent.kill_all()
    wait_until(lambda: world.ask(SERVICE, seconds=1) == NOERROR)
    outage = time.monotonic() - killed_at
    again = Agent(world, folder, ADDRESSES, "-lease", f"{LEASE}s", kind="dummy").wait_ready()
    assert again.stop() == 0, again.log
    assert world.ask(SERVICE) == NOERROR
    assert world.traces() == "", world.traces()
    return {"start_seconds": round(started, 2), "outage_seconds": round(outage, 2)}


def a_link_of_another_kind_is_left_alone(world: World) -> dict:
    world.node.run("ip", "link", "add", INTERFACE, "type", "bridge")
    agent = StandIn(world.node, ADDRESSES, interface_kind="dummy")
    _, log = agent.process.communicate(timeout=30)
    world.node.run("ip", "link", "delete", INTERFACE)
    assert agent.process.returncode == 1
    assert "of kind bridge where dummy was asked for" in log, log
    return {"log": log.strip()}


def asked_on(node: Namespace, address: Address) -> set[int | None]:
    with node.entered():
        return {ask(address, protocol, 0.3) for protocol in ("udp", "tcp")}


def falls_back_to_the_service(world: World, rules: str) -> dict:
    """In IPVS mode, where the Service address is local on kube-ipvs0 and nothing DNATs it."""
    node = world.node
    node.run("ip", "link", "add", "kube-ipvs0", "type", "dummy")
    node.run("ip", "address", "add", f"{SERVICE}/32", "dev", "kube-ipvs0")
    for flag in ("-u", "-t"):
        node.run("ipvsadm", "-A", flag, f"{SERVICE}:53", "-s", "rr")
        node.run("ipvsadm", "-a", flag, f"{SERVICE}:53", "-r", f"{KUBE_DNS}:53", "-m")
    node.sysctl("net.ipv4.vs.conntrack", 1)
    try:
        assert world.ask(SERVICE) == NOERROR, "IPVS itself"
        agent = StandIn(
            node, [LOCAL], interface_kind="dummy", rules=rules, lease_seconds=LEASE,
            fallback=[str(SERVICE)],
        ).wait_ready()  # fmt: skip
        assert {world.ask(LOCAL, protocol) for protocol in ("udp", "tcp")} == {REFUSED}
        killed_at = agent.kill_all()
        wait_until(lambda: world.ask(LOCAL, seconds=1) == NOERROR)
        outage = time.monotonic() - killed_at
        assert world.ask(LOCAL, "tcp") == NOERROR
        wait_until(lambda: asked_on(node, LOCAL) == {NOERROR})
        again = StandIn(
            node, [LOCAL], interface_kind="dummy", rules=rules, lease_seconds=LEASE,
            fallback=[str(SERVICE)],
        ).wait_ready()  # fmt: skip
        assert world.ask(LOCAL) == REFUSED
        again.stop()
        assert {world.ask(LOCAL, protocol) for protocol in ("udp", "tcp")} == {NOERROR}
        assert INTERFACE not in world.traces(), world.traces()
        # What is left would expire within 15 minutes.
        node.run("nft", "delete", "table", "inet", "nodecache", check=False)
        for binary in ("iptables-nft", "iptables-legacy"):
            node.run(binary, "-t", "nat", "-F")
            node.run(binary, "-t", "nat", "-X")
    finally:
        node.run("ipvsadm", "-C")
        node.run("ip", "link", "delete", "kube-ipvs0")
    return {"outage_seconds": round(outage, 2), "lease_seconds": LEASE}


def an_address_of_another_is_not_fought_over(world: World) -> dict:
    world.node.run("ip", "link", "add", "kube-ipvs0", "type", "dummy")
    world.node.run("ip", "address", "add", f"{SERVICE}/32", "dev", "kube-ipvs0")
    agent = StandIn(world.node, ADDRESSES, interface_kind="dummy").wait_ready()
    addresses = world.node.run("ip", "address", "show", INTERFACE)
    log = agent.stop()
    world.node.run("ip", "link", "delete", "kube-ipvs0")
    assert f"{SERVICE}/32" not in addresses, addresses
    assert log.count("is held by another interface") == 1, log
    return {}


def check(world: World, name: str, body: Callable[[], dict]) -> None:
    begun = time.monotonic()
    try:
        outcome = {"is_ok": True, **body()}
    except BaseException:  # noqa: BLE001 - whatever went wrong is the result
        outcome = {"is_ok": False, "why": traceback.format_exc()}
        world.sweep()
    outcome["took_seconds"] = round(time.monotonic() - begun, 1)
    print(f"CHECK {json.dumps({'name': name, **outcome})}", flush=True)


def main() -> None:
    print(f"KERNEL {os.uname().release}", flush=True)
    world = World("vm")
    for rules in ("nftables", "iptables"):
        check(world, f"ipvs {rules}", lambda r=rules: falls_back_to_the_service(world, r))
    check(world, "foreign link", lambda: a_link_of_another_kind_is_left_alone(world))
    check(world, "foreign address", lambda: an_address_of_another_is_not_fought_over(world))
    world.proxy("legacy")
    check(world, "agent", lambda: the_agent_itself(world))
    check(world, "link", lambda: dummy_link_with_its_addresses(world))
    check(world, "nftables", lambda: traffic_and_lease(world, "nftables", ADDRESSES))
    check(world, "iptables", lambda: traffic_and_lease(world, "iptables", [LOCAL, SERVICE]))
    world.remove()


if __name__ == "__main__":
    main()
