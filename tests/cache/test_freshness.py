import pytest

from nodecache.cache import (
    Prefetch,
    is_due_for_prefetch,
    note_failed_refresh,
    note_hits,
    recheck_seconds,
    reply_changes_at,
    stale_errors,
)
from nodecache.wire import Kind
from tests.cache.made import START, entry

PREFETCH = Prefetch(amount=3, seconds=60, percentage=10)


def asked(hits: int, ttl: int = 30):
    kept = entry(ttl=ttl)
    for _ in range(hits):
        note_hits(kept, 1, PREFETCH, START)
    return kept


@pytest.mark.parametrize(
    ("hits", "age", "is_due"),
    [
        pytest.param(3, 27, True, id="asked for, a tenth left"),
        pytest.param(3, 26.9, False, id="more than a tenth left"),
        pytest.param(2, 27, False, id="asked for too seldom"),
        pytest.param(3, 29.9, True, id="the last second"),
    ],
)
def test_what_is_asked_for_is_fetched_again_near_its_end(hits, age, is_due):
    assert is_due_for_prefetch(asked(hits), PREFETCH, START + age) == is_due


@pytest.mark.parametrize(("ttl", "due"), [(1, 0.9), (5, 4.5), (30, 27)])
def test_a_tenth_is_a_tenth_however_short_the_ttl(ttl, due):
    assert is_due_for_prefetch(asked(3, ttl), PREFETCH, START + due)
    assert not is_due_for_prefetch(asked(3, ttl), PREFETCH, START + due - 0.01)


@pytest.mark.parametrize(
    ("ttl", "age", "until"), [(1, 0.2, 0.9), (1, 0.95, 1), (5, 3.2, 4), (5, 4.1, 4.5)]
)
def test_a_reply_is_good_until_its_ttl_changes_or_a_prefetch_is_due(ttl, age, until):
    kept = entry(ttl=ttl)
    assert reply_changes_at(kept, PREFETCH, START + age) == START + until
    assert reply_changes_at(kept, None, START + age) == kept.changes_at(START + age)


def test_what_is_under_way_is_not_fetched_twice():
    kept = asked(3)
    kept.is_refreshing = True
    assert not is_due_for_prefetch(kept, PREFETCH, START + 29)


def test_hits_count_anew_after_a_pause():
    kept = entry(ttl=600)
    note_hits(kept, 2, PREFETCH, START)
    note_hits(kept, 1, PREFETCH, START + 60)
    assert kept.hits == 3
    note_hits(kept, 1, PREFETCH, START + 120.1)
    assert kept.hits == 1


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 1), (2, 2), (3, 4), (4, 5), (5, 5), (100_000, 5), (0, 1)],
)
def test_a_question_that_fails_is_left_alone_for_longer_each_time(failures, seconds):
    """RFC 9520 §3.2: for 1 second at least, with back-off; 5 s as CoreDNS keeps a SERVFAIL."""
    assert recheck_seconds(failures) == seconds


def test_a_failed_refresh_waits_before_the_next_try():
    kept = asked(3)
    kept.is_refreshing = True
    note_failed_refresh(kept, START + 27)
    assert not kept.is_refreshing
    assert not is_due_for_prefetch(kept, PREFETCH, START + 27.9)
    assert is_due_for_prefetch(kept, PREFETCH, START + 28)
    note_failed_refresh(kept, START + 28)
    assert kept.refresh_at == START + 30


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.POSITIVE, 3), (Kind.NODATA, 3), (Kind.NXDOMAIN, 19)]
)
def test_a_stale_answer_says_what_it_is(kind, code):
    kept = entry()
    kept.kind = kind
    assert stale_errors(kept) == ((code, b""),)


@pytest.mark.parametrize("seconds", [0, 0.5, 1])
def test_a_refresh_that_failed_is_left_alone_for_a_second_whatever_the_corefile_says(seconds):
    kept = entry()
    note_failed_refresh(kept, START + 31, seconds)
    assert kept.refresh_at == START + 32
