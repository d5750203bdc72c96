from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nodecache.cache import Budget, Cache
from nodecache.cache.segment import GHOST_OCTETS, Segment
from nodecache.wire import Kind
from tests.cache.made import START, answer

LONG = 3600


def caches(*capacities: int, limit: int = 0) -> tuple[Budget, list[Cache]]:
    budget = Budget(limit)
    return budget, [Cache(budget, capacity, capacity) for capacity in capacities]


def fill(cache: Cache, names: range, now: float = START, ttl: int = LONG) -> None:
    for name in names:
        cache.put(b"%d" % name, answer(), ttl, now)


def names_in(cache: Cache) -> set[int]:
    return {int(entry.key) for entry in cache.success.entries() + cache.denial.entries()}


# Room


def test_a_segment_holds_its_capacity_and_no_more():
    _, (cache,) = caches(100)
    fill(cache, range(100))
    assert (len(cache), cache.success.evictions) == (100, 0)
    fill(cache, range(100, 130))
    assert (len(cache), cache.success.evictions) == (100, 30)


def test_answers_of_the_other_sort_take_no_room():
    _, (cache,) = caches(10)
    fill(cache, range(10))
    cache.put(b"10", answer(Kind.NXDOMAIN), LONG, START)
    assert (len(cache.success), len(cache.denial), cache.success.evictions) == (10, 1, 0)


def test_an_answer_in_place_of_another_evicts_nothing():
    _, (cache,) = caches(10)
    fill(cache, range(10))
    fill(cache, range(10))
    assert (len(cache), cache.success.evictions) == (10, 0)


def test_a_smaller_capacity_is_kept_from_the_next_answer_on():
    _, (cache,) = caches(100)
    fill(cache, range(100))
    cache.success.capacity = 10
    fill(cache, range(100, 101))
    assert len(cache) == 10


@pytest.mark.parametrize(("capacity", "share"), [(1000, 1.0), (10_000, 0.1)])
def test_a_much_smaller_limit_is_reached_a_bounded_number_at_a_time(capacity, share):
    budget, (cache,) = caches(10_000)
    fill(cache, range(10_000))
    cache.success.capacity, budget.limit = capacity, int(budget.used * share)
    sizes = [10_000]
    while sizes[-1] > 1000:
        fill(cache, range(-len(sizes), 1 - len(sizes)))
        sizes.append(len(cache))
    assert all(0 < before - after <= 500 for before, after in pairwise(sizes))


@pytest.mark.parametrize("asked", [0, 1, 2, 3])
def test_a_full_segment_always_finds_something_to_evict(asked):
    for capacity in (1, 2, 5, 700):
        _, (cache,) = caches(capacity)
        fill(cache, range(capacity))
        for entry in cache.success.entries():
            entry.frequency = asked
        fill(cache, range(capacity, capacity + 3))
        assert len(cache) == capacity


def test_one_eviction_passes_over_a_bounded_number_of_entries():
    _, (cache,) = caches(10_000)
    fill(cache, range(10_000))
    entries = cache.success.entries()
    for entry in entries:
        entry.frequency = 3
    fill(cache, range(10_000, 10_001))
    assert sum(entry.frequency < 3 for entry in entries) <= 501


# What is past all use


def test_what_is_past_all_use_goes_before_what_is_not():
    _, (cache,) = caches(100)
    fill(cache, range(50), ttl=LONG)
    fill(cache, range(50, 100), ttl=5)
    for name in range(50, 100):
        cache.get(b"%d" % name, START + 1)  # however often it was asked for
        cache.get(b"%d" % name, START + 2)
    fill(cache, range(100, 150), now=START + 5)
    assert names_in(cache) == {*range(50), *range(100, 150)}
    assert cache.success.evictions == 0


def test_what_is_past_all_use_goes_first_at_the_budget_too():
    budget, (first, second) = caches(1000, 1000)
    fill(first, range(100), ttl=5)
    fill(second, range(100), ttl=LONG)
    budget.limit = budget.used
    fill(second, range(100, 150), now=START + 6)
    assert len(second) == 150
    assert len(first) <= 50
    assert second.success.evictions == first.success.evictions == 0


def test_what_may_still_be_served_stale_is_not_past_use():
    budget = Budget()
    cache = Cache(budget, 100, 100, stale_seconds=50)
    fill(cache, range(10), ttl=5)
    assert budget.sweep(START + 54) == 0
    assert budget.sweep(START + 55) == 10


def test_a_sweep_is_bounded():
    budget, (cache,) = caches(10_000)
    fill(cache, range(2000), ttl=5)
    assert budget.sweep(START + 4.9) == 0
    swept = [budget.sweep(START + 5) for _ in range(5)]
    assert swept == [500, 500, 500, 500, 0]
    assert (len(cache), budget.used, cache.success.evictions) == (0, 0, 0)


def test_a_sweep_goes_through_all_segments():
    budget, both = caches(100, 100)
    for cache in both:
        fill(cache, range(10), ttl=5)
        cache.put(b"no", answer(Kind.NODATA), 5, START)
    assert budget.sweep(START + 5) == 22
    assert budget.used == 0


def test_what_was_renewed_is_not_swept_at_its_old_time():
    budget, (cache,) = caches(100)
    fill(cache, range(10), ttl=5)
    fill(cache, range(10), ttl=5, now=START + 3)
    assert budget.sweep(START + 7.9) == 0
    assert budget.sweep(START + 8) == 10


# The budget


def test_the_budget_holds_over_all_zones():
    budget, both = caches(100_000, 100_000, limit=200_000)
    for cache in both:
        fill(cache, range(1000))
        assert budget.used <= 200_000
    assert abs(len(both[0]) - len(both[1])) < 20


def test_an_answer_heavier_than_the_budget_is_not_kept():
    budget, (cache,) = caches(100, limit=3000)
    fill(cache, range(3))
    cache.put(b"9", answer(octets=5000), LONG, START)
    assert budget.used <= 3000
    assert 9 not in names_in(cache)


def test_a_renewed_answer_that_grew_makes_room():
    budget, (cache,) = caches(100, limit=8000)
    fill(cache, range(10))
    cache.put(b"9", answer(octets=4000), LONG, START)
    assert budget.used <= 8000


def test_a_zone_that_closes_gives_everything_back():
    budget, (cache, other) = caches(100, 100)
    fill(cache, range(300))
    fill(other, range(7))
    weight = other.success.octets
    cache.close()
    while cache.release(70):
        pass
    assert (budget.used, len(cache), len(budget.segments)) == (weight, 0, 2)
    assert all(entry.owner is other.success for entry in other.success.entries())


def test_a_zone_that_closes_gives_back_no_more_at_once_than_asked_for():
    budget, (cache,) = caches(100)
    fill(cache, range(300))
    cache.close()
    weighed = budget.used
    assert cache.release(30)
    assert (len(cache), weighed - budget.used) == (
        70,
        30 * next(iter(cache.success.entries())).octets,
    )


# S3-FIFO


def test_a_scan_of_names_asked_once_pushes_out_nobody_who_is_asked_for():
    _, (cache,) = caches(1000)
    fill(cache, range(500))
    for _ in range(3):
        for name in range(500):
            assert cache.get(b"%d" % name, START)
    fill(cache, range(10_000, 60_000))
    assert set(range(500)) <= names_in(cache)


def test_what_was_evicted_and_comes_back_soon_is_kept_for_longer():
    _, (cache,) = caches(100)
    fill(cache, range(60))
    for name in range(60):
        cache.get(b"%d" % name, START)
        cache.get(b"%d" % name, START)
    fill(cache, range(1000, 1100))
    gone = next(name for name in range(1000, 1100) if name not in names_in(cache))
    fill(cache, range(gone, gone + 1))
    fill(cache, range(2000, 2080))
    assert gone in names_in(cache)


# Bookkeeping


class Bookkeeping(RuleBasedStateMachine):
    """Whatever is done to two zones under one budget, the sums hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.budget = Budget()
        self.zones = [Cache(self.budget, 6, 4, stale_seconds=20), Cache(self.budget, 9, 3)]

    zones_ = st.integers(0, 1)
    names_ = st.integers(0, 25)

    @rule(
        zone=zones_,
        name=names_,
        kind=st.sampled_from([Kind.POSITIVE, Kind.REFERRAL, Kind.NODATA, Kind.NXDOMAIN]),
        ttl=st.integers(1, 300),
        octets=st.integers(12, 2000),
    )
    def put(self, zone, name, kind, ttl, octets):
        made = answer(kind, octets=octets, ede=((3, b"text"),) * (octets % 3))
        self.zones[zone].put(b"%d" % name, made, ttl, self.now)

    @rule(zone=zones_, name=names_)
    def get(self, zone, name):
        cache = self.zones[zone]
        entry = cache.get(b"%d" % name, self.now)
        assert entry is None or entry.remaining_ttl(self.now) > -cache.stale_seconds

    @rule(zone=zones_, name=names_)
    def drop(self, zone, name):
        self.zones[zone].drop(b"%d" % name)
        assert self.zones[zone].get(b"%d" % name, self.now) is None

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds):
        self.now += seconds

    @rule(max_count=st.integers(1, 5))
    def sweep(self, max_count):
        assert self.budget.sweep(self.now, max_count) <= max_count

    @rule(limit=st.sampled_from([0, 2000, 8000, 20_000]))
    def limit(self, limit):
        self.budget.limit = limit

    @precondition(lambda self: len(self.zones[1]) > 5)
    @rule()
    def close(self):
        self.zones[1].close()
        while self.zones[1].release(2):
            pass
        self.zones[1] = Cache(self.budget, 9, 3)

    @invariant()
    def sums_hold(self):
        for segment in self.budget.segments:
            entries = segment.entries()
            assert len(entries) == len(segment) <= segment.capacity
            assert all(entry.owner is segment for entry in entries)
            ghosts = GHOST_OCTETS * len(segment._ghosts)
            assert segment.octets == sum(entry.octets for entry in entries) + ghosts
            assert sorted(noted(segment), key=id) == sorted(entries, key=id)
        assert self.budget.used == sum(segment.octets for segment in self.budget.segments)
        for cache in self.zones:
            kept = cache.success.entries() + cache.denial.entries()
            found = {key: entry for shard in cache._shards for key, entry in shard.items()}
            assert {entry.key: entry for entry in kept} == found
            assert all(entry.is_denial for entry in cache.denial.entries())
            assert not any(entry.is_denial for entry in cache.success.entries())


def noted(segment: Segment) -> list[object]:
    buckets = segment._expiry._buckets.values()
    return [entry for bucket in buckets for among in bucket for entry in among]


TestBookkeeping = Bookkeeping.TestCase
TestBookkeeping.settings = settings(max_examples=60, stateful_step_count=40)
