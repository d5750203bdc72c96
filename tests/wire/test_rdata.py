import pytest

from nodecache.wire import MalformedMessage, read_answer
from nodecache.wire.rdata import name_offsets
from tests.wire.messages import TO_QUESTION, name, pointer, raw, record

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
    for written in (NAME, pointer(14), b"\0"):
        data = before + written * names + after
        wire = read(rdtype, data)
        start = len(wire) - len(data)
        rdnumber = int.from_bytes(wire[start - 10 : start - 8], "big")
        assert name_offsets(wire, rdnumber, start) == (start + len(before), names)
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
        assert name_offsets(b"", 65280, 5) == (5, 0)
