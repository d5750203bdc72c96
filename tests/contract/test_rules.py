"""The packet rules are the original's, rule by rule and in its order, plus two matches."""

from ipaddress import ip_address

import pytest

from nodecache.host import FailOpen, HostOptions, all_rules, rules_for
from nodecache.host.iptables import argv
from tests.host.original import as_the_original

C1 = "NodeLocal DNS Cache: skip conntrack"
C2 = "NodeLocal DNS Cache: allow DNS traffic"
# original.md, 2.4: table, chain, protocol, match, target, comment; P = 53, H = 8080
ORIGINAL = """
raw    PREROUTING tcp -d IP --dport 53    NOTRACK C1
raw    PREROUTING udp -d IP --dport 53    NOTRACK C1
filter INPUT      tcp -d IP --dport 53    ACCEPT  C2
filter INPUT      udp -d IP --dport 53    ACCEPT  C2
raw    OUTPUT     tcp -s IP --sport 53    NOTRACK C1
raw    OUTPUT     udp -s IP --sport 53    NOTRACK C1
filter OUTPUT     tcp -s IP --sport 53    ACCEPT  C2
filter OUTPUT     udp -s IP --sport 53    ACCEPT  C2
raw    OUTPUT     tcp -d IP --dport 53    NOTRACK C1
raw    OUTPUT     udp -d IP --dport 53    NOTRACK C1
raw    OUTPUT     tcp -d IP --dport 8080  NOTRACK C1
raw    OUTPUT     tcp -s IP --sport 8080  NOTRACK C1
"""


def original(address: str) -> list[list[str]]:
    """The original's table, a row as the words of an `iptables -I` without the program's name."""
    rows = []
    for line in ORIGINAL.strip().splitlines():
        table, chain, protocol, side, _, option, port, target, comment = line.split()
        match = ["-p", protocol, side, address, option, port, "-j", target]
        text = {"C1": C1, "C2": C2}[comment]
        rows.append(
            ["-w", "5", "-I", chain, "-t", table, *match, "-m", "comment", "--comment", text]
        )
    return rows


@pytest.mark.parametrize("address", ["169.254.20.10", "fd00::10"])
def test_without_our_match_the_rules_are_the_originals_in_its_order(address):
    rules = as_the_original(rules_for(ip_address(address), 53, 8080))
    assert [list(argv("", "-I", rule)[1:]) for rule in rules] == original(address)


OUR_SOCKET = ("-m", "socket", "--transparent", "--nowildcard")


@pytest.mark.parametrize("fail_open", FailOpen)
def test_our_matches_are_that_the_address_is_local_and_at_prerouting_that_we_are_bound(fail_open):
    options = HostOptions(addresses=(ip_address("10.96.0.10"),))
    ours = [rule for rule in all_rules(options, fail_open) if rule.target != "DNAT"]
    originals = as_the_original(ours)
    assert originals == as_the_original(rules_for(ip_address("10.96.0.10"), 53, 8080))
    for rule, original_rule in zip(ours, originals, strict=True):
        words = argv("", "-I", rule)
        kind = "--dst-type" if "-d" in words else "--src-type"
        added = ("-m", "addrtype", kind, "LOCAL")
        if fail_open is FailOpen.SOCKET and "PREROUTING" in words:
            added += OUR_SOCKET
        at = words.index("-j")
        assert words[at - len(added) : at] == added
        assert (*words[: at - len(added)], *words[at:]) == argv("", "-I", original_rule)


@pytest.mark.parametrize(
    ("address", "program"), [("10.0.0.1", "iptables-nft"), ("fd00::1", "ip6tables-nft")]
)
def test_each_family_has_its_own_program(address, program):
    assert argv("nft", "-C", rules_for(ip_address(address), 53, 8080)[0])[0] == program


def test_all_rules_of_the_first_address_come_before_the_seconds():
    first, second = ip_address("169.254.20.10"), ip_address("fd00::10")
    rules = all_rules(HostOptions(addresses=(first, second)), FailOpen.LEASE)
    assert [rule.address for rule in rules] == [first] * 12 + [second] * 12


def test_ports_come_from_the_flags():
    rules = all_rules(
        HostOptions(addresses=(ip_address("10.0.0.1"),), dns_port=5353, health_port=9254),
        FailOpen.LEASE,
    )
    assert {(rule.service, rule.port) for rule in rules} == {("dns", 5353), ("health", 9254)}
