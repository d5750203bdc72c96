from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.limiter import DEFAULT_MAX, InflightLimiter


def test_there_is_room_for_so_many_and_no_more():
    room = InflightLimiter(most=2, max_per_client=2)
    assert [room.admit(host) for host in ("a", "b", "c")] == [True, True, False]
    assert len(room) == 2
    room.release("a")
    assert room.admit("c")


def test_a_client_has_a_quarter_of_it_unless_told_otherwise():
    room = InflightLimiter(most=8)
    assert [room.admit("a") for _ in range(3)] == [True, True, False]
    assert room.admit("b")
    assert InflightLimiter().max_per_client == DEFAULT_MAX // 4
    assert InflightLimiter(most=2).max_per_client == 1


def test_a_client_that_was_answered_may_wait_again():
    room = InflightLimiter(most=8, max_per_client=1)
    assert room.admit("a")
    assert not room.admit("a")
    room.release("a")
    assert room.admit("a")


def test_a_smaller_room_sends_nobody_out():
    room = InflightLimiter(most=8, max_per_client=8)
    for _ in range(5):
        room.admit("a")
    room.resize(3, None)
    assert not room.admit("b")
    for _ in range(3):
        room.release("a")
    assert room.admit("b")
    room.resize(None, None)
    assert (room.most, room.max_per_client) == (DEFAULT_MAX, DEFAULT_MAX // 4)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_places_are_never_lost_nor_given_twice(steps):
    room = InflightLimiter(most=6, max_per_client=3)
    waiting = dict.fromkeys("abc", 0)
    for host, enters in steps:
        if enters:
            has_room = waiting[host] < 3 and sum(waiting.values()) < 6
            assert room.admit(host) == has_room
            waiting[host] += has_room
        elif waiting[host]:
            room.release(host)
            waiting[host] -= 1
        assert len(room) == sum(waiting.values())
    for host, count in waiting.items():
        for _ in range(count):
            room.release(host)
    assert room._by_client == {}


def test_the_last_one_who_leaves_is_told_of():
    room, told = InflightLimiter(), []
    room.admit("10.0.0.1")
    room.admit("10.0.0.1")
    room.when_empty(lambda: told.append(len(room)))
    room.release("10.0.0.1")
    assert told == []
    room.release("10.0.0.1")
    assert told == [0]


def test_an_empty_room_tells_so_at_once():
    told = []
    InflightLimiter().when_empty(lambda: told.append(True))
    assert told == [True]
