"""A chain of aliases answers where it ends in what was asked for; CoreDNS 1.14.7 has these cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.wire import Kind, read_answer
from nodecache.wire.aliases import _is_anywhere, _is_in_order
from nodecache.wire.sections import read_records
from tests.wire.messages import name, raw, record, response

ALIAS = "a.example. 60 IN CNAME b.example."
ANOTHER = "a.example. 60 IN CNAME c.example."
ADDRESS = "b.example. 60 IN A 192.0.2.1"
OWN_ADDRESS = "a.example. 60 IN A 192.0.2.1"
OTHERS_ADDRESS = "c.example. 60 IN A 192.0.2.1"


def is_answered(question: str, *records: str) -> bool:
    """Whether the answer counts as one; without a SOA the rest may not be kept."""
    kind = read_answer(response(question, *records)).kind
    assert kind in (Kind.POSITIVE, Kind.OTHER)
    return kind is Kind.POSITIVE


@pytest.mark.parametrize(
    ("question", "records"),
    [
        pytest.param("a.example. A", [ALIAS, ADDRESS], id="in order"),
        pytest.param("a.example. A", [ADDRESS, ALIAS], id="out of order"),
        pytest.param("a.example. A", [ALIAS, ALIAS, ADDRESS], id="alias twice"),
        pytest.param("a.example. A", [ALIAS, ADDRESS, OTHERS_ADDRESS], id="and another's"),
        pytest.param("a.example. A", [ALIAS, "b.example. 60 IN CNAME c.example.", OTHERS_ADDRESS], id="long"),
        pytest.param("a.example. CNAME", [ALIAS], id="the alias itself"),
        pytest.param("a.example. ANY", [ALIAS], id="anything"),
        pytest.param("A.example. A", ["a.EXAMPLE. 60 IN A 192.0.2.1"], id="other letters"),
        pytest.param("A.example. A", ["a.example. 60 IN CNAME B.example.", ADDRESS], id="other letters on"),
        pytest.param("a.example. A", ["a.example. 60 IN CNAME example.", "example. 60 IN A 192.0.2.1"], id="to its parent"),
        pytest.param("a.example. CLASS255 A", [OWN_ADDRESS], id="any class"),
    ],
)  # fmt: skip
def test_a_chain_that_ends_in_the_data_is_an_answer(question, records):
    assert is_answered(question, *records)


@pytest.mark.parametrize(
    ("question", "records"),
    [
        pytest.param("a.example. A", [ALIAS], id="open"),
        pytest.param("a.example. MX", [ALIAS, ADDRESS], id="another type at its end"),
        pytest.param("a.example. A", [ALIAS, OTHERS_ADDRESS], id="off the chain"),
        pytest.param("a.example. A", [ADDRESS], id="another name's data"),
        pytest.param("a.example. ANY", [ADDRESS], id="another name's anything"),
        pytest.param("a.example. A", [ALIAS, ANOTHER, ADDRESS], id="forked"),
        pytest.param("a.example. A", [ALIAS, ADDRESS, ANOTHER], id="forked at the end"),
        pytest.param("a.example. CNAME", [ALIAS, ANOTHER], id="two aliases"),
        pytest.param("a.example. A", [ALIAS, "b.example. 60 IN CNAME a.example.", ADDRESS], id="comes back"),
        pytest.param("a.example. A", [ALIAS, "b.example. 60 IN CNAME b.example.", ADDRESS], id="leads to itself"),
        pytest.param("a.example. A", [ALIAS, "b.example. 60 IN CNAME a.example.", OWN_ADDRESS], id="comes back to data"),
        pytest.param("a.example. CH A", [OWN_ADDRESS], id="another class"),
    ],
)  # fmt: skip
def test_any_other_chain_is_none(question, records):
    assert not is_answered(question, *records)


def test_signatures_do_not_break_a_chain():
    def signature(owner: str, covered: str) -> str:
        return f"{owner} 60 IN RRSIG {covered} 8 2 60 20300101000000 20200101000000 1 example. AA=="

    signed_alias, signed_address = signature("a.example.", "CNAME"), signature("b.example.", "A")
    assert is_answered("a.example. A", ALIAS, signed_alias, ADDRESS, signed_address)


def test_a_chain_of_names_written_in_full_is_followed():
    target = name("b.example.")
    parts = record(name("a.example."), "CNAME", target), record(target, "A", b"1234")
    assert read_answer(raw(*parts, counts=(1, 2, 0, 0))).kind is Kind.POSITIVE


NAMES = st.sampled_from(["a.example.", "b.example.", "c.example.", "example.", "a.b.example.", "."])
RECORDS = st.one_of(
    st.builds("{} 60 IN CNAME {}".format, NAMES, NAMES),
    st.builds("{} 60 IN A 192.0.2.{}".format, NAMES, st.integers(1, 9)),
    st.builds("{} 60 IN TXT x".format, NAMES),
)


@given(NAMES, st.sampled_from([1, 5, 16, 255]), st.lists(RECORDS, max_size=6))
def test_the_quick_look_at_a_chain_never_says_more_than_the_long_one(qname, qtype, lines):
    packet = response(f"{qname} TYPE{qtype}", *lines)
    question_end = 12 + len(name(qname)) + 4
    count = int.from_bytes(packet[6:8], "big")
    records, _ = read_records(packet, question_end, count, {})
    if _is_in_order(packet, qtype, 1, records):
        assert _is_anywhere(packet, qtype, records)
