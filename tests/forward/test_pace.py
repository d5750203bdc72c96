import random

import pytest

from nodecache.forward.pace import Budget, Pace


def test_an_unknown_upstream_is_given_a_tenth_of_a_second():
    assert Pace().hedge_seconds == pytest.approx(0.1)


def test_the_estimate_settles_where_95_of_100_answers_are():
    source = random.Random(1)
    pace = Pace()
    for _ in range(20_000):
        pace.observe(source.uniform(0.0, 0.1))
    assert pace.seconds == pytest.approx(0.095, rel=0.15)


def test_half_of_the_answers_are_known_too():
    source = random.Random(1)
    pace = Pace()
    for _ in range(20_000):
        pace.observe(source.uniform(0.0, 0.1))
    assert pace.half_seconds == pytest.approx(0.05, rel=0.2)


def test_a_moments_stall_does_not_teach_patience_with_the_dead():
    pace = Pace()
    for _ in range(2000):
        pace.observe(0.001)
    for _ in range(40):  # all that was in flight while the machine stood still
        pace.observe(0.2)
    assert pace.silence_seconds == pytest.approx(0.1)
    assert pace.seconds <= 0.2


def test_a_slow_upstream_is_not_taken_for_a_silent_one():
    pace = Pace()
    for _ in range(2000):
        pace.observe(0.1)
    assert pace.silence_seconds == pytest.approx(1.0, rel=0.1)


def test_one_slow_answer_hardly_moves_it():
    pace = Pace()
    before = pace.seconds
    pace.observe(5.0)
    assert pace.seconds < 1.11 * before


def test_a_hedge_waits_20_ms_at_least_and_a_second_at_most():
    pace = Pace()
    for _ in range(5000):
        pace.observe(0.0001)
    assert pace.hedge_seconds == pytest.approx(0.02)
    assert pace.lost_seconds == pytest.approx(0.15)
    for _ in range(5000):
        pace.observe(30.0)
    assert pace.hedge_seconds == pytest.approx(1.0)
    assert pace.lost_seconds == pytest.approx(2.0)


def test_five_in_a_hundred_queries_may_be_asked_twice():
    budget = Budget(now=0.0)
    while budget.spend(now=0.0):
        pass
    granted = 0
    for _ in range(10_000):
        budget.asks += 1
        granted += budget.spend(now=0.0)
    assert granted == pytest.approx(500, abs=1)


def test_what_is_saved_up_is_bounded():
    budget = Budget(now=0.0)
    budget.asks = 1_000_000
    granted = 0
    while budget.spend(now=0.0):
        granted += 1
    assert granted == 100


def test_a_quiet_node_may_hedge_too():
    budget = Budget(now=0.0)
    while budget.spend(now=0.0):
        pass
    assert budget.spend(now=1.0)
    assert not budget.spend(now=1.0)
