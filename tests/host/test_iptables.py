import shlex
from collections import defaultdict
from dataclasses import replace
from ipaddress import ip_address as ip

import pytest

from nodecache.host import FailOpen, HostOptions, all_rules
from nodecache.host.commands import Command, Result
from nodecache.host.iptables import (
    Iptables,
    find_variant,
    has_socket_match,
    identity,
    read_listing,
)
from nodecache.host.nftables import RulesError
from tests.host.original import as_the_original

ADDRESSES = (ip("169.254.20.10"), ip("fd00::10"))
RULES = all_rules(HostOptions(addresses=ADDRESSES), FailOpen.SOCKET)
OF_RAW = [rule for rule in RULES if rule.table != "nat"]

LOCKED = Result(4, stderr="Another app is currently holding the xtables lock.")
KILLED = Result(None, stderr="killed: not done after 8 s")
no_answer = pytest.mark.parametrize("refusal", [LOCKED, KILLED], ids=["locked", "killed"])


class Kernel:
    """Stands for iptables and the kernel: chains of rules, printed as `-S` prints them."""

    def __init__(self) -> None:
        self.chains: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        self.commands: list[tuple[str, ...]] = []
        self.refusal: Result | None = None
        self.has_socket_match = True

    def run(self, job) -> object:
        result = None
        while True:
            try:
                result = self.answer(job.send(result))
            except StopIteration as end:
                return end.value

    def answer(self, command: Command) -> Result:
        self.commands.append(command.argv)
        if self.refusal is not None:
            return self.refusal
        program, _, _, *rest = command.argv
        if rest[:2] == ["-t", "raw"]:
            return self.tried(rest[2:])
        if rest[0] == "-v":
            return self.listed(program, rest[2], rest[4])
        if rest[0] == "-n":
            has_chain = (program, rest[5], rest[2]) in self.chains
            return Result(0 if has_chain else 1)
        operation, chain, _, table, *words = rest
        rules = self.chains[program, table, chain]
        text = printed(words)
        if operation == "-A":
            rules.append(text)
        elif operation == "-I":
            rules.insert(0, text)
        elif text not in rules:
            return Result(1)
        elif operation == "-D":
            rules.remove(text)
        return Result(0)

    def tried(self, words: list[str]) -> Result:
        is_refused = not self.has_socket_match and "socket" in words
        return (
            Result(2, stderr="Extension socket revision 0 not supported")
            if is_refused
            else Result(0)
        )

    def listed(self, program: str, chain: str, table: str) -> Result:
        rules = self.chains[program, table, chain]
        return Result(0, "".join(f"-A {chain} {rule} -c 3 400\n" for rule in rules))

    def inserted(self) -> list[tuple[str, ...]]:
        return [words for words in self.commands if "-I" in words]

    def count(self) -> int:
        return sum(map(len, self.chains.values()))


def printed(words: list[str]) -> str:
    """A rule's words in one order, addresses with their prefix, as a listing has them."""
    words = list(words)
    for side in ("-d", "-s"):
        if side in words and "/" not in words[words.index(side) + 1]:
            words[words.index(side) + 1] += "/128" if ":" in words[words.index(side) + 1] else "/32"
    return shlex.join(words)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_replies_are_kept_out_of_conntrack_before_queries_are():
    """A reply that is tracked alone makes an entry for its client's port, as if it were a query."""
    kernel = Kernel()
    kernel.run(Iptables("nft", RULES).ensure())
    made = [" ".join(argv) for argv in kernel.commands if "-I" in argv and "NOTRACK" in argv]
    is_for_queries = [" -d " in words for words in made]
    assert len(made) == 16
    assert is_for_queries == sorted(is_for_queries)


def test_every_rule_is_checked_then_inserted_and_is_there_once(kernel):
    kernel.run(Iptables("nft", RULES).ensure())
    assert kernel.count() == len(RULES)
    operations = [words[3] for words in kernel.commands if words[3] in ("-C", "-I", "-A")]
    fallbacks = len(RULES) - len(OF_RAW)
    assert operations == ["-C", "-I"] * 12 + ["-C", "-I"] * 12 + ["-C", "-A"] * fallbacks


def test_a_second_look_changes_nothing(kernel):
    rules = Iptables("nft", RULES)
    kernel.run(rules.ensure())
    kernel.commands.clear()
    kernel.run(rules.ensure())
    assert kernel.inserted() == []
    assert rules.repairs == 0


def test_a_rule_that_was_removed_is_put_back_and_counted(kernel):
    rules = Iptables("nft", RULES)
    kernel.run(rules.ensure())
    kernel.chains["iptables-nft", "raw", "PREROUTING"].pop()
    kernel.run(rules.ensure())
    assert kernel.count() == len(RULES)
    assert rules.repairs == 1


def test_a_rule_there_three_times_is_left_once(kernel):
    rules = Iptables("nft", RULES)
    kernel.run(rules.ensure())
    chain = kernel.chains["iptables-nft", "raw", "OUTPUT"]
    chain += [chain[0], chain[0]]
    kernel.run(rules.ensure())
    assert kernel.count() == len(RULES)


def test_removal_takes_every_copy_and_the_originals_too_and_no_other_rule(kernel):
    rules = Iptables("nft", RULES)
    kernel.run(rules.ensure())
    kernel.run(rules.ensure())
    originals = Iptables("nft", as_the_original(RULES))
    kernel.run(originals.ensure())
    strangers = kernel.chains["iptables-nft", "raw", "OUTPUT"]
    strangers += [strangers[0], "-d 10.0.0.9/32 -p udp -j ACCEPT"]
    kernel.run(rules.remove(ADDRESSES))
    assert kernel.count() == 1


def test_removal_can_keep_what_is_wanted(kernel):
    rules = Iptables("nft", RULES)
    kernel.run(Iptables("nft", as_the_original(RULES)).ensure())
    kernel.run(rules.ensure())
    kernel.run(rules.remove(ADDRESSES, keep=RULES))
    assert kernel.count() == len(RULES)


def test_packets_are_summed_over_addresses_by_what_the_rule_is_for(kernel):
    rules = Iptables("nft", RULES)
    kernel.run(rules.ensure())
    kernel.run(rules.ensure())
    assert rules.packets["prerouting_udp_to_dns"] == 6
    assert rules.packets["output_tcp_from_health"] == 6
    assert not any(name.startswith("input") for name in rules.packets)


def test_a_taken_lock_ends_the_attempt_and_has_its_own_errortype(kernel):
    kernel.refusal = LOCKED
    with pytest.raises(RulesError) as caught:
        kernel.run(Iptables("nft", RULES).ensure())
    assert caught.value.errortype == "iptables_lock"
    assert len(kernel.commands) == 1


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize(
    ("table", "chain"), [("mangle", "KUBE-KUBELET-CANARY"), ("nat", "KUBE-SERVICES")]
)
def test_the_variant_is_where_the_clusters_chains_are(kernel, variant, table, chain):
    assert (f"iptables-{variant}", table, chain) not in kernel.chains
    _ = kernel.chains[f"iptables-{variant}", table, chain]
    assert kernel.run(find_variant(lambda version: frozenset({"mangle", "nat"}))) == variant


def test_legacy_tables_that_are_not_in_use_are_never_named(kernel):
    assert kernel.run(find_variant(lambda version: frozenset())) == ""
    kernel.run(Iptables("legacy", RULES, lambda version: frozenset()).remove(ADDRESSES))
    assert not any("legacy" in words[0] for words in kernel.commands)


@no_answer
def test_not_knowing_the_variant_is_no_reason_to_choose_one(kernel, refusal):
    kernel.refusal = refusal
    with pytest.raises(RulesError, match=refusal.reason):
        kernel.run(find_variant())


LISTING = """\
-P PREROUTING ACCEPT -c 0 0
-A PREROUTING -j OTHER
-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -m addrtype --dst-type LOCAL \
-m comment --comment "NodeLocal DNS Cache: skip conntrack" -c 12 740 -j NOTRACK
-A OUTPUT -s fd00::10/128 -p tcp -m tcp --sport 8080 \
-m comment --comment "NodeLocal DNS Cache: skip conntrack" -c 1 2 -j CT --notrack
"""


def test_a_real_listing_is_read_and_only_our_rules_of_it():
    ours, originals = read_listing("raw", LISTING)
    assert ours.identity == identity(replace(RULES[1], is_bound_only=False))
    assert (ours.packets, ours.comment) == (12, "NodeLocal DNS Cache: skip conntrack")
    assert originals.identity == (
        "raw OUTPUT", "fd00::10", "tcp", False, "8080", frozenset(), "NOTRACK"
    )  # fmt: skip
    assert originals.words[-3:] == ("-j", "CT", "--notrack")
    assert "-c" not in originals.words


def test_a_kernel_without_the_match_on_sockets_is_found_out_and_said_once(kernel, caplog):
    caplog.set_level("INFO")
    assert kernel.run(has_socket_match("nft", (4, 6)))
    assert caplog.text == ""
    kernel.has_socket_match = False
    assert not kernel.run(has_socket_match("nft", (4, 6)))
    assert caplog.text.count("fail open by the lease alone") == 1
    assert kernel.commands[-1][-2:] == ("-X", "NODECACHE-TRIAL")


@no_answer
def test_not_knowing_whether_there_is_the_match_is_no_reason_to_do_without_it(kernel, refusal):
    kernel.refusal = refusal
    with pytest.raises(RulesError, match=refusal.reason):
        kernel.run(has_socket_match("nft", (4,)))


def test_a_lock_that_was_waited_for_is_an_answer(kernel):
    """iptables tells that it waits, and then does what it was to do."""
    kernel.refusal = Result(0, stderr=LOCKED.stderr)
    assert kernel.run(has_socket_match("nft", (4,)))


def test_rules_without_the_match_give_way_to_those_with_it(kernel):
    kernel.run(
        Iptables("nft", all_rules(HostOptions(addresses=ADDRESSES), FailOpen.LEASE)).ensure()
    )
    kernel.run(Iptables("nft", RULES).ensure())
    kernel.run(Iptables("nft", RULES).remove(ADDRESSES, keep=RULES))
    assert kernel.count() == len(RULES)
    assert all("socket" in rule for rule in kernel.chains["iptables-nft", "raw", "PREROUTING"])
