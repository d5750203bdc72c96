from ipaddress import ip_address as ip

import pytest

from nodecache.host import FailOpen, HostError, HostOptions
from nodecache.host.commands import NOT_FOUND, Command, Result
from nodecache.host.packet_rules import Backend, PacketRules, choose_backend
from tests.host.kernel import carry_out

LACK_OF_MATCH = Result(1, stderr="Error: Could not process rule: No such file or directory")
DONE = Result(0)
LACK = Result(NOT_FOUND, stderr="nft: No such file or directory")


def chosen(
    rules: str,
    *,
    nft: Result,
    iptables: Result,
    version: str = "10.96.0.10",
    has_match: bool = True,
    json: Result = DONE,
) -> Backend:
    """What is chosen where `nft -c`, `nft -j` and `iptables --version` end like this."""

    def run(command: Command) -> Result:
        if command.argv[:2] == ("nft", "-j"):
            return json
        if command.argv[0] == "nft":
            assert command.argv[1:] == ("-c", "-f", "-")
            assert "notrack" in command.stdin
            return nft if has_match or "socket" not in command.stdin else LACK_OF_MATCH
        assert command.argv[1:] == ("--version",)
        assert command.argv[0] == ("ip6tables" if ":" in version else "iptables")
        return iptables

    return choose_backend(HostOptions(addresses=(ip(version),), rules=rules), run)


@pytest.mark.parametrize(
    ("rules", "nft", "iptables", "expected"),
    [
        pytest.param("auto", Result(0), Result(0), "nftables", id="nftables first"),
        pytest.param("auto", LACK, Result(0), "iptables", id="no nft"),
        pytest.param("nftables", Result(0), LACK, "nftables", id="nftables asked"),
        pytest.param("iptables", Result(0), Result(0), "iptables", id="iptables asked"),
    ],
)
def test_the_backend_is_the_asked_one_or_the_first_that_works(rules, nft, iptables, expected):
    assert chosen(rules, nft=nft, iptables=iptables).name == expected


def test_a_kernel_that_cannot_match_on_sockets_gets_the_rules_without_and_one_line(caplog):
    caplog.set_level("INFO")
    backend = chosen("auto", nft=Result(0), iptables=Result(0))
    assert backend == Backend("nftables", FailOpen.SOCKET)
    assert caplog.text == ""
    backend = chosen("auto", nft=Result(0), iptables=Result(0), has_match=False)
    assert backend == Backend("nftables", FailOpen.LEASE)
    assert len(caplog.records) == 1
    assert "fail open by the lease alone" in caplog.text


def test_an_nft_that_had_to_be_killed_is_asked_once_more():
    """At the boot of a node it may have to wait for kernel modules."""
    results = iter([Result(None, stderr="killed: not done after 10 s"), Result(0), Result(0)])
    options = HostOptions(addresses=(ip("10.96.0.10"),))
    backend = choose_backend(options, lambda _: next(results))
    assert backend == Backend("nftables", FailOpen.SOCKET)


def test_an_nft_that_cannot_list_as_json_is_not_used(caplog):
    """Each look would find the table missing, and each change of ours is a reason to look."""
    no_json = Result(1, stderr="Error: JSON support not compiled-in")
    assert chosen("auto", nft=Result(0), iptables=Result(0), json=no_json).name == "iptables"
    assert "using iptables; nftables: Error: JSON support not compiled-in" in caplog.text


def test_ipv6_is_asked_of_its_own_program():
    assert chosen("iptables", nft=LACK, iptables=Result(0), version="fd00::10").name == "iptables"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("auto", "(nftables: nft: No such file or directory; iptables: not there)"),
        ("nftables", "(nftables: nft: No such file or directory)"),
        ("iptables", "(iptables: not there)"),
    ],
)
def test_where_neither_works_each_reason_is_told_in_one_line(rules, words):
    with pytest.raises(HostError) as caught:
        chosen(rules, nft=LACK, iptables=Result(NOT_FOUND, stderr="not there\n"))
    assert words in str(caught.value)
    assert "-setupiptables=false" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_falling_back_to_iptables_is_said(caplog):
    chosen("auto", nft=LACK, iptables=Result(0))
    assert "using iptables; nftables: nft: No such file or directory" in caplog.text


class NftThatFails:
    """Stands for nft: whatever it is to apply fails so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.applied = 0

    def __call__(self, command: Command) -> Result:
        if command.argv != ("nft", "-f", "-"):
            return Result(1)
        self.applied += 1
        self.left -= 1
        return Result(0) if self.left < 0 else Result(1, stderr="busy")


@pytest.mark.parametrize(("failures", "applied"), [(0, 1), (2, 3), (9, 3)])
def test_taking_rules_away_is_tried_again_and_each_failure_is_told(failures, applied):
    rules = PacketRules(HostOptions(addresses=(ip("10.96.0.10"),)), Backend("nftables", None))
    nft = NftThatFails(failures)
    carry_out(rules.remove(), nft)
    assert nft.applied == applied
    assert [str(problem) for problem in rules.take_problems()] == ["nft: busy"] * (
        applied - (failures < applied)
    )
