import gc
import tracemalloc

import pytest

from nodecache.cache import Budget, Cache
from nodecache.wire import Kind
from tests.cache.made import START, answer, entry


@pytest.mark.parametrize(
    ("age", "remaining", "changes_after"),
    [(0.0, 30, 1), (0.99, 30, 1), (1.0, 29, 2), (29.9, 1, 30), (30.0, 0, 31), (40.5, -10, 41)],
)
def test_whole_seconds_are_counted_down(age, remaining, changes_after):
    kept = entry(ttl=30)
    assert kept.remaining_ttl(START + age) == remaining
    assert kept.changes_at(START + age) == START + changes_after


def test_a_newer_answer_starts_the_count_anew_and_keeps_what_is_known_of_the_asking():
    kept = entry(ttl=30)
    kept.hits, kept.frequency, kept.counted_at = 7, 3, START + 20
    kept.failures, kept.refresh_at, kept.is_refreshing = 2, START + 25, True
    kept.renew(answer(Kind.NXDOMAIN, octets=300), 0x8583, 10, START + 21)
    assert kept.remaining_ttl(START + 21) == 10
    assert kept.is_denial
    assert (kept.hits, kept.frequency, kept.counted_at) == (7, 3, START + 20)
    assert (kept.failures, kept.refresh_at, kept.is_refreshing) == (0, 0.0, False)
    assert kept.octets - entry().octets == 200


@pytest.mark.parametrize(
    ("offsets", "octets", "ttls"),
    [
        pytest.param(1, 60, 1, id="one address"),
        pytest.param(0, 100, 300, id="no records, many TTLs"),
        pytest.param(10, 300, 500, id="ten addresses, many TTLs"),
        pytest.param(50, 1000, 10, id="a large answer"),
    ],
)
def test_an_entry_weighs_what_it_takes(offsets, octets, ttls):
    count = 3000
    budget = Budget()
    cache = Cache(budget, count, count, 3600)
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        made = answer(octets=octets + number % 2)  # octets of its own each time
        made.ttl_offsets = tuple(300 + 16 * place + number % 2 for place in range(offsets))
        cache.put(b"\x0chost-%07d\7example\0\0\1\0\1\0" % number, made, 30 + number % ttls, START)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.75 < taken / budget.used < 1.1
