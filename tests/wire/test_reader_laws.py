"""What holds for any answer, whoever wrote it."""

import dns.edns
import dns.exception
import dns.message
import dns.rdatatype
from hypothesis import assume, given

from nodecache.wire import (
    MalformedMessage,
    compressed,
    read_answer,
)
from nodecache.wire.reader import _whole
from tests.wire.messages import (
    HEADER,
    TO_QUESTION,
    ede,
    name,
    opt,
    parsed_apart,
    pointer,
    raw,
    record,
    response,
    strangers_packets,
    texts,
)
from tests.wire.test_reader import ADDRESS, ALIAS, NS, SOA, A, aged

SPELLED = record(TO_QUESTION, "TXT", b"\3abc", ttl=0x01610000)  # its TTL reads as a name

SEEDS = [
    response("a.example. A", "a.example. 5 IN A 192.0.2.1", "a.example. 9 IN A 192.0.2.2"),
    response("a.example. AAAA", "a.example. 5 IN AAAA 2001:db8::1", options=()),
    raw(A, record(name("a.example."), "A", b"1234"), counts=(1, 2, 0, 0)),
    raw(record(name("a.example."), "A", b"1234"), opt(), counts=(1, 1, 0, 1)),
    response(
        "a.example. A",
        ALIAS,
        ADDRESS,
        authority=(NS,),
        additional=("ns.example. 9 IN A 192.0.2.9",),
    ),
    response(rcode="NXDOMAIN", authority=(SOA,), options=()),
    response("a.example. SRV", "a.example. 5 IN SRV 1 2 3 b.example.", additional=(ADDRESS,)),
    response("a.example. NAPTR", 'a.example. 5 IN NAPTR 1 2 "a" "b" "c" b.example.'),
    raw(A, opt(data=ede(3, b"x")), record(pointer(14), "A", b"1234"), counts=(1, 1, 0, 2)),
    raw(SPELLED, record(pointer(HEADER + 21), "A", b"1234"), counts=(1, 1, 0, 1)),
    raw(A, record(pointer(0), "A", b"1234"), counts=(1, 1, 0, 1)),
]


@given(strangers_packets(SEEDS, 0x8180))
def test_any_packet_is_an_answer_or_refused(packet):
    try:
        answer = read_answer(packet)
    except MalformedMessage:
        return
    again = read_answer(answer.wire)
    assert again.kind is answer.kind or answer.rcode > 15
    assert (again.lowest_ttl, again.soa_ttl) == (answer.lowest_ttl, answer.soa_ttl)
    assert len(again.ttl_offsets) == len(answer.ttl_offsets)
    assert list(answer.ttl_offsets) == sorted(set(answer.ttl_offsets))
    assert dns.rdatatype.OPT not in types_of(answer.wire)


def types_of(wire: bytes) -> set[int]:
    answer = read_answer(wire)
    return {int.from_bytes(wire[at - 4 : at - 2], "big") for at in answer.ttl_offsets}


@given(strangers_packets(SEEDS, 0x8180))
def test_dnspython_finds_the_same_records(packet):
    try:
        theirs = parsed_apart(packet)
        ours = read_answer(packet)
    except (MalformedMessage, dns.exception.DNSException):
        return
    assume(not ours.is_truncated)
    aged_wire = b"\1\2\x84\x90" + aged(ours, 4711)[4:]  # as its reply has it
    for section in ("answer", "authority", "additional"):
        rrsets = getattr(theirs, section)
        for rrset in rrsets:
            rrset.ttl = 4711
        assert texts(getattr(parsed_apart(aged_wire), section)) == texts(rrsets)


@given(strangers_packets(SEEDS, 0x8180))
def test_the_quick_way_to_addresses_agrees_with_the_long_one(packet):
    try:
        quick = read_answer(packet)
    except MalformedMessage:
        return
    assume(not quick.is_truncated)
    long = _whole(packet, quick.question_end - 4)
    for field in ("question_end", "rcode", "kind", "lowest_ttl", "soa_ttl", "ede"):
        assert getattr(quick, field) == getattr(long, field)
    assert len(quick.ttl_offsets) == len(long.ttl_offsets)
    if quick.wire != long.wire:
        assert quick.wire == compressed(long.wire)
