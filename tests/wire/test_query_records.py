"""What a query has behind its question: EDNS (RFC 6891), TSIG (RFC 8945)."""

import dns.edns
import dns.message
import dns.rdatatype
import dns.tsigkeyring
import pytest

from nodecache.wire import (
    Rcode,
    error_reply,
    read_query,
)
from tests.wire.asking import ONE_MORE, asked, refusal, signed
from tests.wire.messages import (
    HEADER,
    TO_QUESTION,
    name,
    opt,
    option,
    parsed,
    pointer,
    raw,
    record,
)

# EDNS


def test_an_opt_tells_what_the_client_can_take():
    read = asked(opt(payload=4096, flags=0x8000), counts=ONE_MORE)
    assert (read.payload_size, read.has_do) == (4096, True)


def test_a_payload_size_of_0_is_still_an_opt():
    assert asked(opt(payload=0), counts=ONE_MORE).payload_size > 0


def test_options_are_kept_as_they_were_sent():
    data = option(10, b"12345678") + option(65001)
    read = asked(opt(data=data), counts=ONE_MORE)
    assert read.options == data


def test_an_opt_need_not_be_the_last_record():
    other = record(name("x."), "A", b"\1\2\3\4")
    read = asked(opt(payload=800), other, counts=(1, 0, 0, 2))
    assert read.payload_size == 800


def test_an_opt_behind_other_sections_is_found():
    soa = record(TO_QUESTION, "SOA", name("m.") + name("r.") + b"\0" * 20)
    read = asked(soa, opt(payload=800), counts=(1, 0, 1, 1), question=name("a.") + b"\0\xfb\0\1")
    assert read.payload_size == 800


@pytest.mark.parametrize("version", [1, 2, 255])
def test_a_later_edns_version_is_answered_badvers_with_our_own(version):
    packet = raw(opt(version=version, data=b"?"), counts=ONE_MORE, flags=0x0100)
    fault = refusal(packet)
    assert fault.rcode == Rcode.BADVERS
    reply = parsed(error_reply(packet, fault.rcode, has_do=fault.has_do))
    assert (reply.rcode(), reply.edns, reply.options) == (Rcode.BADVERS, 0, ())
    assert reply.question


def test_badvers_echoes_do():
    packet = raw(opt(version=1, flags=0x8000), counts=ONE_MORE, flags=0x0100)
    fault = refusal(packet)
    assert parsed(error_reply(packet, fault.rcode, has_do=fault.has_do)).ednsflags & 0x8000


def test_unknown_edns_flags_are_overlooked():
    assert not asked(opt(flags=0x7FFF), counts=ONE_MORE).has_do


@pytest.mark.parametrize(
    ("parts", "counts"),
    [
        pytest.param([opt(), opt()], (1, 0, 0, 2), id="two OPTs"),
        pytest.param([opt(), opt(version=1)], (1, 0, 0, 2), id="two OPTs, one of a later version"),
        pytest.param([opt(version=1), opt()], (1, 0, 0, 2), id="a later version, and another OPT"),
        pytest.param([opt(owner=b"\1x\0")], ONE_MORE, id="OPT with an owner"),
        pytest.param([opt(owner=TO_QUESTION)], ONE_MORE, id="OPT with a pointer for an owner"),
        pytest.param([opt()], (1, 1, 0, 0), id="OPT in the answer section"),
        pytest.param([opt()], (1, 0, 1, 0), id="OPT in the authority section"),
        pytest.param([opt()[:-1]], ONE_MORE, id="OPT cut off"),
        pytest.param([opt()[:3]], ONE_MORE, id="OPT's type and no more"),
        pytest.param([opt(data=b"\0\x0a\0\x08")], ONE_MORE, id="option runs past its record"),
        pytest.param([opt(data=b"\0\x0a\0")], ONE_MORE, id="option without a size"),
        pytest.param([opt(data=option(10) + b"\0")], ONE_MORE, id="octets behind the last option"),
        pytest.param([record(b"\0", "OPT", b"", size=4)], ONE_MORE, id="OPT runs past the end"),
        pytest.param([record(b"\0", "OPT", b"", size=1)], ONE_MORE, id="OPT one octet too long"),
        pytest.param([], ONE_MORE, id="OPT promised"),
        pytest.param([b"\0\0"], ONE_MORE, id="the beginning of a record"),
    ],
)
def test_broken_edns_is_a_formerr(parts, counts):
    assert refusal(raw(*parts, counts=counts, flags=0x0100)).rcode == Rcode.FORMERR


# TSIG


def test_a_signed_query_is_answered_like_any_other_but_stays_out_of_the_table():
    read = read_query(signed())
    assert read.payload_size == 1232
    assert not read.is_alike_for_all


def test_dnspythons_signed_queries_are_read():
    message = dns.message.make_query("a.example.", "A")
    message.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0c2VjcmV0"}))
    assert read_query(message.to_wire()).qname == name("a.example.")


def test_a_signature_must_come_last():
    tsig = record(name("key."), "TSIG", b"x", rdclass=255)
    fault = refusal(raw(tsig, opt(), counts=(1, 0, 0, 2), flags=0x0100))
    assert fault.rcode == Rcode.FORMERR


@pytest.mark.parametrize("counts", [(1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 1, 1)])
def test_a_signature_elsewhere_is_a_formerr(counts):
    tsig = record(name("key."), "TSIG", b"x", rdclass=255)
    assert refusal(raw(tsig, tsig, counts=counts, flags=0x0100)).rcode == Rcode.FORMERR


ALGORITHM = name("hmac-sha256.")
TIMES = bytes(8)
ID_AND_ERROR = bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc0\x0c" + bytes(16), id="algorithm compressed"),
        pytest.param(ALGORITHM[:-1], id="algorithm cut off"),
        pytest.param(ALGORITHM + TIMES, id="no MAC"),
        pytest.param(ALGORITHM + TIMES + b"\0\x21" + b"m" * 32, id="MAC too short"),
        pytest.param(ALGORITHM + TIMES + b"\0\2mm" + ID_AND_ERROR, id="no other data"),
        pytest.param(ALGORITHM + TIMES + b"\0\2mm" + ID_AND_ERROR + b"\0\1", id="other data cut"),
        pytest.param(ALGORITHM + TIMES + b"\0\2mm" + ID_AND_ERROR + b"\0\0x", id="more than fits"),
    ],
)
def test_a_tsig_that_is_none_is_a_formerr(data):
    """RFC 8945 §5.2."""
    packet = raw(record(name("key."), "TSIG", data, rdclass=255), counts=ONE_MORE, flags=0x0100)
    assert refusal(packet).rcode == Rcode.FORMERR


@pytest.mark.parametrize("rdclass", [0, 1, 254])
def test_a_tsig_of_another_class_is_a_formerr(rdclass):
    data = ALGORITHM + TIMES + b"\0\0" + ID_AND_ERROR + b"\0\0"
    packet = raw(record(name("key."), "TSIG", data, rdclass=rdclass), counts=ONE_MORE, flags=0x0100)
    assert refusal(packet).rcode == Rcode.FORMERR


def test_a_whole_tsig_says_nothing_to_us():
    data = ALGORITHM + TIMES + b"\0\2mm" + ID_AND_ERROR + b"\0\1x"
    assert asked(record(name("key."), "TSIG", data, rdclass=255), counts=ONE_MORE).qtype == 1


def test_an_opt_of_the_root_may_say_so_with_a_pointer():
    root = HEADER + len(name("a.example.")) - 1
    assert asked(opt(700, owner=pointer(root)), counts=ONE_MORE).payload_size == 700
