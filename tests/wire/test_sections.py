"""Counts in a header that tell of more records than there are."""

import pytest

from nodecache.wire import MalformedMessage, read_answer
from tests.wire.messages import TO_QUESTION, opt, parsed, raw, record

A = record(TO_QUESTION, "A", b"\xc0\0\2\1")


@pytest.mark.parametrize(
    ("parts", "counts", "additionals"),
    [
        pytest.param([A], (1, 1, 0, 1), 0, id="none of one"),
        pytest.param([A, A], (1, 1, 0, 9), 1, id="one of nine"),
        pytest.param([A, A, opt()], (1, 1, 0, 9), 1, id="an OPT among them"),
    ],
)
def test_additional_records_may_be_missing_at_the_end(parts, counts, additionals):
    message = parsed(read_answer(raw(*parts, counts=counts)).wire)
    assert [len(message.answer), len(message.additional)] == [1, additionals]


@pytest.mark.parametrize("size", range(1, len(A)))
def test_an_additional_record_that_is_cut_off_is_no_missing_one(size):
    with pytest.raises(MalformedMessage):
        read_answer(raw(A, A[:size], counts=(1, 1, 0, 1)))
