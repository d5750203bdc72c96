"""A host whose own filter drops: the traffic is accepted there, and the filter is left as it was."""

import pytest

from tests.needs import need_node
from tests.system.asking import REFUSED
from tests.system.netns import LOCAL, SERVICE, SERVICE6, World, wait_until
from tests.system.on_node import StandIn

pytestmark = pytest.mark.system
need_node()

ADDRESSES = [LOCAL, SERVICE, SERVICE6]
NFT_FILTER = """
table inet host {
    chain incoming { type filter hook input priority filter; policy drop; meta l4proto icmpv6 accept; }
    chain outgoing { type filter hook output priority filter; policy drop; meta l4proto icmpv6 accept; }
}
"""


def drop_all(world: World, kind: str) -> None:
    """Policy DROP for what comes in and goes out, but IPv6's neighbour discovery; not even lo is open."""
    if kind == "native":
        world.node.run("nft", "-f", "-", stdin=NFT_FILTER)
        return
    for binary in (f"iptables-{kind}", f"ip6tables-{kind}"):
        for chain in ("INPUT", "OUTPUT"):
            if binary.startswith("ip6"):
                world.node.run(binary, "-A", chain, "-p", "ipv6-icmp", "-j", "ACCEPT")
            world.node.run(binary, "-P", chain, "DROP")


def filters(world: World) -> str:
    """Every filter rule of the host, counters and comments of the listing left out."""
    listings = [world.node.run("nft", "-s", "list", "ruleset")]
    listings += [world.node.run(f"{ip}-legacy", "-S") for ip in ("iptables", "ip6tables")]
    return "\n".join(listings)


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
@pytest.mark.parametrize("kind", ["legacy", "nft", "native"])
def test_with_policy_drop_pods_and_the_node_itself_are_answered_and_no_trace_stays(
    world, kind, rules
):
    drop_all(world, kind)
    assert world.ask(LOCAL, seconds=0.2) is None
    before = filters(world)
    agent = StandIn(world.node, ADDRESSES, rules=rules).wait_ready()
    wait_until(
        lambda: (
            {world.ask(ip, protocol, 1) for ip in ADDRESSES for protocol in ("udp", "tcp")}
            == {REFUSED}
        )
    )
    wait_until(lambda: agent.state()["probes"]["answered"] > 0)  # the node itself, by UDP and TCP
    log = agent.stop()
    assert "may drop: accepting the listen addresses' traffic there" in log
    assert "answers nothing" not in log
    for line in ("NodeLocal", "nodecache"):
        assert line not in filters(world)
    assert [li for li in before.splitlines() if li not in filters(world)] == []


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(("iptables-nft", "-P", "INPUT", "DROP"), id="iptables-nft policy"),
        pytest.param(("iptables-nft", "-A", "INPUT", "-j", "DROP"), id="iptables-nft rule"),
        pytest.param(("iptables-legacy", "-A", "INPUT", "-j", "DROP"), id="iptables-legacy rule"),
        pytest.param(("nft", "-f", "-"), id="native table"),
    ],
)
def test_a_filter_that_begins_to_drop_later_is_noticed(world, deed, rules):
    world.node.run("iptables-legacy", "-t", "filter", "-S")  # so that the table is in use
    agent = StandIn(world.node, [LOCAL], rules=rules).wait_ready()
    wait_until(lambda: world.ask(LOCAL, seconds=1) == REFUSED)
    world.node.run(*deed, stdin=NFT_FILTER)
    seconds = wait_until(lambda: world.ask(LOCAL, seconds=1) == REFUSED)
    print(f"{' '.join(deed)}, {rules}: answered again within {1000 * seconds:.0f} ms")
    agent.stop()
    assert "NodeLocal" not in filters(world)
