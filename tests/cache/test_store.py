import pytest

from nodecache.cache import Budget, Cache
from nodecache.wire import Flag, Kind
from tests.cache.made import START, answer, key_of

KEY = key_of()


def cache(stale_seconds: float = 0) -> Cache:
    return Cache(Budget(), 100, 100, stale_seconds)


def test_an_answer_is_there_until_its_ttl_runs_out():
    kept = cache()
    kept.put(KEY, answer(), 30, START)
    assert kept.get(KEY, START + 29.9).remaining_ttl(START + 29.9) == 1
    assert kept.get(KEY, START + 30) is None


def test_an_expired_answer_is_there_for_as_long_as_it_may_be_served_stale():
    kept = cache(stale_seconds=3600)
    kept.put(KEY, answer(), 30, START)
    assert kept.get(KEY, START + 3629.9).remaining_ttl(START + 3629.9) < 0
    assert kept.get(KEY, START + 3630) is None


def test_what_was_never_put_is_not_there():
    assert cache().get(KEY, START) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(key_of("b.example."), id="name"),
        pytest.param(key_of(rdtype="AAAA"), id="type"),
        pytest.param(key_of(rdtype="CH A"), id="class"),
        pytest.param(key_of(want_dnssec=True), id="DO"),
        pytest.param(key_of(flags="RD CD"), id="CD"),
    ],
)
def test_another_question_gets_another_answer(other):
    kept = cache()
    kept.put(KEY, answer(), 30, START)
    assert kept.get(other, START) is None
    kept.put(other, answer(octets=50), 30, START)
    assert len(kept.get(KEY, START).wire) == 100
    assert len(kept.get(other, START).wire) == 50


def test_letter_case_makes_no_other_question():
    kept = cache()
    kept.put(key_of("A.eXample."), answer(), 30, START)
    assert kept.get(key_of("a.EXAMPLE."), START)


def test_hits_are_authoritative_and_keep_ra_and_ad():
    kept = cache().put(KEY, answer(flags=Flag.QR | Flag.RA | Flag.AD), 30, START)
    assert kept.flags == Flag.QR | Flag.RA | Flag.AD | Flag.AA
    kept = cache().put(KEY, answer(Kind.NXDOMAIN, flags=Flag.QR), 30, START)
    assert kept.flags == Flag.QR | Flag.AA | 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Kind.POSITIVE, Kind.NXDOMAIN),
        (Kind.NXDOMAIN, Kind.POSITIVE),
        (Kind.NODATA, Kind.POSITIVE),
        (Kind.NXDOMAIN, Kind.NODATA),
        (Kind.POSITIVE, Kind.POSITIVE),
    ],
)
def test_the_newer_answer_takes_the_older_ones_place(first, second):
    kept = cache()
    before = kept.put(KEY, answer(first), 30, START)
    after = kept.put(KEY, answer(second), 9, START + 1)
    assert kept.get(KEY, START + 1) is after is before
    assert (after.kind, after.ttl, len(kept)) == (second, 9, 1)
    assert after in (kept.denial if after.is_denial else kept.success).entries()


def test_positive_and_negative_answers_are_counted_apart():
    kept = cache()
    for number, kind in enumerate([Kind.POSITIVE, Kind.REFERRAL, Kind.NODATA, Kind.NXDOMAIN]):
        kept.put(b"%d" % number, answer(kind), 30, START)
    assert (len(kept.success), len(kept.denial), len(kept)) == (2, 2, 4)


def test_what_is_dropped_is_gone():
    kept = cache()
    entry = kept.put(KEY, answer(), 30, START)
    kept.drop(KEY)
    kept.drop(KEY)
    assert kept.get(KEY, START) is None
    assert entry.owner is None


def test_upstreams_errors_are_kept_with_the_answer():
    assert cache().put(KEY, answer(ede=((4, b"forged"),)), 30, START).ede == ((4, b"forged"),)


def test_asking_grades_an_entry_up_to_three():
    kept = cache()
    entry = kept.put(KEY, answer(), 30, START)
    assert entry.frequency == 0
    for _ in range(5):
        kept.get(KEY, START)
    assert entry.frequency == 3
