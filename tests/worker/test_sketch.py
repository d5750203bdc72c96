"""Who comes most often, in bounded memory, against exact counts."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nodecache.worker.sketch import Sketch

COMINGS = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(1, 64)), max_size=300)


@given(COMINGS, st.integers(1, 12))
def test_a_count_is_never_too_low_and_too_high_by_no_more_than_it_says(comings, capacity):
    sketch, exact = Sketch(capacity), Counter()
    for key, times in comings:
        sketch.add(key, times)
        exact[key] += times
    assert len(sketch) == min(len(exact), capacity)
    for key in sketch.first(capacity):
        assert exact[key] <= sketch.count(key) <= exact[key] + sketch.over(key)
        assert sketch.over(key) <= exact.total() / capacity
    for key, times in exact.items():
        if times > exact.total() / capacity:
            assert sketch.count(key)


@given(COMINGS)
def test_with_room_for_all_counts_are_exact_and_in_their_order(comings):
    sketch, exact = Sketch(10), Counter()
    for key, times in comings:
        sketch.add(key, times)
        exact[key] += times
    found = {key: sketch.count(key) for key in sketch.first(10)}
    assert found == exact
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert not any(map(sketch.over, found))
