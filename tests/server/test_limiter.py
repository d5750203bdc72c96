from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.limiter import DEFAULT_MAX, InflightLimiter


def test_there_is_room_for_so_many_and_no_more():
    limiter = InflightLimiter(max_queries=2, max_per_client=2)
    assert [limiter.admit(host) for host in ("a", "b", "c")] == [True, True, False]
    assert len(limiter) == 2
    limiter.release("a")
    assert limiter.admit("c")


def test_a_client_has_a_quarter_of_it_unless_told_otherwise():
    limiter = InflightLimiter(max_queries=8)
    assert [limiter.admit("a") for _ in range(3)] == [True, True, False]
    assert limiter.admit("b")
    assert InflightLimiter().max_per_client == DEFAULT_MAX // 4
    assert InflightLimiter(max_queries=2).max_per_client == 1


def test_a_client_that_was_answered_may_wait_again():
    limiter = InflightLimiter(max_queries=8, max_per_client=1)
    assert limiter.admit("a")
    assert not limiter.admit("a")
    limiter.release("a")
    assert limiter.admit("a")


def test_a_smaller_room_sends_nobody_out():
    limiter = InflightLimiter(max_queries=8, max_per_client=8)
    for _ in range(5):
        limiter.admit("a")
    limiter.resize(3, None)
    assert not limiter.admit("b")
    for _ in range(3):
        limiter.release("a")
    assert limiter.admit("b")
    limiter.resize(None, None)
    assert (limiter.max_queries, limiter.max_per_client) == (DEFAULT_MAX, DEFAULT_MAX // 4)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_places_are_never_lost_nor_given_twice(steps):
    limiter = InflightLimiter(max_queries=6, max_per_client=3)
    waiting = dict.fromkeys("abc", 0)
    for host, enters in steps:
        if enters:
            has_room = waiting[host] < 3 and sum(waiting.values()) < 6
            assert limiter.admit(host) == has_room
            waiting[host] += has_room
        elif waiting[host]:
            limiter.release(host)
            waiting[host] -= 1
        assert len(limiter) == sum(waiting.values())
    for host, count in waiting.items():
        for _ in range(count):
            limiter.release(host)
    assert limiter._by_client == {}


def test_the_last_one_who_leaves_is_told_of():
    limiter, told = InflightLimiter(), []
    limiter.admit("10.0.0.1")
    limiter.admit("10.0.0.1")
    limiter.when_empty(lambda: told.append(len(limiter)))
    limiter.release("10.0.0.1")
    assert told == []
    limiter.release("10.0.0.1")
    assert told == [0]


def test_an_empty_room_tells_so_at_once():
    told = []
    InflightLimiter().when_empty(lambda: told.append(True))
    assert told == [True]
