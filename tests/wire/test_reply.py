from dataclasses import dataclass

import dns.edns
import dns.flags
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.wire import (
    Answer,
    Flag,
    Query,
    Rcode,
    empty_reply,
    read_answer,
    read_query,
    reply_limit,
    reply_to,
)
from tests.wire.messages import name, parsed, parsed_apart, query, raw, record, response, texts
from tests.wire.test_compress import responses

HIT = Flag.QR | Flag.AA | Flag.RA
ADDRESS = "a.example. 5 IN A 192.0.2.1"


def asked(question: str = "a.example. A", **edns: object) -> Query:
    return read_query(query(question, **edns))


def answered(*records: str, question: str = "a.example. A", **sections: object) -> Answer:
    return read_answer(response(question, *records, **sections))


def many(count: int, **sections: object) -> Answer:
    return answered(*(f"a.example. 5 IN A 192.0.2.{number}" for number in range(count)), **sections)


# The whole reply


def test_a_reply_has_the_clients_id_question_and_letters():
    reply = parsed(reply_to(asked("A.Example. A"), answered(ADDRESS), HIT, 17, 512))
    assert reply.id == 0x1234
    assert reply.question[0].to_text() == "A.Example. IN A"
    assert reply.answer[0].to_text() == "A.Example. 17 IN A 192.0.2.1"


@pytest.mark.parametrize("flags", ["", "RD", "CD", "RD CD"])
def test_rd_and_cd_are_the_clients_and_all_else_is_told(flags):
    told = Flag.QR | Flag.AA | Flag.AD | Flag.RA | Flag.RD | 3
    reply = reply_to(asked(flags=flags), answered(ADDRESS), told, 17, 512)
    expected = dns.flags.from_text(flags) | Flag.QR | Flag.AA | Flag.AD | Flag.RA
    assert parsed(reply).flags == expected | 3


def test_the_reserved_bit_is_never_passed_on():
    reply = reply_to(asked(), answered(ADDRESS), HIT | 0x40, 17, 512)
    assert not reply[3] & 0x40


def test_every_ttl_is_set_and_an_opt_is_not_taken_for_one():
    body = answered(
        ADDRESS, authority=("example. 99 IN NS b.",), additional=("b. 7 IN A 192.0.2.9",)
    )
    reply = parsed(reply_to(asked(want_dnssec=True), body, HIT, 4711, 512))
    assert {rrset.ttl for rrset in reply.answer + reply.authority + reply.additional} == {4711}
    assert reply.ednsflags == 0x8000


def test_ttls_may_be_left_as_they_are():
    assert parsed(reply_to(asked(), answered(ADDRESS), HIT, None, 512)).answer[0].ttl == 5


def test_the_body_stays_as_it_was():
    body = answered(ADDRESS)
    before = body.wire
    reply_to(asked("A.EXAMPLE. A"), body, HIT, 17, 512)
    assert body.wire == before


# EDNS


@pytest.mark.parametrize("do", [True, False])
def test_an_opt_goes_to_those_who_sent_one(do):
    cookie = dns.edns.GenericOption(10, b"cookie01")
    client = asked(use_edns=0, payload=4096, want_dnssec=do, options=[cookie])
    reply = parsed(reply_to(client, answered(ADDRESS), HIT, 17, 4096))
    assert (reply.edns, reply.payload, reply.options) == (0, 1232, ())
    assert reply.ednsflags == (0x8000 if do else 0)


def test_no_opt_goes_to_those_who_sent_none():
    errors = ((3, b""),)
    assert parsed(reply_to(asked(), answered(ADDRESS), HIT, 17, 512, ede=errors)).edns == -1
    assert parsed(empty_reply(asked(), Rcode.SERVFAIL, errors)).edns == -1


def test_extended_errors_go_to_those_who_sent_an_opt():
    reply = parsed(
        reply_to(asked(use_edns=0), answered(ADDRESS), HIT, 0, 512, ede=((3, b"old"), (9, b"")))
    )
    assert reply.options == (dns.edns.EDEOption(3, "old"), dns.edns.EDEOption(9))


def test_an_extended_rcode_goes_into_the_opt():
    reply = parsed(
        reply_to(asked(use_edns=0), answered(), Flag.QR | 7, None, 512, extended_rcode=1)
    )
    assert reply.rcode() == 23


def test_an_extended_rcode_is_a_servfail_to_those_who_sent_no_opt():
    reply = parsed(reply_to(asked(), answered(), Flag.QR | 7, None, 512, extended_rcode=1))
    assert reply.rcode() == Rcode.SERVFAIL
    assert parsed(empty_reply(asked(), 23)).rcode() == Rcode.SERVFAIL
    assert parsed(empty_reply(asked(use_edns=0), 23)).rcode() == 23


# What a client can take


@pytest.mark.parametrize(
    ("edns", "limit"),
    [
        pytest.param({}, 512, id="no EDNS"),
        pytest.param({"payload": 0}, 512, id="0"),
        pytest.param({"payload": 100}, 512, id="100"),
        pytest.param({"payload": 512}, 512, id="512"),
        pytest.param({"payload": 513}, 513, id="513"),
        pytest.param({"payload": 1232}, 1232, id="1232"),
        pytest.param({"payload": 65535}, 65507, id="more than a datagram holds"),
    ],
)
def test_the_limit_is_what_the_client_says_between_512_and_a_datagram(edns, limit):
    assert reply_limit(asked(**edns).payload_size) == limit


def test_a_reply_of_just_the_limit_is_whole():
    body = many(20)
    size = len(body.wire)
    assert len(reply_to(asked(), body, HIT, 17, size)) == size
    assert not parsed(reply_to(asked(), body, HIT, 17, size)).flags & Flag.TC
    short = reply_to(asked(), body, HIT, 17, size - 1)
    assert len(short) == size - 16
    assert parsed(short).flags & Flag.TC


def test_the_opt_counts_and_is_never_cut():
    body = many(20)
    size = len(body.wire) + 11
    assert len(parsed(reply_to(asked(use_edns=0), body, HIT, 17, size)).answer[0]) == 20
    short = parsed(reply_to(asked(use_edns=0), body, HIT, 17, size - 1))
    assert len(short.answer[0]) == 19
    assert short.edns == 0
    assert short.flags & Flag.TC


def test_ttls_before_the_cut_are_set():
    assert parsed(reply_to(asked(), many(60), HIT, 17, 512)).answer[0].ttl == 17


def test_records_go_from_the_end():
    extra = tuple(f"x{number}.example. 5 IN A 192.0.2.{number}" for number in range(20))
    body = many(20, authority=("example. 5 IN NS x1.example.",), additional=extra)
    reply = parsed(reply_to(asked(), body, HIT, 17, 512))
    assert len(reply.answer[0]) == 20
    assert reply.authority
    assert len(reply.additional) < 20
    reply = parsed(reply_to(asked(), many(60, additional=extra), HIT, 17, 512))
    assert len(reply.answer[0]) == 30
    assert reply.flags & Flag.TC


def headless(pods: int) -> Answer:
    """What kube-dns answers over TCP for a headless Service's SRV records: no name is compressed."""
    service = "peers.default.svc.cluster.local."
    question = name(f"_http._tcp.{service}")
    owners = [name(f"web-{number}.{service}") for number in range(pods)]
    return read_answer(
        raw(
            *(record(question, "SRV", b"\0\0\0\x19\0\x50" + owner, ttl=5) for owner in owners),
            *(record(owner, "A", bytes([10, 0, 0, n])) for n, owner in enumerate(owners)),
            question=question + b"\0\x21\0\1",
            counts=(1, pods, 0, pods),
        )
    )


def test_addresses_of_srv_targets_are_named_by_pointers():
    """As CoreDNS has it: 6 pods fit a client without EDNS."""
    body = headless(6)
    reply = reply_to(asked("_http._tcp.peers.default.svc.cluster.local. SRV"), body, HIT, 17, 512)
    assert len(reply) == 498
    assert len(parsed(reply).additional) == 6
    assert not parsed(reply).flags & Flag.TC


def test_additional_records_that_do_not_fit_are_no_truncation():
    """RFC 2181 §9: the client has what it asked for."""
    body = headless(7)
    reply = parsed(
        reply_to(asked("_http._tcp.peers.default.svc.cluster.local. SRV"), body, HIT, 17, 512)
    )
    assert (len(reply.answer[0]), len(reply.additional)) == (7, 3)
    assert not reply.flags & Flag.TC


_SIGNATURE = "5 2 300 20370101000000 20200101000000 1 example. " + "A" * 172
_SERVERS = tuple(f"example. 5 IN NS {'x' * 40}{number}.example." for number in range(13))


@pytest.mark.parametrize(
    ("authority", "is_truncated"),
    [
        pytest.param(_SERVERS, False, id="name servers"),
        pytest.param((*_SERVERS, f"example. 5 IN RRSIG NS {_SIGNATURE}"), False, id="signed"),
        pytest.param(
            (*_SERVERS, "a.example. 5 IN NSEC z.example. A", f"a.example. 5 IN RRSIG NSEC {_SIGNATURE}"),
            True,
            id="with the proof of a wildcard",
        ),
    ],
)  # fmt: skip
def test_name_servers_beside_an_answer_are_an_extra_and_proofs_are_not(authority, is_truncated):
    """RFC 2181 §9, RFC 4035 §3.1.3.3. The client would ask again by TCP for what it has."""
    reply = parsed(reply_to(asked(), many(1, authority=authority), HIT, 17, 512))
    assert bool(reply.flags & Flag.TC) is is_truncated
    assert is_truncated or (len(reply.answer), len(reply.authority)) == (1, 0)


def test_a_set_of_additional_records_is_told_as_a_whole_or_not():
    """RFC 2181 §9. The two sets are mixed up; half of either would be taken for all of it."""
    extra = [f"{who}.example. 5 IN A 192.0.2.{n}" for n in range(9) for who in ("X", "y")]
    body = many(20, additional=("z.example. 5 IN A 192.0.2.9", *(
        line.replace("X", "xX"[n % 2]) for n, line in enumerate(extra)
    )))  # fmt: skip
    reply = parsed(reply_to(asked(), body, HIT, 17, 512))
    assert [rrset.name.to_text() for rrset in reply.additional] == ["z.example."]
    assert not reply.flags & Flag.TC


def test_a_referral_whose_glue_does_not_fit_is_truncated():
    """RFC 9471 §3: without its addresses, name servers cannot be asked."""
    servers = tuple(f"ns{n}.example." for n in range(20))
    body = answered(
        authority=tuple(f"example. 5 IN NS {server}" for server in servers),
        additional=tuple(f"{server} 5 IN A 192.0.2.1" for server in servers),
    )
    assert parsed(reply_to(asked(), body, HIT, 17, 512)).flags & Flag.TC


def test_names_are_compressed_before_records_go():
    owner = name("a.example.")
    body = read_answer(
        raw(*(record(owner, "TXT", bytes([1, number])) for number in range(30)),
            question=owner + b"\0\x10\0\1", counts=(1, 30, 0, 0))
    )  # fmt: skip
    client = asked("a.example. TXT")
    assert len(body.wire) > 512
    reply = parsed(reply_to(client, body, HIT, 17, 512))
    assert len(reply.answer[0]) == 30
    assert not reply.flags & Flag.TC


def test_a_body_is_compressed_once():
    owner = name("a.example.")
    parts = [record(owner, "TXT", bytes([1, number])) for number in range(90)]
    body = read_answer(raw(*parts, question=owner + b"\0\x10\0\1", counts=(1, 90, 0, 0)))
    first = reply_to(asked("a.example. TXT"), body, HIT, 17, 512)
    compressed = body.wire
    assert body.is_compressed
    assert len(compressed) < len(raw(*parts))
    assert reply_to(asked("a.example. TXT"), body, HIT, 17, 512) == first
    assert body.wire is compressed
    whole = parsed(reply_to(asked("a.example. TXT"), body, HIT, 4711, 65535))
    assert (len(whole.answer[0]), whole.answer[0].ttl) == (90, 4711)


def test_texts_of_errors_go_before_records_do():
    errors = ((22, b"x" * 200), (23, b"y" * 200))
    body = many(20)
    reply = parsed(reply_to(asked(use_edns=0), body, HIT, 17, 512, ede=errors))
    assert len(reply.answer[0]) == 20
    assert reply.options == (dns.edns.EDEOption(22), dns.edns.EDEOption(23))


@pytest.mark.parametrize(("count", "left"), [(2, 2), (1, 1), (0, 0)])
def test_errors_go_as_a_whole_before_records_do(count, left):
    """RFC 8914 §3: what is only extra pushes nothing out and truncates nothing."""
    errors = ((22, b"x"), (23, b"y"))
    body = many(20)
    room = len(body.wire) + 11 + 6 * count
    reply = parsed(reply_to(asked(use_edns=0), body, HIT, 17, room, ede=errors))
    assert len(reply.answer[0]) == 20
    assert len(reply.options) == left
    assert not reply.flags & Flag.TC


def test_a_reply_without_records_fits_512_octets_whatever_it_tells():
    longest = ".".join(["x" * 63] * 3 + ["x" * 61]) + "."
    errors = tuple((number, b"z" * 255) for number in range(4))
    reply = empty_reply(asked(f"{longest} A", use_edns=0, payload=512), Rcode.SERVFAIL, errors)
    assert len(reply) <= 512
    assert [option.code for option in parsed(reply).options] == [0, 1, 2, 3]


def test_a_reply_without_records_has_no_ra_unless_told():
    reply = parsed(empty_reply(asked(flags="RD CD"), Rcode.REFUSED))
    assert reply.flags == Flag.QR | Flag.RD | Flag.CD | Rcode.REFUSED
    assert parsed(empty_reply(asked(), 0, (), Flag.RA)).flags == Flag.QR | Flag.RA | Flag.RD


# Properties


@dataclass
class Case:
    """A client's query of some EDNS for the question of a response, in letters of its own."""

    body: Answer
    client: Query
    limit: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    packet = draw(responses())
    body = read_answer(packet)
    question = body.question
    if draw(st.booleans()):
        question = question[:-4].upper() + question[-4:]
    client = read_query(raw(question=question, flags=draw(st.sampled_from([0, 0x0100, 0x0110]))))
    client.payload_size = draw(st.sampled_from([0, 1, 512, 700, 1232, 4096]))
    client.has_do = bool(client.payload_size) and draw(st.booleans())
    return Case(body, client, draw(st.sampled_from([512, 540, 600, 700, 1232, 4096])))


ERRORS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([b"", b"x" * 100])), max_size=3
).map(tuple)


@given(cases(), ERRORS, st.integers(0, 2**31 - 1))
def test_dnspython_reads_every_reply_within_its_limit(case, errors, ttl):
    whole = parsed_apart(case.body.wire)
    octets = reply_to(case.client, case.body, HIT, ttl, case.limit, ede=errors)
    assert len(octets) <= case.limit
    reply = parsed_apart(octets)
    assert reply.to_wire()[:2] == case.client.id
    assert octets[12 : case.client.question_end] == case.client.question
    assert (reply.edns == 0) == bool(case.client.payload_size)
    for ours, theirs in zip(reply.sections[1:], whole.sections[1:], strict=True):
        assert {rrset.ttl for rrset in ours} <= {ttl}
        for rrset in theirs:
            rrset.ttl = ttl
        assert set(texts(ours)) <= set(texts(theirs))
    is_extra = bool(whole.answer) and not reply.flags & Flag.TC
    assert reply.flags & Flag.TC or texts(reply.answer) == texts(whole.answer)
    are_servers = is_extra and {rrset.rdtype for rrset in whole.authority} == {dns.rdatatype.NS}
    is_left_out = are_servers and not (reply.authority or reply.additional)
    assert reply.flags & Flag.TC or is_left_out or texts(reply.authority) == texts(whole.authority)
    assert is_extra or reply.flags & Flag.TC or reply.additional == whole.additional
