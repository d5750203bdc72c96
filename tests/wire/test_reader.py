import dns.edns
import dns.exception
import dns.message
import dns.rdatatype
import pytest

from nodecache.wire import (
    Answer,
    Kind,
    MalformedMessage,
    Rcode,
    read_answer,
    read_cut_answer,
)
from tests.wire.messages import (
    HEADER,
    TO_QUESTION,
    name,
    opt,
    option,
    parsed,
    pointer,
    query,
    raw,
    record,
    response,
    texts,
)

A = record(TO_QUESTION, "A", b"\xc0\0\2\1")
SOA = "example. 60 IN SOA ns.example. root.example. 1 7200 1800 86400 17"
NS = "example. 60 IN NS ns.example."
ALIAS = "a.example. 60 IN CNAME b.example."
ADDRESS = "b.example. 60 IN A 192.0.2.1"


def read(*parts: bytes, **message: object) -> Answer:
    return read_answer(raw(*parts, **message))


def refused(packet: bytes, rule: str = "") -> None:
    with pytest.raises(MalformedMessage, match=rule):
        read_answer(packet)


# What kind of answer it is


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        pytest.param(response("a.example. A", "a.example. 5 IN A 192.0.2.1"), "POSITIVE", id="data"),
        pytest.param(response("a.example. A", ALIAS, ADDRESS), "POSITIVE", id="alias and data"),
        pytest.param(response("a.example. A", ALIAS), "OTHER", id="open chain"),
        pytest.param(response("a.example. A", ALIAS, authority=(SOA,)), "NODATA", id="chain denied"),
        pytest.param(response(authority=(SOA,)), "NODATA", id="nodata"),
        pytest.param(response(authority=(NS, SOA)), "NODATA", id="nodata with servers"),
        pytest.param(response(authority=(NS,)), "REFERRAL", id="referral"),
        pytest.param(response(additional=(NS,)), "POSITIVE", id="servers in the wrong place"),
        pytest.param(response(), "POSITIVE", id="nothing at all"),
        pytest.param(response(additional=(ADDRESS,)), "POSITIVE", id="additional data only"),
        pytest.param(response(rcode="NXDOMAIN", authority=(SOA,)), "NXDOMAIN", id="nxdomain"),
        pytest.param(response(rcode="NXDOMAIN"), "OTHER", id="nxdomain without SOA"),
        pytest.param(response("a.example. A", ALIAS, rcode="NXDOMAIN", authority=(SOA,)), "NXDOMAIN", id="alias of nothing"),
        pytest.param(response("a.example. A", ALIAS, rcode="NXDOMAIN"), "OTHER", id="alias of nothing without SOA"),
        pytest.param(response("b.example. A", ADDRESS, rcode="NXDOMAIN", authority=(SOA,)), "OTHER", id="nxdomain with data"),
        pytest.param(response("a.example. SOA", SOA, rcode="NXDOMAIN"), "OTHER", id="SOA in the wrong place"),
        pytest.param(response(rcode="SERVFAIL"), "SERVFAIL", id="servfail"),
        pytest.param(response(rcode="NOTIMP"), "SERVFAIL", id="notimp"),
        pytest.param(response("a.example. A", ALIAS, rcode="SERVFAIL"), "SERVFAIL", id="servfail with answers"),
        pytest.param(response(rcode="REFUSED"), "OTHER", id="refused"),
        pytest.param(response(rcode="FORMERR"), "OTHER", id="formerr"),
        pytest.param(response(rcode="YXDOMAIN"), "OTHER", id="yxdomain"),
        pytest.param(response("a.example. AXFR", SOA), "OTHER", id="transfer"),
        pytest.param(response("a.example. IXFR", authority=(SOA,)), "OTHER", id="transfer denied"),
        pytest.param(response("a.example. A", ADDRESS, flags="QR TC"), "OTHER", id="truncated"),
        pytest.param(response("a.example. A", rcode="NXDOMAIN", authority=(SOA,), flags="QR TC"), "OTHER", id="truncated nxdomain"),
    ],
)  # fmt: skip
def test_answers_are_sorted_as_coredns_does(packet, kind):
    assert read_answer(packet).kind is Kind[kind]


# TTLs


def aged(answer: Answer, ttl: int) -> bytes:
    wire = bytearray(answer.wire)
    for offset in answer.ttl_offsets:
        wire[offset : offset + 4] = ttl.to_bytes(4, "big")
    return bytes(wire)


@pytest.mark.parametrize(
    "packet",
    [
        response("a.example. A", "a.example. 5 IN A 192.0.2.1", "a.example. 5 IN A 192.0.2.2"),
        response("a.example. A", ALIAS, ADDRESS, authority=(NS,), additional=(SOA,)),
        response("a.example. MX", "a.example. 9 IN MX 5 b.example.", additional=(ADDRESS,)),
        response("a.example. TXT", 'a.example. 9 IN TXT "x" "y"', options=()),
    ],
)
def test_ttl_offsets_are_where_the_ttls_stand(packet):
    answer = read_answer(packet)
    message = parsed(aged(answer, 77))
    rrsets = message.answer + message.authority + message.additional
    assert {rrset.ttl for rrset in rrsets} == {77}
    assert texts(rrsets) == [
        line.replace(" 60 ", " 77 ").replace(" 5 in ", " 77 in ").replace(" 9 ", " 77 ")
        for line in texts(
            parsed(packet).answer + parsed(packet).authority + parsed(packet).additional
        )
    ]


def test_the_lowest_ttl_counts_wherever_it_stands():
    low = response("a.example. A", ALIAS, ADDRESS, additional=("c.example. 3 IN A 192.0.2.9",))
    assert read_answer(low).lowest_ttl == 3
    assert read_answer(response()).lowest_ttl is None


@pytest.mark.parametrize("ttl", [0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("rdtype", ["A", "TXT"])
def test_a_ttl_with_its_top_bit_set_counts_as_0(ttl, rdtype):
    parts = A, record(TO_QUESTION, rdtype, b"1234", ttl=ttl)
    answer = read(*parts, counts=(1, 2, 0, 0))
    assert answer.lowest_ttl == 0
    assert len(answer.ttl_offsets) == 2


def test_the_highest_ttl_is_taken_as_it_is():
    assert (
        read(record(TO_QUESTION, "A", b"1234", ttl=0x7FFFFFFF), counts=(1, 1, 0, 0)).lowest_ttl
        == 2**31 - 1
    )


@pytest.mark.parametrize(
    ("ttl", "minimum", "expected"), [(60, 17, 17), (9, 17, 9), (9, 0, 0), (2**32 - 1, 5, 0)]
)
def test_a_negative_answer_lives_for_the_lower_of_the_soas_ttl_and_minimum(ttl, minimum, expected):
    data = name("m.") + name("r.") + bytes(16) + minimum.to_bytes(4, "big")
    answer = read(record(pointer(14), "SOA", data, ttl=ttl), counts=(1, 0, 1, 0))
    assert (answer.kind, answer.soa_ttl) == (Kind.NODATA, expected)


# OPT and TSIG


def test_an_opt_goes_and_takes_nothing_along():
    bare = response("a.example. A", ADDRESS)
    assert read_answer(response("a.example. A", ADDRESS, options=())).wire == bare
    cookie = dns.edns.GenericOption(10, b"12345678")
    assert read_answer(response("a.example. A", ADDRESS, options=(cookie,))).wire == bare
    both = response("a.example. A", ADDRESS, additional=(ALIAS,), options=())
    assert texts(parsed(read_answer(both).wire).additional) == [ALIAS.lower()]


@pytest.mark.parametrize(
    "pseudo", [opt(data=option(3, b"x")), record(name("k."), "TSIG", b"x" * 30, rdclass=255)]
)
def test_records_behind_an_opt_or_tsig_stay_whole(pseudo):
    question = name("a.example.") + b"\0\x21\0\1"
    parts = [
        record(TO_QUESTION, "SRV", bytes(6) + name("target.of.b.")),
        pseudo,
        record(b"\3way" + pointer(14), "CNAME", name("other.net."), ttl=7),
    ]
    other = raw(*parts, question=question).index(b"\5other")
    parts.append(record(b"\4else" + pointer(other), "A", b"1234", ttl=8))
    packet = raw(*parts, counts=(1, 1, 0, 3), question=question)
    answer = read_answer(packet)
    whole, ours = parsed_slowly(packet), parsed(answer.wire)
    assert texts(ours.answer) == texts(whole.answer)
    assert texts(ours.additional) == texts(whole.additional)
    assert [int.from_bytes(answer.wire[at : at + 4], "big") for at in answer.ttl_offsets] == [
        30,
        7,
        8,
    ]


def parsed_slowly(packet: bytes) -> dns.message.Message:
    """dnspython wants a TSIG last and checked: take it for some other record."""
    message = parsed(packet.replace(b"\0\xfa\0\xff", b"\xff\x0a\0\xff"))
    message.additional = [rrset for rrset in message.additional if rrset.rdtype != 0xFF0A]
    return message


@pytest.mark.parametrize(("rcode", "rdtype"), [(16, "A"), (23, "A"), (4095, "A"), (16, "TXT")])
def test_the_opt_holds_the_upper_bits_of_the_rcode(rcode, rdtype):
    data = record(TO_QUESTION, rdtype, b"\3abc")
    answer = read(data, opt(rcode=rcode >> 4), counts=(1, 1, 0, 1), flags=0x8180 | rcode & 15)
    assert answer.rcode == rcode
    assert answer.kind is Kind.OTHER


def test_an_extended_rcode_is_no_noerror():
    answer = read(A, opt(rcode=1), counts=(1, 1, 0, 1))
    assert (answer.rcode, answer.kind) == (Rcode.BADVERS, Kind.OTHER)


@pytest.mark.parametrize(
    ("parts", "counts", "rule"),
    [
        pytest.param([A, opt()[:-1]], (1, 1, 0, 1), "cut off", id="OPT cut off"),
        pytest.param(
            [A, record(b"\0", "OPT", b"", size=2)], (1, 1, 0, 1), "past the end", id="too long"
        ),
    ],
)
def test_a_broken_opt_breaks_the_message(parts, counts, rule):
    refused(raw(*parts, counts=counts), rule)


@pytest.mark.parametrize(
    "pseudo",
    [
        pytest.param([opt(rcode=1), opt(rcode=2)], id="two OPTs"),
        pytest.param([opt(rcode=1, owner=b"\1x\0")], id="OPT with an owner"),
        pytest.param([opt(rcode=1, owner=TO_QUESTION)], id="OPT with a pointer"),
        pytest.param([opt(rcode=1, data=b"\0\3\0\x09x")], id="OPT with a broken option"),
    ],
)
def test_an_upstreams_odd_opt_takes_nothing_from_its_records(pseudo):
    """RFC 6891 §6.1.1 refuses it in queries; resolvers take the answer, and so does CoreDNS."""
    answer = read(A, *pseudo, counts=(1, 1, 0, len(pseudo)))
    assert answer.wire == raw(A, counts=(1, 1, 0, 0))
    assert answer.rcode == Rcode.BADVERS


@pytest.mark.parametrize(
    ("parts", "counts"),
    [
        pytest.param([opt(), A], (1, 2, 0, 0), id="OPT before the answer"),
        pytest.param([A, opt()], (1, 2, 0, 0), id="OPT behind the answer"),
        pytest.param([A, opt()], (1, 1, 1, 0), id="OPT in the authority section"),
        pytest.param([A, opt(), opt()], (1, 1, 1, 1), id="OPT in two sections"),
        pytest.param([A, record(b"\0", "TSIG", b"")], (1, 2, 0, 0), id="TSIG in the answers"),
    ],
)
def test_an_upstreams_opt_in_the_wrong_section_takes_nothing_from_its_records(parts, counts):
    answer = read(*parts, counts=counts)
    assert answer.wire == raw(A, counts=(1, 1, 0, 0))
    assert answer.kind is Kind.POSITIVE
    assert answer.ttl_offsets == read(A, counts=(1, 1, 0, 0)).ttl_offsets


# Truncation

FIRST, SECOND = "a.example. 30 IN A 192.0.2.1", "a.example. 20 IN A 192.0.2.2"


def test_a_truncated_answer_has_the_records_before_the_cut():
    whole = response("a.example. A", FIRST, SECOND, flags="QR TC RD")
    for size in range(HEADER + 15, len(whole) + 1):
        answer = read_answer(whole[:size])
        left = (size - HEADER - 15) // 16
        assert answer.is_truncated
        assert answer.kind is Kind.OTHER
        assert len(answer.ttl_offsets) == left
        assert answer.lowest_ttl == (None, 30, 20)[left]
        assert sum(map(len, parsed_truncated(answer.wire).answer)) == left


def test_an_answer_that_is_cut_off_without_saying_so_reads_as_truncated():
    whole = response("a.example. A", FIRST, SECOND)
    end = HEADER + 15
    for size in range(end, len(whole)):
        with pytest.raises(MalformedMessage):
            read_answer(whole[:size])
        answer = read_cut_answer(whole[:size], end)
        assert answer.wire == read_answer(whole[:2] + b"\x83" + whole[3:size]).wire
        assert len(answer.ttl_offsets) == (size - end) // 16


@pytest.mark.parametrize("octet", [0x01, 0x89])
def test_what_is_no_response_to_a_query_is_not_a_cut_one_either(octet):
    whole = response("a.example. A", ADDRESS)
    with pytest.raises(MalformedMessage):
        read_cut_answer(whole[:2] + bytes((octet,)) + whole[3:-1], HEADER + 15)


def parsed_truncated(wire: bytes) -> dns.message.Message:
    return dns.message.from_wire(wire, raise_on_truncation=False)


# What is refused


@pytest.mark.parametrize(
    ("packet", "rule"),
    [
        pytest.param(response()[:11], "shorter than a header", id="short"),
        pytest.param(query(), "not a response", id="query"),
        pytest.param(raw(flags=0x8980), "not a response", id="inverse query's response"),
        pytest.param(raw(counts=(0, 0, 0, 0)), "one question", id="no question"),
        pytest.param(raw(counts=(2, 0, 0, 0)), "one question", id="two questions"),
        pytest.param(raw(question=b"\xc0\x0c\0\1\0\1"), "question name", id="pointer in the question"),
        pytest.param(raw(question=name("a.") + b"\0\1\0"), "type and class", id="question cut off"),
        pytest.param(raw(counts=(1, 1, 0, 0)), "past the end", id="record promised"),
        pytest.param(raw(A[:5], counts=(1, 1, 0, 0)), "cut off", id="record cut off"),
        pytest.param(raw(A[:-1], counts=(1, 1, 0, 0)), "past the end", id="data cut off"),
        pytest.param(raw(A, counts=(1, 2, 0, 0)), "past the end", id="second record promised"),
        pytest.param(raw(A, counts=(1, 65535, 65535, 65535)), "past the end", id="counts that lie"),
        pytest.param(raw(record(TO_QUESTION, "A", b"123"), counts=(1, 1, 0, 0)), "wrong size", id="A of 3 octets"),
        pytest.param(raw(record(TO_QUESTION, "A", b""), counts=(1, 1, 0, 0)), "wrong size", id="A without data"),
        pytest.param(raw(record(TO_QUESTION, "AAAA", b"1234"), counts=(1, 1, 0, 0)), "wrong size", id="AAAA of 4"),
        pytest.param(raw(record(TO_QUESTION, "RRSIG", b"x" * 18), counts=(1, 1, 0, 0)), "RRSIG", id="RRSIG cut off"),
        pytest.param(raw(record(pointer(12 + 15), "A", b"1234"), counts=(1, 1, 0, 0)), "pointer", id="owner that is itself"),
        pytest.param(raw(record(pointer(12 + 15 + 12), "A", b"\1a\0\0"), counts=(1, 1, 0, 0)), "pointer", id="forward"),
        pytest.param(raw(record(pointer(2), "A", b"1234"), counts=(1, 1, 0, 0)), "pointer", id="into the header"),
    ],
)  # fmt: skip
def test_a_message_that_breaks_a_rule_is_refused(packet, rule):
    refused(packet, rule)


def test_octets_behind_the_last_record_are_dropped():
    packet = response("a.example. A", ADDRESS)
    assert read_answer(packet + b"\xff" * 9).wire == packet


@pytest.mark.parametrize("rdtype", [16, 64, 65, 257, 65280, 65535])
def test_unknown_data_of_any_size_is_passed_on(rdtype):
    for data in (b"", b"\xc0\x0c", b"\xff" * 300):
        answer = read(record(TO_QUESTION, rdtype, data), counts=(1, 1, 0, 0))
        assert answer.wire.endswith(data)


def test_a_chaos_address_is_not_an_internet_address():
    data = name("ch.addr.") + b"\0\7"
    question = name("a.example.") + b"\0\1\0\3"
    assert read(
        record(TO_QUESTION, "A", data, rdclass=3), counts=(1, 1, 0, 0), question=question
    ).wire


def test_coredns_points_into_data_that_it_does_not_compress():
    """Its library remembers the target of an HTTPS record for the owners that follow."""
    target = name("svc.example.net.")
    https = record(TO_QUESTION, 65, b"\0\1" + target)
    at = HEADER + 15 + len(https) - len(target)
    question = name("a.example.") + b"\0\x41\0\1"
    answer = read(https, record(pointer(at), "A", b"1234"), counts=(1, 1, 0, 1), question=question)
    assert texts(parsed(answer.wire).additional) == ["svc.example.net. 30 in a 49.50.51.52"]


@pytest.mark.parametrize(
    ("place", "owner"),
    [(HEADER + 15 + 7, "b."), (HEADER + 15 + 5, "a.b."), (3, ".")],
    ids=["in a TTL", "over a TTL", "in the header"],
)
def test_a_name_that_a_reply_would_change_is_written_out(place, owner):
    """A pointer may lead into a TTL, which is counted down, or into the header; unbound tests for it."""
    spelled = record(TO_QUESTION, "TXT", b"\3abc", ttl=0x61016200)
    packet = raw(spelled, record(pointer(place), "A", b"1234"), counts=(1, 1, 0, 1), flags=0x8100)
    wire = b"\xff\xff\x85\x80" + aged(read_answer(packet), 30)[4:]
    for octets in (packet, wire):
        assert texts(parsed(octets).additional) == [f"{owner} 30 in a 49.50.51.52"]


def test_everything_asked_for_is_an_answer():
    lines = (
        "a.example. 9 IN A 192.0.2.1",
        "a.example. 9 IN MX 1 b.example.",
        'a.example. 9 IN TXT "x"',
    )
    assert read_answer(response("a.example. ANY", *lines)).kind is Kind.POSITIVE


def test_who_wrote_it_is_told():
    assert read_answer(response(), "template").written_by == "template"
    assert (
        read_answer(response("a.example. A", "a.example. 5 IN A 192.0.2.1")).written_by == "forward"
    )
