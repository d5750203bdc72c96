import dns.rdatatype
import pytest

from nodecache.wire import MalformedMessage, read_answer
from nodecache.wire.rdata import name_offsets
from tests.wire.messages import TO_QUESTION, name, opt, pointer, raw, record

NAME = name("b.example.")
NAPTR_HEAD = bytes(4) + b"\1u\7E2U+sip\0"


def read(rdtype: str, data: bytes, **more: int) -> bytes:
    return read_answer(raw(record(TO_QUESTION, rdtype, data, **more), counts=(1, 1, 0, 0))).wire


@pytest.mark.parametrize(
    ("rdtype", "before", "names", "after"),
    [
        ("NS", b"", 1, b""),
        ("CNAME", b"", 1, b""),
        ("PTR", b"", 1, b""),
        ("MX", b"\0\5", 1, b""),
        ("SOA", b"", 2, bytes(20)),
        ("MINFO", b"", 2, b""),
        ("RP", b"", 2, b""),
        ("AFSDB", b"\0\1", 1, b""),
        ("RT", b"\0\1", 1, b""),
        ("PX", b"\0\1", 2, b""),
        ("SRV", bytes(6), 1, b""),
        ("DNAME", b"", 1, b""),
        ("NAPTR", NAPTR_HEAD, 1, b""),
        ("SIG", bytes(18), 1, b"signature"),
        ("SIG", bytes(18), 1, b""),
        ("NXT", b"", 1, b"\x40"),
    ],
)
def test_names_in_data_are_found_and_must_fill_it(rdtype, before, names, after):
    rdnumber = int(dns.rdatatype.from_text(rdtype))
    for written in (NAME, pointer(14), b"\0"):
        data = before + written * names + after
        packet = raw(record(TO_QUESTION, rdtype, data), counts=(1, 1, 0, 0))
        read_answer(packet)
        start = len(packet) - len(data)
        assert name_offsets(packet, rdnumber, start, len(packet)) == (start + len(before), names)
    if rdtype not in ("SIG", "NXT"):
        for wrong in (data[:-1], data + b"\0"):
            with pytest.raises(MalformedMessage):
                read(rdtype, wrong)
    with pytest.raises(MalformedMessage):
        read(rdtype, before)


@pytest.mark.parametrize("size", range(len(NAPTR_HEAD)))
def test_a_naptr_record_cut_in_its_strings_is_refused(size):
    with pytest.raises(MalformedMessage):
        read("NAPTR", NAPTR_HEAD[:size])


def test_a_string_that_runs_out_of_its_record_is_refused():
    with pytest.raises(MalformedMessage):
        read("NAPTR", bytes(4) + b"\0\0\xff" + NAME)


@pytest.mark.parametrize(("rdtype", "size"), [("A", 4), ("AAAA", 16)])
def test_addresses_have_one_size(rdtype, size):
    assert read(rdtype, bytes(size))
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(MalformedMessage, match="wrong size"):
            read(rdtype, bytes(wrong))


def test_addresses_of_other_classes_are_opaque():
    assert read("A", b"any size", rdclass=3)


def test_all_other_data_is_opaque():
    for rdtype in ("TXT", "HINFO", "DS", "NSEC", "TYPE65", "TYPE65280", "CAA", "KX"):
        assert read(rdtype, b"").endswith(b"\0\0")
        assert read(rdtype, b"\xc0\xff\x80").endswith(b"\xc0\xff\x80")
        assert name_offsets(b"", 65280, 5, 5) == (5, 0)


NEVER_COMPRESSED = [
    pytest.param("RRSIG", bytes(18), b"signature", id="RRSIG, RFC 4034 §3.1.7"),
    pytest.param("NSEC", b"", b"\0\1\x40", id="NSEC, RFC 4034 §4.1.1"),
    pytest.param("SVCB", b"\0\1", b"", id="SVCB, RFC 9460 §2.2"),
    pytest.param("HTTPS", b"\0\1", b"\0\1\0\3\2h2", id="HTTPS, RFC 9460 §2.2"),
    pytest.param("KX", b"\0\1", b"", id="KX, RFC 2230 §3.1"),
]
LATER = [
    pytest.param("SRV", bytes(6), b"", id="SRV"),
    pytest.param("DNAME", b"", b"", id="DNAME"),
    pytest.param("AFSDB", b"\0\1", b"", id="AFSDB"),
    pytest.param("NAPTR", NAPTR_HEAD, b"", id="NAPTR"),
    pytest.param("SIG", bytes(18), b"signature", id="SIG"),
]


@pytest.mark.parametrize(("rdtype", "before", "after"), NEVER_COMPRESSED + LATER)
@pytest.mark.parametrize("pseudo", [b"", opt(), opt() + opt()], ids=["no OPT", "OPT", "two OPTs"])
def test_a_name_that_may_not_be_compressed_is_written_out(rdtype, before, after, pseudo):
    """RFC 3597 §4: whoever reads a pointer there writes the name without."""
    parts = [
        record(TO_QUESTION, rdtype, before + b"\1x" + pointer(12) + after),
        record(TO_QUESTION, "A", b"\xc0\0\2\1", ttl=7),
        pseudo,
    ]
    answer = read_answer(raw(*parts, counts=(1, 2, 0, len(pseudo) // 11)))
    data = before + b"\1x" + name("a.example.") + after
    expected = record(TO_QUESTION, rdtype, data) + record(TO_QUESTION, "A", b"\xc0\0\2\1", ttl=7)
    assert answer.wire.endswith(expected)
    assert [answer.wire[at : at + 4] for at in answer.ttl_offsets] == [b"\0\0\0\x1e", b"\0\0\0\7"]
    assert answer.wire[6:12] == b"\0\2\0\0\0\0"


@pytest.mark.parametrize(("rdtype", "before", "after"), NEVER_COMPRESSED)
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(NAME, id="a name"),
        pytest.param(b"\0", id="the root"),
        pytest.param(b"\xc0\x05", id="pointer into the header"),
        pytest.param(b"\xff\xff", id="pointer past the end"),
        pytest.param(b"\1x\xc0", id="half a pointer"),
        pytest.param(b"\x40x", id="neither label nor pointer"),
        pytest.param(b"\x3f", id="label past the end"),
    ],
)
def test_data_without_a_good_pointer_stays_as_it_is(rdtype, before, written, after):
    data = before + written + (b"" if written[-1:] == b"\xc0" else after)
    assert read(rdtype, data).endswith(data)


def test_pointers_in_a_ring_are_left_alone():
    start = len(raw()) + len(record(TO_QUESTION, "NSEC", b""))
    for data in (pointer(start), b"\1x" + pointer(start), pointer(start + 2) + pointer(start)):
        assert read("NSEC", data).endswith(data)


@pytest.mark.parametrize(("count", "is_written_out"), [(15, True), (16, False), (16_000, False)])
def test_a_long_chain_of_pointers_is_not_followed_to_its_end(count, is_written_out):
    """Or a message of many such names would hold up everybody."""
    start = len(raw(record(TO_QUESTION, 65280, b"")))
    chain = pointer(12) + b"".join(pointer(start + 2 * number) for number in range(count - 1))
    last = pointer(min(start + 2 * (count - 1), 0x3FFF))
    packet = raw(
        record(TO_QUESTION, 65280, chain), record(TO_QUESTION, "NSEC", last), counts=(1, 2, 0, 0)
    )
    assert read_answer(packet).wire.endswith(name("a.example.") if is_written_out else last)


def test_a_name_too_long_to_write_out_is_left_alone():
    long = (b"\x3f" + b"x" * 63) * 3 + b"\x3c" + b"y" * 60 + b"\0"
    question = long + b"\0\x2f\0\1"
    for label, is_written_out in ((b"", True), (b"\1z", False)):
        data = label + pointer(12)
        part = record(TO_QUESTION, "NSEC", data)
        wire = read_answer(raw(part, question=question, counts=(1, 1, 0, 0))).wire
        assert wire.endswith(long if is_written_out else data)


def test_what_would_not_fit_a_message_written_out_is_refused():
    long = (b"\x3f" + b"x" * 63) * 3 + b"\0"
    question = long + b"\0\x21\0\1"
    few, many = (
        raw(
            record(TO_QUESTION, "SRV", bytes(6) + pointer(12)) * n,
            question=question,
            counts=(1, n, 0, 0),
        )
        for n in (300, 320)
    )
    assert len(read_answer(few).wire) <= 65_535
    with pytest.raises(MalformedMessage, match="too long"):
        read_answer(many)
