import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.cache.expiry import Expiry
from tests.cache.made import START, entry


@pytest.mark.parametrize("life", [1, 5, 30, 500])
def test_a_short_life_ends_on_its_second(life):
    expiry, kept = Expiry(), entry()
    expiry.schedule(kept, life)
    assert expiry.pop_due(START + life - 0.001, 10) == []
    assert expiry.pop_due(START + life, 10) == [kept]
    assert expiry.pop_due(START + life, 10) == []


@given(st.floats(0, 1e6), st.floats(1, 1e6))
def test_no_life_is_cut_short_or_drawn_out_by_more_than_a_second_or_its_256th_part(born_at, life):
    expiry, kept = Expiry(), entry(stored_at=born_at)
    expiry.schedule(kept, life)
    (due,) = expiry._buckets
    assert born_at + life <= due <= born_at + life + max(1, life / 256)


def test_what_is_forgotten_is_not_due():
    expiry, kept = Expiry(), entry()
    expiry.schedule(kept, 5)
    expiry.cancel(kept)
    assert expiry.pop_due(START + 100, 10) == []


def test_what_is_noted_anew_is_due_at_the_new_time():
    expiry, kept = Expiry(), entry()
    expiry.schedule(kept, 5)
    expiry.cancel(kept)
    kept.stored_at = START + 4
    expiry.schedule(kept, 5)
    assert expiry.pop_due(START + 8, 10) == []
    assert expiry.pop_due(START + 9, 10) == [kept]


def test_no_more_are_taken_than_asked_for_the_oldest_first():
    expiry = Expiry()
    entries = [entry() for _ in range(5)]
    for life, each in enumerate(entries, 1):
        expiry.schedule(each, life)
    assert expiry.pop_due(START + 100, 2) == entries[:2]
    assert expiry.pop_due(START + 100, 9) == entries[2:]


def test_the_number_of_buckets_is_bounded_whatever_the_lives():
    expiry = Expiry()
    for life in range(1, 700_000, 7):
        expiry.schedule(entry(), life)
    assert len(expiry._buckets) < 6000


def test_buckets_in_which_all_was_forgotten_keep_no_room():
    expiry = Expiry()
    entries = [entry() for _ in range(1000)]
    for each in entries:
        expiry.schedule(each, 5)
    for each in entries:
        expiry.cancel(each)
    ((among,),) = expiry._buckets.values()
    assert among.__sizeof__() == set().__sizeof__()


def test_no_set_is_so_large_that_its_growth_is_felt():
    expiry = Expiry()
    entries = [entry() for _ in range(10_000)]
    for each in entries:
        expiry.schedule(each, 5)
    for each in entries[::2]:
        expiry.cancel(each)
    (bucket,) = expiry._buckets.values()
    assert max(map(len, bucket)) <= 4096
    assert set(expiry.pop_due(START + 5, 10_000)) == set(entries[1::2])
    assert not expiry.is_due(START + 5)
