from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from nodecache.cache import Budget, Cache
from nodecache.cache.shards import Ghosts
from tests.cache.made import START, answer


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()), max_size=80))
def test_ghosts_are_forgotten_in_the_order_they_came(steps):
    ghosts, model = Ghosts(), deque()
    for mark in steps:
        if mark is None:
            if model:
                ghosts.forget_oldest()
                model.popleft()
        elif mark not in model:
            assert mark not in ghosts
            ghosts.add(mark)
            model.append(mark)
        assert len(ghosts) == len(model)
        assert all(mark in ghosts for mark in model)
    for _ in model:
        ghosts.forget_oldest()
    assert len(ghosts) == 0
    assert not any(mark in ghosts for mark in model)


def test_entries_spread_over_all_shards():
    cache = Cache(Budget(), 10_000, 10_000)
    for number in range(10_000):
        cache.put(b"host-%d" % number, answer(), 30, START)
    sizes = [len(shard) for shard in cache._shards]
    assert sum(sizes) == len(cache) == 10_000
    assert max(sizes) < 3 * min(sizes)
