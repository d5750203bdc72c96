"""Which kube-dns pods are sent to, until when, and in what share."""

from ipaddress import ip_address as ip

import pytest

from nodecache.host import Endpoint
from nodecache.host.commands import Command, Result
from nodecache.host.pod_chain import PodChain
from nodecache.host.pods import SLOTS, PodList, usable
from tests.host.kernel import carry_out

OWN = (ip("169.254.20.10"), ip("10.96.0.10"))
POD, OTHER = Endpoint(ip("10.244.1.2"), 53), Endpoint(ip("10.244.3.4"), 5353)
POD6 = Endpoint(ip("fd00:244::2"), 53)
NOON = 1_800_014_400.0  # 2027-01-15T12:00:00 UTC


@pytest.mark.parametrize("text", ["169.254.20.10", "10.96.0.10"])
def test_an_address_of_ours_is_no_pods(text):
    assert usable([Endpoint(ip(text), 53), POD], OWN) == (POD,)


def test_each_pod_counts_once():
    assert usable([POD, OTHER, POD], ()) == (POD, OTHER)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64])
def test_every_slot_has_a_pod_and_no_pod_has_two_more_than_another(count):
    pods = tuple(Endpoint(ip(f"10.1.1.{number}"), 53) for number in range(1, count + 1))
    elements = PodList(pods, until=900.0).as_elements(0.0)["dns_pods4"]
    assert [int(text.split()[0]) for text in elements] == list(range(SLOTS))
    shares = [sum(f" {pod.address} " in text for text in elements) for pod in pods]
    assert max(shares) - min(shares) <= 1


def test_a_list_whose_time_is_over_has_no_elements():
    assert PodList((POD,), until=900.0).as_elements(899.5) == {}


def test_in_iptables_each_pod_has_an_equal_share_until_a_date_and_then_the_service_all():
    chain = PodChain("nft", {4: Endpoint(ip("10.96.0.10"), 53)}, lambda: NOON)
    (written,) = carry_out(
        chain.set_pods(PodList((POD, OTHER), until=1000.0), 100.0), lambda command: Result(0)
    )
    assert written.argv[0] == "iptables-nft-restore"
    of_udp = [line for line in written.stdin.splitlines() if "-p udp" in line]
    assert ["--probability 0.500000" in line for line in of_udp] == [True, False, False]
    assert ["--datestop 2027-01-15T12:15:00" in line for line in of_udp] == [True, True, False]
    assert [line.split()[-1] for line in of_udp] == [
        "10.244.1.2:53",
        "10.244.3.4:5353",
        "10.96.0.10:53",
    ]


def test_a_chain_that_is_there_already_keeps_the_pods_of_a_former_life_until_there_are_new_ones():
    chain = PodChain("nft", {4: None, 6: None}, lambda: NOON)

    def answer(command: Command) -> Result:
        return (
            Result(1, stderr="iptables: Chain already exists.")
            if "-N" in command.argv
            else Result(0)
        )

    assert [c.argv[-2] for c in carry_out(chain.ensure(PodList(), 0.0), answer)] == ["-N", "-N"]
    commands = carry_out(chain.ensure(PodList((POD6,), until=900.0), 0.0), answer)
    assert [c.argv[0] for c in commands if c.stdin] == ["ip6tables-nft-restore"]
    assert "--to-destination [fd00:244::2]:53" in commands[-1].stdin


def test_at_a_clean_stop_the_service_has_a_date_too():
    chain = PodChain("nft", {4: Endpoint(ip("10.96.0.10"), 53)}, lambda: NOON)
    (written,) = carry_out(
        chain.leave_until_expiry(PodList((POD,), until=400.0), 100.0), lambda _: Result(0)
    )
    dates = [line for line in written.stdin.splitlines() if "--datestop" in line]
    assert ["12:05:00" in line for line in dates] == [True, True, False, False]
    assert ["12:15:00" in line for line in dates] == [False, False, True, True]
    assert len([line for line in written.stdin.splitlines() if "-A " in line]) == 4


@pytest.mark.parametrize("found", ["", "-A NODECACHE-DNS -p udp -j DNAT --to-destination 10.1.1.1"])
def test_what_a_former_life_has_found_is_left_as_it_is(found):
    left = []

    def leaving():
        left.append((yield from PodChain("nft", {4: None}).leave_until_expiry(PodList(), 0.0)))

    (listed,) = carry_out(leaving(), lambda _: Result(0, stdout=found))
    assert listed.argv[-2:] == ("-S", "NODECACHE-DNS")
    assert left == [bool(found)]
