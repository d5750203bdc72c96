"""What others change under the agent is put back, and what is not ours is left alone."""

import fcntl
import os
import time

import pytest

from tests.needs import need_node
from tests.patience import PATIENCE_SECONDS
from tests.system.asking import REFUSED, ask
from tests.system.netns import INTERFACE, LOCAL, LOCAL6, SERVICE, SERVICE6, Namespace, wait_until
from tests.system.on_node import StandIn

pytestmark = pytest.mark.system
need_node()

ADDRESSES = [LOCAL, SERVICE, SERVICE6, LOCAL6]
C1, C2 = "NodeLocal DNS Cache: skip conntrack", "NodeLocal DNS Cache: allow DNS traffic"


@pytest.fixture
def node():
    node = Namespace(f"nc{os.getpid()}r")
    yield node
    node.remove()


def shown(node: Namespace) -> str:
    return node.run("ip", "address", "show", INTERFACE, check=False)


def raw(node: Namespace, variant: str) -> str:
    return node.run(f"iptables-{variant}", "-t", "raw", "-S")


@pytest.mark.parametrize(
    ("deed", "is_mended"),
    [
        pytest.param(
            ("ip", "link", "set", INTERFACE, "down"),
            lambda node: ",UP" in shown(node) and all(f"{ip}/" in shown(node) for ip in ADDRESSES),
            id="link set down",
        ),
        pytest.param(
            ("ip", "link", "delete", INTERFACE),
            lambda node: all(f"{ip}/" in shown(node) for ip in ADDRESSES),
            id="link deleted",
        ),
        pytest.param(
            ("ip", "address", "delete", f"{LOCAL}/32", "dev", INTERFACE),
            lambda node: f"inet {LOCAL}/32" in shown(node),
            id="standing address removed",
        ),
        pytest.param(
            ("ip", "address", "delete", f"{SERVICE}/32", "dev", INTERFACE),
            lambda node: f"inet {SERVICE}/32" in shown(node),
            id="leased address removed",
        ),
        pytest.param(
            ("nft", "delete", "table", "inet", "nodecache"),
            lambda node: "notrack" in node.run("nft", "list", "table", "inet", "nodecache", check=False),
            id="table deleted",
        ),
        pytest.param(
            ("nft", "flush", "ruleset"),
            lambda node: "notrack" in node.run("nft", "list", "table", "inet", "nodecache", check=False),
            id="everything flushed",
        ),
        pytest.param(
            ("nft", "delete", "element", "inet", "nodecache", "addresses4", f"{{ {SERVICE} }}"),
            lambda node: str(SERVICE) in node.run("nft", "list", "table", "inet", "nodecache"),
            id="one address out of the set",
        ),
    ],
)  # fmt: skip
def test_what_somebody_removes_is_put_back_at_once(node, deed, is_mended):
    agent = StandIn(node, ADDRESSES, rules="nftables").wait_ready()
    time.sleep(0.2)
    node.run(*deed)
    seconds = wait_until(lambda: is_mended(node))
    print(f"{' '.join(deed)}: mended within {1000 * seconds:.0f} ms")
    wait_until(lambda: sum(agent.state()["repairs"].values()) > 0)
    agent.stop()
    assert node.run("ip", "-o", "link").count("\n") == 1
    assert "nodecache" not in node.run("nft", "list", "ruleset")


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_flushed_iptables_rules_are_put_back_each_once(node, variant):
    node.run(f"iptables-{variant}", "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")
    agent = StandIn(node, ADDRESSES, rules="iptables").wait_ready()
    time.sleep(0.2)
    before = raw(node, variant)
    assert before.count("NOTRACK") == 2 * 8
    node.run(f"iptables-{variant}", "-t", "raw", "-F")
    seconds = wait_until(lambda: raw(node, variant).count("NOTRACK") == 2 * 8)
    print(f"iptables-{variant} -t raw -F: mended within {1000 * seconds:.0f} ms")
    wait_until(lambda: agent.state()["repairs"]["rules"] == 2 * 8)
    agent.stop()
    assert "NodeLocal" not in raw(node, variant)


def test_a_rule_doubled_by_a_fault_is_left_once_and_removed_wholly(node):
    agent = StandIn(node, [LOCAL], rules="iptables").wait_ready()
    listed = [line for line in raw(node, "nft").splitlines() if "PREROUTING -d" in line]
    for _ in range(3):
        node.run("sh", "-c", f"iptables-nft -t raw {listed[0]}")
    agent.kill_all()
    again = StandIn(node, [LOCAL], rules="iptables").wait_ready()
    assert raw(node, "nft").count("NOTRACK") == 8
    for _ in range(3):
        node.run("sh", "-c", f"iptables-nft -t raw {listed[0]}")
    again.stop()
    assert "NodeLocal" not in raw(node, "nft")


@pytest.mark.parametrize(("before", "after"), [("nftables", "iptables"), ("iptables", "nftables")])
def test_leftovers_of_the_other_backend_are_cleaned_up(node, before, after):
    StandIn(node, ADDRESSES, rules=before).wait_ready().kill_all()
    agent = StandIn(node, ADDRESSES, rules=after).wait_ready()
    has_table = "nodecache" in node.run("nft", "list", "tables")
    has_rules = "NodeLocal" in raw(node, "nft")
    assert (has_table, has_rules) == (after == "nftables", after == "iptables")
    agent.stop()


@pytest.mark.parametrize("rules", ["nftables", "iptables"])
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_originals_leftovers_are_taken_over(node, rules, variant):
    node.run("ip", "link", "add", INTERFACE, "type", "bridge")
    node.run("ip", "address", "add", f"{SERVICE}/32", "dev", INTERFACE)
    binary = f"iptables-{variant}"
    node.run(binary, "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")
    for _ in range(2):
        for table, chain, target, comment in (
            ("raw", "PREROUTING", "NOTRACK", C1), ("filter", "INPUT", "ACCEPT", C2),
        ):  # fmt: skip
            node.run(
                binary, "-I", chain, "-t", table, "-p", "udp", "-d", str(SERVICE), "--dport", "53",
                "-j", target, "-m", "comment", "--comment", comment,
            )  # fmt: skip
    agent = StandIn(node, ADDRESSES, rules=rules).wait_ready()
    listed = raw(node, variant) + node.run(binary, "-t", "filter", "-S")
    assert [
        li for li in listed.splitlines() if "NodeLocal" in li and "LOCAL" not in li.split()
    ] == []
    assert f"{SERVICE}/32 scope global dynamic" in shown(node)
    agent.stop()
    assert "NodeLocal" not in raw(node, variant) + node.run(binary, "-t", "filter", "-S")
    assert INTERFACE not in node.run("ip", "-o", "link")


def test_an_address_no_longer_asked_for_goes_and_a_strangers_stays(node):
    StandIn(node, ADDRESSES).wait_ready().kill_all()
    node.run("ip", "address", "add", "192.0.2.1/24", "dev", INTERFACE)
    agent = StandIn(node, [LOCAL]).wait_ready()
    addresses = shown(node)
    log = agent.stop()
    assert f"inet {LOCAL}/32" in addresses
    assert str(SERVICE) not in addresses
    assert "192.0.2.1/24" in addresses
    assert log.count("192.0.2.1 on nodelocaldns is not ours and is left alone") == 1


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        pytest.param(
            [("ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "other")],
            "of kind veth where bridge was asked for",
            id="another kind",
        ),
        pytest.param(
            [
                ("ip", "link", "add", INTERFACE, "type", "bridge"),
                ("ip", "address", "add", "192.0.2.1/24", "dev", INTERFACE),
            ],
            "with 192.0.2.1/24",
            id="foreign addresses",
        ),
        pytest.param(
            [
                ("ip", "link", "add", INTERFACE, "type", "bridge"),
                ("ip", "link", "set", INTERFACE, "alias", "somebody's"),
            ],
            'as "somebody\'s"',
            id="somebody's alias",
        ),
    ],
)
def test_a_link_of_that_name_that_is_not_ours_is_an_error_and_left_as_it_was(node, setup, words):
    for argv in setup:
        node.run(*argv)
    before = shown(node)
    agent = StandIn(node, ADDRESSES)
    _, log = agent.process.communicate(timeout=PATIENCE_SECONDS)
    assert agent.process.returncode == 1
    assert words in log
    assert len(log.splitlines()) == 1
    assert shown(node) == before
    assert "nodecache" not in node.run("nft", "list", "ruleset")


def test_an_address_of_another_interface_is_told_once_and_not_fought_over(node):
    node.run("ip", "link", "add", "kube-ipvs0", "type", "bridge")
    node.run("ip", "address", "add", f"{SERVICE}/32", "dev", "kube-ipvs0")
    agent = StandIn(node, [LOCAL, SERVICE], sync_seconds=0.2).wait_ready()
    time.sleep(1)
    addresses = shown(node)
    log = agent.stop()
    assert str(SERVICE) not in addresses
    assert log.count("is held by another interface") == 1
    assert f"{SERVICE}/32" in node.run("ip", "address", "show", "kube-ipvs0")


def test_a_lock_that_stays_taken_is_counted_and_the_rules_come_when_it_is_free(node, xtables_lock):
    node.run("iptables-legacy", "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")
    with xtables_lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        agent = StandIn(node, [LOCAL], rules="iptables")
        wait_until(lambda: agent.state()["setup_errors"]["iptables_lock"] > 0)
        with node.entered():
            assert ask(LOCAL) == REFUSED  # it serves meanwhile
    wait_until(lambda: raw(node, "legacy").count("NOTRACK") == 8)
    log = agent.stop()
    assert log.count("xtables.lock") == 1
    assert "NodeLocal" not in raw(node, "legacy")
