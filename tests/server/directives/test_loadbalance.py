from collections import Counter
from ipaddress import ip_network
from itertools import permutations
from random import Random

import pytest

from nodecache.server.directive import refusal
from nodecache.server.directives.loadbalance import LoadBalance, permutation, shuffled
from nodecache.server.directives.weights import Preferred, Weighted, parse_weights
from tests.server.chains import answer, below, lines, query, run, told

ASKED = query("www.example.")
A = [f"www.example. 30 IN A 192.0.2.{n}" for n in (1, 2, 3)]
PODS = answer(ASKED, *A)


def backwards(size: int) -> int:
    """The largest number there is: every shuffle comes out the same."""
    return size - 1


def balanced(upstream, asked=ASKED, **how):
    how = {"pick": backwards, **how}
    return told(run(LoadBalance(**how), asked, then=below(upstream)))


def addresses(reply) -> list[str]:
    return [str(record[0]) for record in reply.answer]


def test_every_order_is_as_likely_as_any_other():
    pick = Random(1).randrange
    orders = Counter(tuple(permutation(3, pick)) for _ in range(6000))
    assert set(orders) == set(permutations(range(3)))
    assert all(900 < count < 1100 for count in orders.values())


def test_addresses_change_places_and_nothing_else_changes():
    reply = balanced(PODS)
    assert addresses(reply) == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
    assert sorted(lines(reply.answer)) == sorted(lines(told(PODS).answer))


def test_equal_addresses_are_shuffled_without_reading_the_message():
    wire = shuffled(PODS, backwards)
    assert wire is not None
    assert len(wire) == len(PODS.wire)


def test_aliases_stay_in_front():
    upstream = answer(
        ASKED,
        "www.example. 30 IN CNAME web.example.",
        "web.example. 30 IN A 192.0.2.1",
        "web.example. 30 IN A 192.0.2.2",
    )
    assert shuffled(upstream, backwards) is not None
    assert addresses(balanced(upstream)) == ["web.example.", "192.0.2.2", "192.0.2.1"]


def test_records_of_all_kinds_come_in_the_original_order_of_kinds():
    upstream = answer(
        ASKED,
        "www.example. 30 IN MX 10 a.example.",
        "www.example. 30 IN A 192.0.2.1",
        "www.example. 30 IN TXT text",
        "www.example. 30 IN AAAA 2001:db8::1",
        "www.example. 30 IN MX 20 b.example.",
        "www.example. 30 IN CNAME www.example.",
        authority=["example. 30 IN NS ns.example."],
        additional=["ns.example. 30 IN A 192.0.2.9", "ns.example. 30 IN AAAA 2001:db8::9"],
    )
    reply = balanced(upstream)
    assert [record.rdtype.name for record in reply.answer] == [
        "CNAME", "TXT", "AAAA", "A", "MX", "MX",
    ]  # fmt: skip
    assert addresses(reply)[-2:] == ["20 b.example.", "10 a.example."]
    assert [record.rdtype.name for record in reply.additional] == ["AAAA", "A"]
    assert lines(reply.authority) == lines(told(upstream).authority)


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param(answer(ASKED, *A, rcode="NXDOMAIN"), id="not NOERROR"),
        pytest.param(answer(ASKED, A[0]), id="one address"),
        pytest.param(answer(ASKED), id="nothing"),
        pytest.param(refusal(2, "no"), id="failure"),
    ],
)
def test_what_has_no_order_stays_as_it_is(upstream):
    assert run(LoadBalance(backwards), ASKED, then=below(upstream)) is upstream


def test_transfers_are_left_alone():
    asked = query("example.", "AXFR")
    upstream = answer(asked, "example. 30 IN A 192.0.2.1", "example. 30 IN A 192.0.2.2")
    assert run(LoadBalance(backwards), asked, then=below(upstream)) is upstream


# Weighted


WEIGHTS = """
# pods by the size of their node
www.example
192.0.2.1 3
192.0.2.2 1

db.example.
2001:db8::1 255
"""


def test_the_first_address_is_chosen_by_weight():
    weigh = Weighted(Random(1).randrange, parse_weights(WEIGHTS, "weights"))
    upstream = answer(ASKED, A[1], A[0])
    firsts = Counter(addresses(balanced(upstream, weigh=weigh))[0] for _ in range(800))
    assert firsts["192.0.2.1"] / firsts["192.0.2.2"] == pytest.approx(3, rel=0.2)


def test_other_addresses_keep_their_places_but_for_one_swap():
    weigh = Weighted(backwards)
    assert addresses(balanced(PODS, weigh=weigh)) == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]


def test_types_without_addresses_are_not_weighed():
    asked = query("www.example.", "TXT")
    upstream = answer(asked, "www.example. 30 IN TXT a", "www.example. 30 IN TXT b")
    assert lines(balanced(upstream, asked, weigh=Weighted(backwards)).answer) == lines(
        told(upstream).answer
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("192.0.2.1 3", "name it belongs to", id="no name"),
        pytest.param("a.\n192.0.2.1 0", "1 to 255", id="zero"),
        pytest.param("a.\n192.0.2.1 256", "1 to 255", id="too large"),
        pytest.param("a.\n192.0.2.1 x", "1 to 255", id="no number"),
        pytest.param("a.\n192.0.2.1", "weight is missing", id="no weight"),
        pytest.param("a.\nb 1", "not an IP address", id="no address"),
        pytest.param("a.\n192.0.2.1 1 1", "a line is", id="too much"),
    ],
)
def test_a_bad_weight_file_says_where(text, error):
    with pytest.raises(ValueError, match=error) as raised:
        parse_weights(text, "weights")
    assert str(raised.value).startswith(f"weights:{len(text.splitlines())}: ")


# Prefer


def test_preferred_networks_come_first_in_their_order():
    prefer = Preferred([ip_network("192.0.2.3/32"), ip_network("192.0.2.0/30")])
    upstream = answer(ASKED, "www.example. 30 IN A 203.0.113.1", *A, "www.example. 1 IN TXT x")
    reply = balanced(upstream, pick=lambda size: 0, prefer=prefer)
    assert addresses(reply) == [
        "192.0.2.3", "192.0.2.1", "192.0.2.2", "203.0.113.1", '"x"',
    ]  # fmt: skip


def test_preference_works_for_ipv6():
    asked = query("www.example.", "AAAA")
    upstream = answer(
        asked, "www.example. 30 IN AAAA 2001:db8::1", "www.example. 30 IN AAAA fd00::1"
    )
    reply = balanced(upstream, asked, prefer=Preferred([ip_network("2001:db8::/32")]))
    assert addresses(reply) == ["2001:db8::1", "fd00::1"]
