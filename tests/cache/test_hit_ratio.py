"""What S3-FIFO hits, beside LRU and the original's eviction at random."""

import random
from collections import OrderedDict
from collections.abc import Callable

import pytest

from nodecache.cache import Budget, Cache
from tests.cache.made import START, answer

LONG = 3600


class Lru:
    """The eviction that people expect, to compare with."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._names: OrderedDict[int, None] = OrderedDict()

    def ask(self, name: int) -> bool:
        is_hit = name in self._names
        self._names[name] = None
        self._names.move_to_end(name)
        if len(self._names) > self._capacity:
            self._names.popitem(last=False)
        return is_hit


class RandomEviction:
    """The original's eviction, without its shards."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._places: dict[int, int] = {}
        self._names: list[int] = []
        self._random = random.Random(7)

    def ask(self, name: int) -> bool:
        if name in self._places:
            return True
        if len(self._names) == self._capacity:
            place = self._random.randrange(self._capacity)
            del self._places[self._names[place]]
            self._names[place] = name
        else:
            place = len(self._names)
            self._names.append(name)
        self._places[name] = place
        return False


class Ours:
    def __init__(self, capacity: int) -> None:
        self._cache = Cache(Budget(0), capacity, capacity)

    def ask(self, name: int) -> bool:
        key = b"%d" % name
        if self._cache.get(key, START) is not None:
            return True
        self._cache.put(key, answer(), LONG, START)
        return False


def zipf(count: int, names: int, exponent: float) -> list[int]:
    chooser = random.Random(1)
    weights = [1 / (rank + 1) ** exponent for rank in range(names)]
    return chooser.choices(range(names), weights, k=count)


def with_scans(trace: list[int]) -> list[int]:
    """`trace` with every fifth question for a name that nobody asks for again."""
    return [1_000_000 + at if at % 5 == 0 else name for at, name in enumerate(trace)]


@pytest.mark.parametrize(
    ("label", "trace"),
    [
        pytest.param("zipf 1.0", zipf(60_000, 20_000, 1.0), id="zipf"),
        pytest.param("zipf 0.8", zipf(60_000, 20_000, 0.8), id="flatter zipf"),
        pytest.param(
            "zipf 1.0, scans", with_scans(zipf(60_000, 20_000, 1.0)), id="zipf with scans"
        ),
    ],
)
def test_more_is_hit_than_with_lru_or_random_eviction(label, trace, capsys):
    def ratio(make: Callable[[int], Ours | Lru | RandomEviction], capacity: int = 1000) -> float:
        cache = make(capacity)
        return sum(cache.ask(name) for name in trace) / len(trace)

    ours, lru, chance = ratio(Ours), ratio(Lru), ratio(RandomEviction)
    with capsys.disabled():
        print(f"\n{label}: S3-FIFO {ours:.1%}, LRU {lru:.1%}, random {chance:.1%}")
    assert ours > lru > chance
