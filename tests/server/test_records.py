import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.records import (
    Record,
    Sections,
    message,
    question_of,
    rebuilt,
    reply_of,
    sections_of,
)
from nodecache.wire import Kind, Rdtype, wire_of

from .chains import answer, lines, query, told

MIXED = answer(
    query("www.example."),
    "www.example. 30 IN CNAME web.example.",
    "web.example. 60 IN A 192.0.2.1",
    "web.example. 60 IN MX 10 mail.web.example.",
    authority=["example. 30 IN SOA ns.example. admin.example. 1 2 3 4 5"],
    additional=["_a._tcp.example. 5 IN SRV 1 2 3 web.example.", "x.example. 5 IN TXT hello"],
)


def test_records_taken_out_and_put_back_are_the_same_message():
    again = rebuilt(MIXED, MIXED.question, sections_of(MIXED))
    assert told(again).sections == told(MIXED).sections
    assert again.ttl_offsets == MIXED.ttl_offsets
    assert len(again.wire) == len(MIXED.wire)


@pytest.mark.parametrize("count", [5_000, 70_000])
def test_more_than_a_message_can_hold_is_cut(count):
    asked = query("1.2.0.192.in-addr.arpa.", "PTR")
    names = [Record(asked.question[:-4], Rdtype.PTR, 1, 60, b"\7%07d\0" % n) for n in range(count)]
    made = reply_of(asked, Sections(names), written_by="hosts")
    assert 65_500 < len(made.wire) <= 65_535
    assert (made.is_truncated, made.kind, made.rcode) == (True, Kind.OTHER, 0)
    assert sections_of(made).answer == names[: len(made.ttl_offsets)]


def test_names_in_data_are_whole():
    sections = sections_of(MIXED)
    assert sections.answer[0].rdata == wire_of("web.example.")
    assert sections.answer[2].rdata == b"\0\x0a" + wire_of("mail.web.example.")
    assert sections.additional[0].rdata == b"\0\1\0\2\0\3" + wire_of("web.example.")


@given(
    st.lists(
        st.tuples(
            st.lists(st.binary(min_size=1, max_size=9), max_size=4),
            st.integers(0, 0x7FFFFFFF),
            st.binary(max_size=40),
        ),
        max_size=6,
    )
)
def test_any_record_is_read_back_as_it_was_written(rows):
    records = [
        Record(dns.name.Name([*labels, b""]).to_wire(), Rdtype.TXT, 1, ttl, rdata)
        for labels, ttl, rdata in rows
    ]
    made = message(question_of(b"\1a\0", 1, 1), 0x8000, Sections(records), 0, written_by="x")
    assert sections_of(made).answer == records


def test_a_made_up_reply_takes_rd_and_cd_from_the_query():
    asked = query("a.example.")
    reply = told(reply_of(asked, written_by="hosts"))
    assert dns.flags.to_text(reply.flags) == "QR AA RD"


def test_a_reply_keeps_the_clients_letter_case():
    asked = query("WwW.Example.")
    made = reply_of(
        asked, Sections([Record(asked.question[:-4], 1, 1, 5, b"\1\2\3\4")]), written_by="x"
    )
    assert lines(told(made).answer) == ["WwW.Example. 5 IN A 1.2.3.4"]


def test_a_denial_with_its_soa_may_be_kept():
    sections = Sections(
        authority=sections_of(MIXED).authority,
    )
    made = reply_of(query("no.example."), sections, 3, written_by="template")
    assert (made.kind, made.soa_ttl, made.written_by) == (Kind.NXDOMAIN, 5, "template")


def test_an_rcode_above_15_is_told_but_never_kept():
    made = reply_of(query("a.example."), rcode=16, written_by="template")
    assert (made.rcode, made.kind, made.wire[3] & 0xF) == (16, Kind.OTHER, 0)
