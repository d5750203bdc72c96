"""For how long answers are kept, after CoreDNS 1.14.7 and RFC 2308."""

import pytest

from nodecache.cache import Bounds, reply_ttl, seconds_to_keep
from nodecache.wire import Kind, Rcode, read_answer
from tests.cache.made import answer
from tests.wire.messages import response

DEFAULT = Bounds()
SHORT = Bounds(success_ttl=30, denial_ttl=30)
STOCK = Bounds(success_ttl=30, denial_ttl=5)
NO_MINIMUM = Bounds(success_min_ttl=0, denial_min_ttl=0)
HIGH_MINIMUM = Bounds(success_min_ttl=60, denial_min_ttl=40)
UPSIDE_DOWN = Bounds(success_min_ttl=90, success_ttl=20, denial_min_ttl=80, denial_ttl=10)


@pytest.mark.parametrize(
    ("bounds", "lowest", "expected"),
    [
        pytest.param(DEFAULT, 300, 300, id="within the bounds"),
        pytest.param(DEFAULT, 3601, 3600, id="at most an hour"),
        pytest.param(DEFAULT, 0, 5, id="at least 5 seconds"),
        pytest.param(DEFAULT, None, 5, id="no records"),
        pytest.param(SHORT, 300, 30, id="cache 30"),
        pytest.param(NO_MINIMUM, 0, 0, id="not at all"),
        pytest.param(NO_MINIMUM, 3, 3, id="no minimum"),
        pytest.param(NO_MINIMUM, None, 5, id="no records, no minimum"),
        pytest.param(HIGH_MINIMUM, 9, 60, id="raised"),
        pytest.param(Bounds(success_ttl=86_400), 86_400, 86_400, id="cache 86400"),
        pytest.param(UPSIDE_DOWN, 50, 20, id="a minimum above the maximum"),
    ],
)
def test_a_positive_answer_lives_as_long_as_its_shortest_record(bounds, lowest, expected):
    assert reply_ttl(answer(lowest_ttl=lowest), bounds) == expected


@pytest.mark.parametrize("kind", [Kind.NODATA, Kind.NXDOMAIN])
@pytest.mark.parametrize(
    ("bounds", "lowest", "soa", "expected"),
    [
        pytest.param(DEFAULT, 300, 300, 300, id="within the bounds"),
        pytest.param(DEFAULT, 300, 17, 17, id="the SOA's minimum"),
        pytest.param(DEFAULT, 9, 300, 9, id="the records' TTL"),
        pytest.param(DEFAULT, 7200, 7200, 1800, id="at most half an hour"),
        pytest.param(DEFAULT, 300, 0, 5, id="at least 5 seconds"),
        pytest.param(STOCK, 300, 300, 5, id="denial 9984 5"),
        pytest.param(NO_MINIMUM, 300, 0, 0, id="not at all"),
        pytest.param(HIGH_MINIMUM, 9, 9, 40, id="raised"),
        pytest.param(UPSIDE_DOWN, 50, 50, 10, id="a minimum above the maximum"),
    ],
)
def test_a_negative_answer_lives_as_its_soa_says(kind, bounds, lowest, soa, expected):
    assert reply_ttl(answer(kind, lowest_ttl=lowest, soa_ttl=soa), bounds) == expected


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(response(authority=("example. 300 IN NS b.",)), 5, id="referral"),
        pytest.param(response(rcode="REFUSED", additional=("a. 300 IN A 192.0.2.1",)), 5, id="refused"),
        pytest.param(response(rcode="FORMERR"), 5, id="formerr"),
        pytest.param(response("a.example. A", "a.example. 300 IN CNAME b."), 30, id="open chain"),
        pytest.param(response(rcode="NXDOMAIN", authority=("example. 300 IN NS b.",)), 10, id="no SOA"),
        pytest.param(
            response("a.example. A", "a.example. 300 IN CNAME b.", rcode="NXDOMAIN"), 5, id="alias of none"
        ),
    ],
)  # fmt: skip
def test_what_is_not_kept_has_a_ttl_too(packet, expected):
    bounds = Bounds(success_ttl=30, denial_ttl=10)
    assert reply_ttl(read_answer(packet), bounds) == expected


@pytest.mark.parametrize(
    ("kind", "is_kept"),
    [
        (Kind.POSITIVE, True),
        (Kind.REFERRAL, True),
        (Kind.NODATA, True),
        (Kind.NXDOMAIN, True),
        (Kind.SERVFAIL, False),
        (Kind.OTHER, False),
    ],
)
def test_what_may_be_kept(kind, is_kept):
    assert seconds_to_keep(answer(kind), 30, lambda: 0.0) == (30 if is_kept else 0)


SIGNED = (
    "a.example. 60 IN A 192.0.2.1",
    "a.example. 60 IN RRSIG A 8 2 60 3000 1000 1 example. AA==",
)


@pytest.mark.parametrize(
    ("wall_clock", "seconds"),
    [(999, 0), (1000, 60), (2940, 60), (2980.9, 20), (3000, 0), (3001, 0)],
)
def test_answers_are_kept_while_their_signatures_hold(wall_clock, seconds):
    signed = read_answer(response("a.example. A", *SIGNED))
    assert seconds_to_keep(signed, 60, lambda: wall_clock) == seconds


def test_the_first_of_the_signatures_to_end_counts():
    soon = "a.example. 60 IN RRSIG A 8 2 60 2010 1000 1 example. AA=="
    signed = read_answer(response("a.example. A", *SIGNED, soon))
    assert seconds_to_keep(signed, 60, lambda: 2000) == 10


def test_signatures_end_across_the_end_of_32_bits():
    late = f"a.example. 60 IN RRSIG A 8 2 60 5 {2**32 - 100} 1 example. AA=="
    signed = read_answer(response("a.example. A", SIGNED[0], late))
    assert seconds_to_keep(signed, 60, lambda: 2**32 - 15) == 20


def test_truncated_answers_are_not_kept():
    cut = read_answer(response("a.example. A", *SIGNED, flags="QR TC"))
    assert seconds_to_keep(cut, 60, lambda: 2000) == 0


def test_an_rcode_beyond_the_header_is_not_kept():
    assert seconds_to_keep(answer(Kind.OTHER, rcode=Rcode.BADVERS), 60, lambda: 0) == 0
