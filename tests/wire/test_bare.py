import pytest

from nodecache.wire import is_bare_reply, read_answer, with_question
from tests.wire.messages import name, opt, query, raw, response

QUESTION = name("a.example.") + b"\0\1\0\1"


def bare(rcode: int, *parts: bytes, counts: tuple[int, int, int, int] = (0, 0, 0, 0)) -> bytes:
    return raw(*parts, question=b"", counts=counts, flags=0x8180 | rcode)


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
def test_an_error_without_a_question_reads_like_one_with(rcode):
    for packet in (bare(rcode), bare(rcode, opt(), counts=(0, 0, 0, 1))):
        assert is_bare_reply(packet)
        whole = with_question(packet, QUESTION)
        assert whole == raw(flags=0x8180 | rcode)
        assert read_answer(whole).rcode == rcode


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bare(1)[:11], id="shorter than a header"),
        pytest.param(bare(0), id="no error"),
        pytest.param(bare(0, counts=(1, 0, 0, 0)), id="no error, and a question it lacks"),
        pytest.param(raw(question=b"", counts=(0, 0, 0, 0), flags=0x0101), id="a query"),
        pytest.param(response(rcode="FORMERR"), id="with a question"),
        pytest.param(bare(1, counts=(0, 1, 0, 0)), id="with an answer"),
        pytest.param(bare(1, counts=(0, 0, 1, 0)), id="with an authority"),
        pytest.param(query(), id="a real query"),
    ],
)
def test_all_else_is_no_error_without_a_question(packet):
    assert not is_bare_reply(packet)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (1, 0, 0, 0), (1, 2, 3, 4)])
@pytest.mark.parametrize("flags", [0x8380, 0x8200, 0x8382])
def test_a_header_with_tc_and_nothing_else_means_tcp(flags, counts):
    packet = raw(question=b"", counts=counts, flags=flags)
    assert is_bare_reply(packet)
    assert read_answer(with_question(packet, QUESTION)).is_truncated
