import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.wire import MalformedMessage, compressed, read_answer
from nodecache.wire.compress import cut_to, rewritten
from tests.wire.messages import (
    HEADER,
    name,
    parsed,
    parsed_apart,
    pointer,
    raw,
    record,
    response,
    strangers_packets,
    texts,
)
from tests.wire.test_reader_laws import SEEDS

Q = "a.long.example. ANY"


def question(text: str, rdtype: int = 255) -> bytes:
    return name(text) + rdtype.to_bytes(2, "big") + b"\0\1"


# Names


def test_the_target_of_an_alias_is_compressed():
    assert compressed(response(Q, "a.long.example. 5 IN CNAME b.long.example.")).endswith(
        b"\1b\xc0\x0e"
    )


@pytest.mark.parametrize(
    ("rdtype", "data", "names"),
    [
        pytest.param("NS", b"", 1, id="NS"),
        pytest.param("PTR", b"", 1, id="PTR"),
        pytest.param("MX", b"\0\5", 1, id="MX"),
        pytest.param("SOA", b"", 2, id="SOA"),
        pytest.param("MINFO", b"", 2, id="MINFO"),
    ],
)
def test_what_rfc_1035_defines_is_written_with_pointers(rdtype, data, names):
    rest = bytes(20) if rdtype == "SOA" else b""
    data += name("a.long.example.") * names + rest
    message = raw(
        record(b"\xc0\x0c", rdtype, data), question=question("a.long.example."), counts=(1, 1, 0, 0)
    )
    assert pointer(HEADER) * names + rest == compressed(message)[-2 * names - len(rest) :]
    assert rdtype == "MINFO" or parsed(compressed(message)).answer == parsed(message).answer


@pytest.mark.parametrize(
    ("rdtype", "before", "names", "after"),
    [
        pytest.param("SRV", bytes(6), 1, b"", id="SRV, RFC 2782"),
        pytest.param("DNAME", b"", 1, b"", id="DNAME, RFC 6672"),
        pytest.param("RP", b"", 2, b"", id="RP"),
        pytest.param("AFSDB", bytes(2), 1, b"", id="AFSDB"),
        pytest.param("RT", bytes(2), 1, b"", id="RT"),
        pytest.param("PX", bytes(2), 2, b"", id="PX"),
        pytest.param("NAPTR", bytes(4) + b"\1a\2bc\0", 1, b"", id="NAPTR"),
        pytest.param("SIG", bytes(18), 1, b"signature", id="SIG"),
        pytest.param("NXT", b"", 1, b"\x40", id="NXT"),
    ],
)
def test_what_came_later_is_read_with_pointers_and_written_without(rdtype, before, names, after):
    """RFC 3597 §4."""
    message = raw(
        record(b"\xc0\x0c", rdtype, before + pointer(14) * names + after),
        question=question("a.long.example."),
        counts=(1, 1, 0, 0),
    )
    whole = before + name("long.example.") * names + after
    assert compressed(message).endswith(len(whole).to_bytes(2, "big") + whole)
    read_answer(compressed(message))


def test_data_of_other_types_is_left_alone():
    data = b"\0\1" + name("long.example.")
    message = raw(
        record(b"\xc0\x0c", 65, data), question=question("a.long.example."), counts=(1, 1, 0, 0)
    )
    assert compressed(message) == message


def test_letter_case_is_kept():
    message = response(
        "a.Long.example. NS",
        "a.Long.example. 5 IN NS b.LONG.example.",
        "a.Long.example. 5 IN NS b.Long.example.",
    )
    assert texts_as_they_are(compressed(message)) == texts_as_they_are(message)


def texts_as_they_are(wire: bytes) -> list[str]:
    return sorted(parsed(wire).answer[0].to_text().split())


@pytest.mark.parametrize("rdtype", ["SRV", "DNAME", "NAPTR"])
def test_a_name_that_may_not_point_is_pointed_at(rdtype):
    """So does CoreDNS's library: 4 pods of a headless Service are 396 octets, not 492."""
    data = {"SRV": "0 25 80 x.pod.example.", "NAPTR": '1 1 "" "" "" x.pod.example.'}
    message = response(
        f"a.example. {rdtype}",
        f"a.example. 5 IN {rdtype} {data.get(rdtype, 'x.pod.example.')}",
        additional=("x.pod.example. 5 IN A 192.0.2.1",),
    )
    target = compressed(message).index(name("x.pod.example."))
    assert compressed(message).endswith(record(pointer(target), "A", bytes([192, 0, 2, 1]), ttl=5))


def test_places_beyond_a_pointers_reach_are_not_pointed_at():
    filler = [record(b"\xc0\x0c", "TXT", (b"\xff" + b"x" * 255) * 4) for _ in range(16)]
    late = record(name("late.net."), "A", b"1234")
    message = raw(*filler, late, late, question=question("a."), counts=(1, 18, 0, 0))
    assert len(compressed(message)) == len(message)
    assert texts(parsed(compressed(message)).answer) == texts(parsed(message).answer)


def test_the_longest_data_with_a_name_still_fits_its_size():
    long = (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"y" * 61
    data = bytes(18) + pointer(HEADER)
    data += bytes(
        65_535 - len(raw(record(b"\xc0\x0c", "SIG", data), question=long + question(".")))
    )
    message = raw(
        record(b"\xc0\x0c", "SIG", data), question=long + question("."), counts=(1, 1, 0, 0)
    )
    assert len(message) == 65_535
    assert len(rewritten(message)[0]) == len(message) + 253


def test_data_that_would_be_longer_than_its_size_can_tell_is_malformed():
    """A SIG whose name begins in the question and runs through to the SIG's own octets, once more."""
    label = bytearray(b"x" * 40)
    label[0], label[21] = (
        20,
        51,
    )  # the second label ends before the SIG's last octet before its name
    data = b"y" * 17 + b"\0" + pointer(HEADER + 1)
    asked = bytes([len(label)]) + label + question(".", 1)
    data += bytes(65_535 - len(raw(record(b"\0", "SIG", data), question=asked)))
    message = raw(record(b"\0", "SIG", data), question=asked, counts=(1, 1, 0, 0))
    with pytest.raises(MalformedMessage, match="names written out"):
        read_answer(message)


def test_the_root_is_shorter_than_a_pointer_to_it():
    message = response(". A", ". 5 IN A 192.0.2.1", ". 9 IN A 192.0.2.2")
    answer = read_answer(message)
    assert answer.wire == message
    assert rewritten(answer.wire) == (message, answer.ttl_offsets)


# Properties


@given(strangers_packets(SEEDS, 0x8180))
def test_compressing_any_answer_changes_no_record_and_makes_none_longer(packet):
    try:
        answer = read_answer(packet)
    except MalformedMessage:
        return
    wire, ttl_offsets = rewritten(answer.wire)
    again = read_answer(wire)
    assert again.ttl_offsets == ttl_offsets
    assert (again.rcode, again.kind, again.lowest_ttl) == (
        answer.rcode & 15,
        kind_of(answer),
        answer.lowest_ttl,
    )
    assert rewritten(wire) == (wire, ttl_offsets)


def kind_of(answer):
    return read_answer(answer.wire).kind


LABELS = st.sampled_from(["a", "b", "svc", "example", "A", "x" * 40])
NAMES = st.lists(LABELS, max_size=4).map(lambda labels: ".".join([*labels, ""]) or ".")
RECORDS = st.one_of(
    st.builds("{} 30 IN A 192.0.2.{}".format, NAMES, st.integers(0, 255)),
    st.builds("{} 40 IN CNAME {}".format, NAMES, NAMES),
    st.builds("{} 50 IN SRV 1 2 3 {}".format, NAMES, NAMES),
    st.builds("{} 60 IN MX 1 {}".format, NAMES, NAMES),
    st.builds('{} 70 IN TXT "{}"'.format, NAMES, st.sampled_from(["", "x" * 200])),
    st.builds("{} 80 IN SOA {} {} 1 2 3 4 5".format, NAMES, NAMES, NAMES),
)
NAME_SERVERS = st.builds("{} 90 IN NS {}".format, NAMES, NAMES)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Messages that dnspython writes, records in all sections."""
    return response(
        f"{draw(NAMES)} A",
        *draw(st.lists(RECORDS, max_size=12)),
        authority=tuple(draw(st.lists(RECORDS, max_size=3) | st.lists(NAME_SERVERS, max_size=3))),
        additional=tuple(draw(st.lists(RECORDS, max_size=3))),
    )


@given(responses(), st.integers(0, 1200))
def test_a_message_is_cut_at_the_last_border_within_the_limit(packet, limit):
    answer = read_answer(packet)
    cut, ttl_offsets = cut_to(answer.wire, answer.ttl_offsets, limit)
    read_answer(cut[:2] + bytes([cut[2] & ~2]) + cut[3:])
    assert answer.wire.startswith(cut[12:], 12)
    assert len(cut) <= max(limit, answer.question_end)
    assert ttl_offsets == answer.ttl_offsets[: len(ttl_offsets)]
    if cut[2] & 2:
        following = answer.ttl_offsets[len(ttl_offsets)]
        size = int.from_bytes(answer.wire[following + 4 : following + 6], "big")
        assert following + 6 + size > limit


@given(responses(), st.integers(0, 1200))
def test_additional_records_alone_go_by_whole_sets_and_without_tc(packet, limit):
    """RFC 2181 §9; but where nothing is answered they are what a referral leads on with."""
    answer = read_answer(packet)
    cut, _ = cut_to(answer.wire, answer.ttl_offsets, limit)
    left, whole = parsed(cut), parsed(packet)
    has_proofs = {rrset.rdtype for rrset in whole.authority} - {dns.rdatatype.NS}
    required = slice(6, 10) if has_proofs else slice(6, 8)
    is_extra_alone = cut[required] == answer.wire[required] and cut[6:8] != b"\0\0"
    assert bool(cut[2] & 2) == (cut != answer.wire and not is_extra_alone)
    if is_extra_alone:
        assert left.answer == whole.answer
        assert left.authority == whole.authority or not (left.authority or left.additional)
        assert left.additional == whole.additional[: len(left.additional)]


@given(responses(), st.integers(0, 1200))
def test_what_is_left_of_a_cut_message_stands_where_it_stood(packet, limit):
    answer = read_answer(packet)
    cut, _ = cut_to(answer.wire, answer.ttl_offsets, limit)
    left, whole = parsed_apart(cut), parsed_apart(packet)
    is_complete = True
    for ours, theirs in zip(left.sections[1:], whole.sections[1:], strict=True):
        assert ours == theirs[: len(ours)]
        assert is_complete or not ours
        is_complete = is_complete and len(ours) == len(theirs)
