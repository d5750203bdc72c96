"""A client's next steps are asked ahead: how long it waits, and what upstream is asked for it.

Upstream holds its answers until it is told to give all that it owes: that is one wait.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecache.server.counts import Outcome
from nodecache.server.limiter import InflightLimiter
from nodecache.wire import Query, Rcode
from tests.server.search_node import SHOP, STEPS, Node, trained


def test_a_search_costs_two_waits_where_it_cost_one_a_step():
    node = trained()
    before = len(node.asked)
    assert node.look_up("three.com") == 2
    assert len(node.asked) - before == 2 * STEPS


def test_upstream_is_asked_the_same_questions_as_without():
    node, off = trained(), trained(without=("cluster.local.", "."))
    for number in range(50):
        assert node.look_up(f"name{number}.com") == 2
        assert off.look_up(f"name{number}.com") == STEPS
    assert sorted(node.asked) == sorted(off.asked)
    node.tick(10)
    assert node.totals == (50 * 2 * (STEPS - 1), 50 * 2 * (STEPS - 1), 0)


def test_clients_are_told_and_counted_what_they_asked_and_nothing_else():
    node = trained()
    node.look_up("three.com")
    for name, steps in (("cluster.local.", 3), (".", 2)):
        counts = node.counts[name]
        counts.flush()
        assert sum(counts.requests.values()) == 3 * steps * 2
        outcomes = counts.outcomes
        assert (
            outcomes[Outcome.MISS] + outcomes[Outcome.HIT_DENIAL] + outcomes[Outcome.HIT_SUCCESS]
            == 3 * steps * 2
        )
    assert len(node.limiter) == 0


def test_steps_whose_answers_have_expired_are_asked_ahead_as_well():
    """Denials of the cluster's domain live for seconds and are stale then: that is nearly every search."""
    node = trained()
    node.look_up("three.com")
    node.tick(120)
    assert node.look_up("three.com") == 2
    node.tick(10)
    assert node.totals[2] == 0


def test_of_a_client_that_asks_for_one_type_the_other_is_not_asked():
    node = trained()
    assert node.look_up("three.com", types=("A",)) == 2
    assert "three.com. AAAA" not in node.asked


def test_a_client_that_asks_one_type_after_the_other_waits_twice_as_well():
    node = Node()
    for name in ("one.com", "two.com"):
        assert node.look_up_one_by_one(name) > 2
    node.look_up_one_by_one("three.com")
    before = len(node.asked)
    assert node.look_up_one_by_one("four.com") == 2
    assert len(node.asked) - before == 2 * STEPS
    node.tick(10)
    assert node.totals[2] == 0


def test_a_name_that_is_found_earlier_is_asked_for_no_further():
    node = Node(exists=lambda qname: qname.startswith("api.billing.svc."))
    for _ in range(3):
        node.look_up("api.billing")
        node.tick(60)
    assert not any(name.startswith("api.billing. ") for name in node.asked)


def test_a_client_that_does_not_search_gets_nothing_ahead():
    node = trained()
    for number in range(50):
        node.ask(f"n{number}.com.shop.svc.cluster.local.", host="other")
        node.answer_all()
    assert node.totals[0] == 0


@pytest.mark.parametrize("suffix", ["com.shop.svc.cluster.local.", "shop.svc.cluster.local.", ""])
def test_who_asks_for_random_names_gets_nothing_ahead(suffix):
    node = trained()
    for number in range(200):
        node.ask(f"x{number * 7919}.y{number}.{suffix}", host="mallory")
        node.answer_all()
        node.tick(0.01)
    assert node.totals[0] == 0


def test_who_searches_twice_and_then_asks_for_random_names_gets_one_search_ahead():
    node = trained()
    for number in range(200):
        node.ask(f"x{number}.com.shop.svc.cluster.local.", "A", "pod")
        node.answer_all()
        node.tick(4)
    assert node.totals[2] <= STEPS - 1


def test_a_step_that_was_not_taken_is_paid_for_and_learned():
    node = trained()
    node.ask("three.com.shop.svc.cluster.local.")
    node.answer_all()
    assert node.ahead.budget.asked == STEPS - 1
    left = node.ahead.budget.left
    node.answer_all()
    node.tick(2)
    assert node.totals[2] == 0, "it may come still"
    node.tick(2)
    assert node.totals == (STEPS - 1, 0, STEPS - 1)
    assert node.ahead.budget.left <= left + 1
    assert node.look_up("four.com") == STEPS


# When it is not done


def test_nothing_is_asked_ahead_while_half_of_the_places_are_taken():
    node = trained(limiter=InflightLimiter(max_queries=8, max_per_client=8))
    waiting = [node.ask(f"slow{number}.org.", host="busy") for number in range(5)]
    node.ask("three.com.shop.svc.cluster.local.")
    node._answer_oldest(node.sources["cluster.local."])
    assert not any(pod.has_reply for pod in waiting)
    assert node.ahead.budget.asked == 0


def test_nothing_is_asked_ahead_of_upstreams_that_are_down():
    node = trained()
    node.sources["."].down = True
    node.ask("three.com.shop.svc.cluster.local.")
    node.answer_all()
    assert {each.query.key for each in node.sources["."].open} == set()
    assert node.ahead.budget.asked == 2  # the cluster's own


def test_a_block_that_has_it_off_neither_teaches_nor_is_asked():
    node = trained(without=(".",))
    before = len(node.sources["."].asked)
    node.ask("three.com.shop.svc.cluster.local.")
    node.answer_all()
    assert len(node.sources["."].asked) == before


def test_nobody_is_asked_for_a_client_that_the_block_does_not_admit():
    node = trained()
    refused: list[Query] = []

    def admits(query: Query, client: object) -> bool:
        refused.append(query)
        return False

    node.zones["."].admits = admits
    before = len(node.sources["."].asked)
    node.ask("three.com.shop.svc.cluster.local.")
    node.answer_all()
    assert len(node.sources["."].asked) == before
    assert refused


def test_what_is_remembered_to_fail_is_not_asked_ahead():
    node = trained()
    node.ask("three.com.")
    node.sources["."].fails()
    before = len(node.sources["."].asked)
    node.ask("three.com.shop.svc.cluster.local.")
    node.answer_all()
    assert len(node.sources["."].asked) - before == 1  # the cloud's suffix


def test_what_is_under_way_as_the_zone_ends_is_given_up():
    node = trained()
    node.ask("three.com.shop.svc.cluster.local.")
    node._answer_oldest(node.sources["cluster.local."])
    own = node.ask("three.com.")
    node.zones["."].close()
    assert own.rcode == "SERVFAIL"
    assert all(each.is_cancelled for each in node.sources["."].open)


# What comes of it


def test_a_failure_that_nobody_waits_for_is_forgotten():
    node = trained()
    node.ask("three.com.shop.svc.cluster.local.")
    node._answer_oldest(node.sources["cluster.local."])
    while node.sources["."].open:
        node.sources["."].fails()
    own = node.ask("three.com.")
    assert not own.has_reply
    node.answer_all()
    assert own.rcode == "NOERROR"


def test_a_failure_that_its_client_waits_for_is_its_answer():
    node = trained()
    node.ask("three.com.shop.svc.cluster.local.")
    node._answer_oldest(node.sources["cluster.local."])
    own = node.ask("three.com.")
    while node.sources["."].open:
        node.sources["."].fails(Rcode.SERVFAIL)
    assert own.rcode == "SERVFAIL"


def test_it_is_asked_as_the_client_asks():
    node = trained()
    node.ask("three.com.shop.svc.cluster.local.", use_edns=0, payload=1232, want_dnssec=True)
    node.answer_all()
    for source in node.sources.values():
        for asked in source.open:
            assert asked.query.has_do
            assert asked.query.payload_size == 1232
            assert asked.transport == "udp"
            assert not asked.is_awaited


def test_a_query_without_rd_has_nothing_asked_ahead():
    node = trained()
    node.ask("three.com.shop.svc.cluster.local.", flags="")
    node.answer_all()
    assert node.ahead.budget.asked == 0


# The budget


def test_a_budget_that_is_spent_on_what_was_of_use_is_there_again_at_once():
    """Many pods start at once: what they asked for is not waited for until the next second."""
    node = trained()
    for number in range(40):
        for suffix in SHOP:
            pods = [node.ask(f"n{number}.com.{suffix}".rstrip(".") + ".", t) for t in ("A", "AAAA")]
            if not all(pod.has_reply for pod in pods):
                node.answer_all(0.03)
    assert node.ahead.budget.asked > 300  # of 320


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["pod", "mallory", "eve"]),
        st.integers(0, 400),
        st.sampled_from(["com", "org", "billing"]),
        st.integers(1, STEPS),  # steps taken before it gives up
        st.sampled_from([("A",), ("A", "AAAA")]),
    ),
    min_size=20,
    max_size=60,
)


@settings(max_examples=25)
@given(LOOKS)
def test_questions_in_vain_stay_within_the_budget_whatever_clients_do(looks):
    node = Node()
    for host, number, ending, steps, types in looks:
        node.look_up(f"n{number}.{ending}", SHOP[:steps], types, host)
    node.tick(10)
    asked, used, unused = node.totals
    assert asked == used + unused
    assert unused <= 64 + 0.05 * len(node.asked)
    assert node.ahead.budget.left >= 0


def test_a_client_that_learns_us_to_ask_in_vain_spends_the_budget_and_no_more():
    """Two honest searches, then one that is broken off, for ever: 5 % of what upstream is asked, and 64."""
    node = Node()
    for number in range(150):
        name = f"n{number}.com"
        node.look_up(name, SHOP[: 1 if number % 3 == 2 else STEPS], ("A",), "mallory")
        node.tick(4)
    _, _, unused = node.totals
    assert 0 < unused <= 64 + 0.05 * len(node.asked)
