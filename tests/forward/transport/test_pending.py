from itertools import chain, islice, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.request import CallbackRequest, Request
from nodecache.forward.transport.pending import Pending, random_ids
from nodecache.wire import read_query

QUESTION = b"\x07example\x00\x00\x01\x00\x01"
HTTPS_QUESTION = b"\x07example\x00\x00\x41\x00\x01"


def sent(question: bytes = QUESTION, sent_at: float = 0.0) -> Request:
    query = read_query(b"\0\0\1\0\0\1\0\0\0\0\0\0" + question)
    request = CallbackRequest(query, 5.0, lambda _: None, "udp")
    request.question, request.sent_at, request.is_open = question, sent_at, True
    return request


def pending(*ids: int) -> Pending:
    return Pending(chain(ids, repeat(99)).__next__)


def answer(message_id: int, question: bytes = QUESTION) -> bytes:
    return message_id.to_bytes(2, "big") + b"\x81\x80\0\1\0\0\0\0\0\0" + question


def test_an_answer_finds_its_query_once():
    table = pending(7)
    asked = sent()
    assert table.add(asked) == 7
    assert table.match(answer(7)) is asked
    assert table.match(answer(7)) is None
    assert len(table) == 0


@pytest.mark.parametrize("rcode", [1, 2, 4, 5, 15])
@pytest.mark.parametrize("opt", [b"", b"\0\0\x29\x04\xd0" + bytes(6)], ids=["", "OPT"])
def test_an_error_without_a_question_answers_the_query_of_its_id(rcode, opt):
    table = pending(7, 8)
    asked, other = sent(), sent()
    table.add(asked)
    table.add(other)
    counts = bytes(7) + bytes([bool(opt)])
    assert table.match(b"\0\7\x81" + bytes([0x80 | rcode]) + counts + opt) is asked
    assert table.all() == [other]


def test_two_queries_never_share_an_id():
    table = pending(7, 7, 8)
    assert [table.add(sent()), table.add(sent())] == [7, 8]


def test_an_id_of_a_slow_query_is_not_taken_again():
    table = pending(7, 7, 8)
    table.add(sent())
    table.slowed(sent_before=1.0)
    assert table.add(sent()) == 8


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(answer(8), id="another id"),
        pytest.param(b"\0\7\1\0\0\1" + bytes(6) + QUESTION, id="our query, sent back"),
        pytest.param(answer(7, b"\x06exampl\x00\x00\x01\x00\x01"), id="another name"),
        pytest.param(answer(7, b"\x07example\x00\x00\x1c\x00\x01"), id="another type"),
        pytest.param(answer(7, b"\x07example\x00\x00\x01\x00\x03"), id="another class"),
        pytest.param(answer(7)[:-1], id="cut off"),
        pytest.param(answer(7)[:11], id="shorter than a header"),
        pytest.param(b"", id="nothing"),
        pytest.param(answer(7, b""), id="no question"),
        pytest.param(b"\0\7\x81\x80" + bytes(8), id="no question, no error"),
        pytest.param(b"\0\7\x01\x01" + bytes(8), id="no question, no response"),
        pytest.param(b"\0\7\x81\x81" + bytes(7), id="an error cut off"),
        pytest.param(b"\0\7\x81\x81\0\0\0\1" + bytes(4), id="an error with a record"),
        pytest.param(b"\0\x08\x81\x81" + bytes(8), id="an error for another id"),
    ],
)
def test_a_forged_answer_leaves_the_query_waiting(packet):
    table = pending(7)
    asked = sent()
    table.add(asked)
    assert table.match(packet) is None
    assert table.match(answer(7)) is asked


def test_a_name_in_other_letter_case_is_the_same():
    table = pending(7)
    asked = sent()
    table.add(asked)
    assert table.match(answer(7, b"\x07ExAmPle\x00\x00\x01\x00\x01")) is asked


def test_a_type_that_looks_like_a_letter_is_not_lowered():
    table = pending(7)
    table.add(sent(HTTPS_QUESTION))
    assert table.match(answer(7, b"\x07example\x00\x00\x61\x00\x01")) is None


def test_a_slow_query_is_told_of_once_and_still_answered():
    table = pending(1, 2, 3)
    first, second, third = sent(sent_at=1.0), sent(sent_at=2.0), sent(sent_at=3.0)
    for asked in (first, second, third):
        table.add(asked)
    assert table.slowed(sent_before=2.0) == [first, second]
    assert table.slowed(sent_before=2.0) == []
    assert table.slowed(sent_before=3.0) == [third]
    assert table.match(answer(1)) is first


def test_the_oldest_is_the_one_that_waits_longest():
    table = pending(1, 2)
    assert table.oldest() is None
    first, second = sent(sent_at=1.0), sent(sent_at=2.0)
    table.add(first)
    table.slowed(sent_before=1.0)
    table.add(second)
    assert table.oldest() is first
    table.match(answer(1))
    assert table.oldest() is second


def test_lost_queries_are_dropped_by_age():
    table = pending(1, 2)
    first, second = sent(sent_at=1.0), sent(sent_at=2.0)
    table.add(first)
    table.add(second)
    table.slowed(sent_before=2.0)
    assert table.drop(sent_before=1.5) == [first]
    assert table.clear() == [second]
    assert len(table) == 0


def test_one_that_was_dropped_is_answered_late_and_counts_no_more():
    table = pending(7)
    asked = sent()
    table.add(asked)
    table.slowed(sent_before=1.0)
    table.drop(sent_before=1.0)
    table.forget(now=4.9)
    assert (len(table), table.all(), table.oldest(), table.is_settled) == (0, [], None, False)
    assert table.match(answer(7)) is asked
    assert table.is_settled


def test_what_nobody_waits_for_is_not_kept_when_it_is_dropped():
    table = pending(7)
    asked = sent()
    table.add(asked)
    asked.is_open = False
    table.slowed(sent_before=1.0)
    assert table.drop(sent_before=1.0) == [asked]
    assert table.is_settled


def test_an_answer_that_comes_too_late_for_everybody_is_not_waited_for():
    table = pending(7)
    table.add(sent())
    table.slowed(sent_before=1.0)
    table.drop(sent_before=1.0)
    table.forget(now=5.0)
    assert table.is_settled
    assert table.match(answer(7)) is None


@given(st.binary(max_size=40))
def test_any_octets_match_or_do_not(packet):
    table = pending(7)
    table.add(sent())
    assert table.match(packet) is None or packet[:2] == b"\0\7"


def test_ids_are_spread_over_their_whole_range():
    ids = set(islice(random_ids(), 4000))
    assert len(ids) > 3500
    assert min(ids) < 1000
    assert max(ids) > 64000
