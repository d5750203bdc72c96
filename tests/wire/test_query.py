import struct
from collections.abc import Callable

import dns.edns
import dns.message
import dns.rdatatype
import dns.tsigkeyring
import pytest
from hypothesis import assume, given

from nodecache.wire import (
    Flag,
    MalformedMessage,
    Query,
    Rcode,
    error_reply,
    read_query,
    upstream_query,
)
from nodecache.wire.query import _read_sections
from tests.wire.asking import asked, refusal, signed
from tests.wire.messages import (
    HEADER,
    TO_QUESTION,
    name,
    opt,
    parsed,
    pointer,
    query,
    raw,
    record,
    strangers_packets,
)

# What is asked


def test_a_plain_query_is_its_question():
    read = read_query(query("www.Example. AAAA"))
    assert read.question == name("www.Example.") + b"\0\x1c\0\1"
    assert read.qname == name("www.example.")
    assert (read.qtype, read.rdclass) == (dns.rdatatype.AAAA, 1)
    assert (read.payload_size, read.has_do, read.options) == (0, False, b"")
    assert read.id == b"\x12\x34"
    assert read.flags == 0x0100


def test_letter_case_is_all_that_keys_overlook():
    assert read_query(query("A.eXample. A")).key == read_query(query("a.example. A")).key


def test_an_https_query_has_a_key_of_its_own():
    """Type 65 is an A in ASCII, and 97 an a."""
    assert read_query(query("a. TYPE65")).key != read_query(query("a. TYPE97")).key


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(query("b.example. A"), id="name"),
        pytest.param(query("a.example. AAAA"), id="type"),
        pytest.param(query("a.example. CH A"), id="class"),
        pytest.param(query("a.example. A", flags="RD CD"), id="CD"),
        pytest.param(query("a.example. A", want_dnssec=True), id="DO"),
        pytest.param(query("a.example. A", want_dnssec=True, flags="RD CD"), id="DO and CD"),
    ],
)
def test_each_of_these_has_another_key(other):
    assert read_query(other).key != read_query(query("a.example. A")).key


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(query("a.example. A", flags="RD AD"), id="AD"),
        pytest.param(query("a.example. A", flags=""), id="no RD"),
        pytest.param(query("a.example. A", use_edns=0, payload=4096), id="payload size"),
        pytest.param(
            query("a.example. A", options=[dns.edns.GenericOption(10, b"1" * 8)]), id="cookie"
        ),
    ],
)
def test_each_of_these_has_the_same_key(other):
    assert read_query(other).key == read_query(query("a.example. A")).key


def test_labels_may_hold_any_octets():
    odd = b"\4\0.\xff\xc0" + b"\0"
    read = asked(question=odd + b"\0\1\0\1")
    assert read.qname == odd


def test_the_root_can_be_asked_for():
    assert read_query(query(". NS")).qname == b"\0"


def test_a_name_of_255_octets_can_be_asked_for():
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"d" * 61 + b"\0"
    assert asked(question=longest + b"\0\1\0\1").qname == longest
    assert (
        refusal(raw(question=b"\1a" + longest + b"\0\1\0\1", flags=0x0100)).rcode == Rcode.FORMERR
    )


# What gets no answer, or an error


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_gets_silence(size):
    assert refusal(query()[:size]).rcode is None


def test_a_response_gets_silence():
    assert refusal(raw(flags=0x8180)).rcode is None
    assert refusal(raw(flags=0xF800)).rcode is None


@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_opcodes_are_not_implemented(opcode):
    packet = raw(flags=opcode << 11 | 0x0100)
    assert refusal(packet).rcode == Rcode.NOTIMP
    flags = 0x8000 | opcode << 11 | 0x0100 | Rcode.NOTIMP
    assert error_reply(packet, Rcode.NOTIMP) == b"\x12\x34" + flags.to_bytes(2, "big") + b"\0" * 8


@pytest.mark.parametrize("count", [0, 2, 3, 65535])
def test_anything_but_one_question_is_a_formerr(count):
    packet = raw(counts=(count, 0, 0, 0), flags=0x0100)
    assert refusal(packet).rcode == Rcode.FORMERR
    assert error_reply(packet, Rcode.FORMERR) == b"\x12\x34\x81\x01" + b"\0" * 8


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\1a", id="no end"),
        pytest.param(name("a."), id="no type"),
        pytest.param(name("a.") + b"\0\1\0", id="half a class"),
        pytest.param(pointer(12) + b"\0\1\0\1", id="pointer to itself"),
        pytest.param(b"\1a" + pointer(12) + b"\0\1\0\1", id="pointer in the question"),
        pytest.param(b"\x41" + b"x" * 65 + b"\0\0\1\0\1", id="label of 65 octets"),
    ],
)
def test_a_broken_question_is_a_formerr_without_it(question):
    packet = raw(question=question, flags=0x0110)
    assert refusal(packet).rcode == Rcode.FORMERR
    reply = error_reply(packet, Rcode.FORMERR)
    assert reply == b"\x12\x34\x81\x11" + b"\0" * 8


@pytest.mark.parametrize("counts", [(1, 2, 0, 0), (1, 0, 2, 0), (1, 0, 0, 3), (1, 0, 0, 65535)])
def test_more_records_than_a_query_has_are_a_formerr(counts):
    assert refusal(raw(opt() * 3, counts=counts, flags=0x0100)).rcode == Rcode.FORMERR


def test_an_error_has_the_question_where_that_was_read():
    packet = raw(opt(), opt(), counts=(1, 0, 0, 2), flags=0x0110)
    reply = parsed(error_reply(packet, Rcode.FORMERR))
    assert reply.question == parsed(query()).question
    assert (reply.rcode(), reply.flags & Flag.CD) == (Rcode.FORMERR, Flag.CD)


NOTIFY = 4 << 11
A = record(TO_QUESTION, "A", b"1234")


@pytest.mark.parametrize(
    ("packet", "is_do"),
    [
        pytest.param(raw(opt(), opt(), counts=(1, 0, 0, 2), flags=0), False, id="two OPTs"),
        pytest.param(raw(opt(flags=0x8000)[:8], counts=(1, 0, 0, 1), flags=0), True, id="cut off"),
        pytest.param(raw(opt()[:7], counts=(1, 0, 0, 1), flags=0), False, id="cut before DO"),
        pytest.param(
            raw(opt(data=b"\0\x0a\0\x09x"), counts=(1, 0, 0, 1), flags=0), False, id="broken option"
        ),
        pytest.param(raw(opt(), counts=(1, 0, 0, 1), flags=NOTIFY), False, id="another opcode"),
        pytest.param(raw(opt(flags=0x8000), counts=(1, 0, 0, 1), flags=NOTIFY), True, id="with DO"),
    ],
)
def test_an_error_goes_with_an_opt_to_whoever_sent_one(packet, is_do):
    """RFC 6891 §6.1.1; without, FORMERR would say that EDNS is unknown here (§7)."""
    fault = refusal(packet)
    reply = parsed(error_reply(packet, fault.rcode))
    assert (reply.edns, bool(reply.ednsflags & 0x8000)) == (0, is_do)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(raw(counts=(1, 0, 0, 0), flags=NOTIFY), id="none"),
        pytest.param(raw(opt(), counts=(1, 0, 0, 0), flags=NOTIFY), id="not counted"),
        pytest.param(raw(A, counts=(1, 0, 0, 1), flags=NOTIFY), id="another record"),
        pytest.param(raw(opt(), counts=(0, 0, 0, 1), question=b"", flags=0), id="no question"),
        pytest.param(raw(opt(), counts=(1, 1, 0, 0), flags=NOTIFY), id="in the answer section"),
        pytest.param(
            raw(opt(), counts=(1, 0, 0, 1), question=pointer(12), flags=0), id="broken question"
        ),
    ],
)
def test_an_error_goes_without_an_opt_where_none_can_be_seen(packet):
    assert parsed(error_reply(packet, refusal(packet).rcode)).edns == -1


# The reply table


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(query(), id="plain"),
        pytest.param(query(use_edns=0), id="EDNS"),
        pytest.param(query(want_dnssec=True), id="DO"),
        pytest.param(query(". NS"), id="root"),
        pytest.param(query("a.example. TYPE65"), id="HTTPS"),
    ],
)
def test_what_others_will_send_too_is_fit_for_the_table(packet):
    assert read_query(packet).is_alike_for_all


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(query("A.example. A"), id="upper case"),
        pytest.param(query(options=[dns.edns.GenericOption(10, b"cookie01")]), id="cookie"),
        pytest.param(query() + b"x", id="octets behind the question"),
        pytest.param(query(use_edns=0) + b"x", id="octets behind the OPT"),
        pytest.param(
            raw(opt(), record(b"\0", "A", b"1234"), counts=(1, 0, 0, 2), flags=256), id="more"
        ),
    ],
)
def test_what_nobody_else_will_send_is_not(packet):
    assert not read_query(packet).is_alike_for_all


def test_octets_behind_a_message_are_overlooked():
    assert read_query(query() + b"junk").key == read_query(query()).key
    assert read_query(query(use_edns=0, payload=700) + b"junk").payload_size == 700


# What goes upstream


@pytest.mark.parametrize("flags", ["", "RD", "RD CD", "RD AD", "AA TC RD RA"])
def test_upstream_hears_rd_and_cd_and_that_we_know_ad(flags):
    sent = parsed(upstream_query(read_query(query(flags=flags)), 0xBEEF))
    told = dns.flags.from_text(flags) & (Flag.RD | Flag.CD)
    assert (sent.id, sent.flags) == (0xBEEF, told | Flag.AD)


def test_upstream_is_asked_with_the_clients_letters():
    sent = upstream_query(read_query(query("wWw.eXample. MX")), 7)
    assert sent[HEADER:] == name("wWw.eXample.") + b"\0\x0f\0\1"


@pytest.mark.parametrize("do", [True, False])
def test_upstream_gets_an_opt_of_ours_where_the_client_sent_one(do):
    cookie = dns.edns.GenericOption(10, b"cookie01")
    read = read_query(query(use_edns=0, payload=65000, want_dnssec=do, options=[cookie]))
    sent = parsed(upstream_query(read, 7))
    assert (sent.payload, sent.edns, sent.options) == (1232, 0, ())
    assert bool(sent.ednsflags & 0x8000) == do


# Properties

SEEDS = [
    query(),
    query("A.b.C.example. TYPE65"),
    query(use_edns=0),
    query(want_dnssec=True, options=[dns.edns.GenericOption(10, b"cookie01")]),
    signed(),
    raw(
        opt(payload=9),
        record(pointer(14), "SOA", name("m.") + pointer(12) + b"\0" * 20),
        counts=(1, 0, 1, 1),
        flags=0x0100,
    ),
]


@given(strangers_packets(SEEDS, 0x0100))
def test_any_packet_is_a_query_or_refused(packet):
    try:
        read = read_query(packet)
    except MalformedMessage as fault:
        if fault.rcode is not None:
            reply = error_reply(packet, fault.rcode, has_do=fault.has_do)
            assert reply[:2] == packet[:2]
            assert reply[2] & 0x80
            parsed(reply)
        return
    assert read.key[:-1] == read.question[:-4].lower() + read.question[-4:]
    assert read_query(upstream_query(read, 9)).key == read.key


@given(strangers_packets(SEEDS, 0x0100))
def test_the_quick_way_to_an_opt_agrees_with_the_long_one(packet):
    assume(len(packet) >= HEADER)
    assert outcome(lambda: read_query(packet)) == outcome(lambda: read_slowly(packet))


def outcome(read: Callable[[], Query]) -> object:
    try:
        query = read()
    except MalformedMessage as fault:
        return fault.rcode
    return query.payload_size, query.has_do, query.options


def read_slowly(packet: bytes) -> Query:
    """Read the question as if nothing came behind it, then walk the records."""
    query = read_query(packet[:6] + b"\0" * 6 + packet[HEADER:])
    query.packet = packet
    _read_sections(query, *struct.unpack_from("!3H", packet, 6))
    return query
