import random

import pytest

from nodecache.forward.policy import Policy, Random, RoundRobin, policy_named


def test_sequential_starts_at_the_top_for_every_query():
    policy = Policy()
    assert [policy.first(3) for _ in range(3)] == [0, 0, 0]
    assert policy.order(0, 3) == [0, 1, 2]
    assert not policy.is_exchangeable


def test_round_robin_goes_around():
    policy = RoundRobin()
    assert [policy.first(3) for _ in range(4)] == [0, 1, 2, 0]
    assert policy.order(1, 3) == [1, 2, 0]
    assert policy.is_exchangeable


def test_round_robin_survives_a_shorter_list():
    policy = RoundRobin()
    for _ in range(3):
        policy.first(3)
    assert policy.first(1) == 0


def test_random_asks_all_alike():
    policy = Random(random.Random(1).random)
    drawn = [policy.first(3) for _ in range(3000)]
    assert all(900 < drawn.count(place) < 1100 for place in range(3))


def test_random_tries_everybody_else_after_the_first():
    policy = Random(random.Random(1).random)
    orders = {tuple(policy.order(1, 3)) for _ in range(50)}
    assert orders == {(1, 0, 2), (1, 2, 0)}


@pytest.mark.parametrize(
    ("name", "kind"), [("sequential", Policy), ("round_robin", RoundRobin), ("random", Random)]
)
def test_the_corefile_names_policies(name, kind):
    assert type(policy_named(name)) is kind
