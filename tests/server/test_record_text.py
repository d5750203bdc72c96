import pytest

from nodecache.server.record_text import record_of
from nodecache.wire import text_of, wire_of


@pytest.mark.parametrize(
    ("text", "ttl", "rdclass", "rdtype", "rdata"),
    [
        ("a.example. 60 IN A 10.0.0.1", 60, 1, 1, b"\x0a\0\0\1"),
        ("a.example IN 60 A 10.0.0.1", 60, 1, 1, b"\x0a\0\0\1"),
        ("a.example. A 10.0.0.1", 3600, 1, 1, b"\x0a\0\0\1"),
        ("a.example. 1h30m CNAME b", 5400, 1, 5, b"\1b\0"),
        ("a.example. 0 CH TXT a 'b'", 0, 3, 16, b"\1a\3'b'"),
        ("@ 5 IN NS a.", 5, 1, 2, b"\1a\0"),
        (
            "a. 60 IN SOA ns. hm. (1 60 60 60 60)",
            60,
            1,
            6,
            b"\2ns\0\2hm\0" + b"\0\0\0\1" + b"\0\0\0\x3c" * 4,
        ),
        ('a. 60 IN HTTPS 1 . alpn="h2"', 60, 1, 65, b"\0\1\0\0\1\0\3\2h2"),
        (r"a. 60 IN TYPE65280 \# 2 abcd", 60, 1, 65280, b"\xab\xcd"),
        ("a. 60 CLASS32 TYPE16 hi", 60, 32, 16, b"\2hi"),
    ],
)
def test_records_are_read_as_from_a_zone_file(text, ttl, rdclass, rdtype, rdata):
    record = record_of(text)
    assert (record.ttl, record.rdclass, record.rdtype) == (ttl, rdclass, rdtype)
    assert record.rdata == rdata


def test_names_without_a_dot_are_absolute():
    assert record_of("a.example A 10.0.0.1").owner == wire_of("a.example.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.",
        "a. 60 IN",
        "a. 60 IN A",
        "a. 60 IN A 300.0.0.1",
        "a. 60 IN NOSUCH x",
        "a..b. A 10.0.0.1",
        "a. 99999999999 IN A 10.0.0.1",
        "a. IN MX mail.",
        "a. 60 CLASS65536 A 10.0.0.1",
    ],
)
def test_what_is_no_record_is_an_error(text):
    with pytest.raises(ValueError):
        record_of(text)


def test_a_word_that_begins_as_a_ttl_is_read_in_linear_time():
    """A label in its place, as a template may put it there: each digit doubled the time, 24 took 3 s."""
    with pytest.raises(ValueError, match="unknown"):
        record_of(f"a. {'1' * 62}x IN A 10.0.0.1")


@pytest.mark.parametrize("octet", range(256))
def test_any_name_may_own_a_record_and_be_pointed_at(octet):
    """As templates write it, whose text is that of the question's name."""
    for label in (bytes([octet]), b"a" + bytes([octet]) * 2 + b"b"):
        name = bytes([len(label)]) + label + b"\7example\0"
        record = record_of(f"{text_of(name)} 60 IN CNAME {text_of(name)}")
        assert (record.owner, record.rdata) == (name, name)


@pytest.mark.parametrize(
    ("data", "string"),
    [(r"a\ b", b"a b"), (r'"a\ b"', b"a b"), (r'"a\\ b"', rb"a\ b"), (r'"a b"', b"a b")],
)
def test_spaces_in_strings_stay_spaces(data, string):
    assert record_of(f"a.example. 60 IN TXT {data}").rdata == bytes([len(string)]) + string
