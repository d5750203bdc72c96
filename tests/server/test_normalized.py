"""Queries alike but for letter case and options: the table's reply is the one they would get."""

import random
import struct

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from nodecache.server.normalized import normalized, normalized_key
from nodecache.wire import MalformedMessage, read_query
from tests.server.zone_harness import ZoneHarness
from tests.wire.messages import opt, option, parsed, query

NAME = "www.a.example."
DATA = {
    "A": "A 192.0.2.1",
    "TYPE33": "SRV 1 2 53 .",
    "HTTPS": "HTTPS 1 .",
    "TYPE97": "TYPE97 \\# 1 00",
}


def in_case(packet: bytes, seed: int) -> bytes:
    """`packet`, each letter of its name in a case that `seed` draws."""
    draw = random.Random(seed)
    end = read_query(packet).question_end - 4
    name = bytes(
        octet ^ 0x20 if chr(octet).isalpha() and draw.random() < 0.5 else octet
        for octet in packet[12:end]
    )
    return packet[:12] + name + packet[end:]


@st.composite
def asked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two queries as some clients may send them, more or less alike."""
    kind = draw(st.sampled_from(sorted(DATA)))
    flags = draw(st.sampled_from(["RD", "RD AD", "RD CD", ""]))
    sizes = draw(st.none() | st.lists(st.integers(0, 9), max_size=2))
    other = draw(st.none() | st.sampled_from(sorted(DATA)))
    return (
        draw(as_sent(kind, flags, sizes)),
        draw(as_sent(other or kind, flags, sizes)),
    )


@st.composite
def as_sent(draw: st.DrawFn, kind: str, flags: str, sizes: list[int] | None) -> bytes:
    packet = in_case(query(f"{NAME} {kind}", flags=flags), draw(st.integers(0, 5)))
    if sizes is None:
        return packet
    codes = st.sampled_from([3, 8, 10, 12, 65001])
    options = b"".join(option(draw(codes), draw(st.binary(min_size=n, max_size=n))) for n in sizes)
    record = opt(
        draw(st.sampled_from([512, 1232])), options, flags=draw(st.sampled_from([0, 0x8000]))
    )
    packet = packet[:11] + b"\1" + packet[12:] + record
    return packet[:-1] + draw(st.binary(min_size=1, max_size=1)) if sizes == [0] else packet


def keeper() -> ZoneHarness:
    harness = ZoneHarness()
    for kind, data in DATA.items():
        for flags in ("RD", "RD CD"):
            for want_dnssec in (False, True):
                harness.ask_with(query(f"{NAME} {kind}", flags=flags, want_dnssec=want_dnssec))
                if harness.upstream.open:
                    harness.upstream.says(f"{NAME} 300 IN {data}")
    return harness


def try_read(packet: bytes) -> bool:
    try:
        read_query(packet)
    except MalformedMessage:
        return False
    return True


@given(asked())
def test_who_is_alike_gets_from_the_table_what_the_zone_would_say(queries):
    first, second = queries
    harness = keeper()
    if not try_read(first):
        return
    harness.ask_with(first)
    finished = harness.ask_with(first).finished
    if finished is None or finished.alike is None:
        return
    likeness = finished.alike
    assert likeness.reply(first, finished.tail) == first[:2] + finished.tail
    if likeness.key != normalized_key(second) or not likeness.fits(second):
        return
    event("alike")
    assert likeness.reply(second, finished.tail) == harness.ask_with(second).replies[0]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(query("WwW.A.eXAMPLE. A"), id="another case"),
        pytest.param(query("www.a.example. A"), id="lower case"),
    ],
)
def test_letter_case_is_the_askers_own(second):
    harness = ZoneHarness()
    harness.keep("www.a.example. 30 IN A 192.0.2.1", question="www.a.example. A")
    harness.ask("Www.a.Example. A")
    finished = harness.ask("Www.a.Example. A").finished
    assert finished.alike.key == normalized_key(second)
    assert finished.alike.fits(second)
    reply = finished.alike.reply(second, finished.tail)
    assert parsed(reply).question[0].name.to_text() == parsed(second).question[0].name.to_text()
    assert parsed(reply).answer[0][0].to_text() == "192.0.2.1"


def test_type_65_is_not_taken_for_type_97():
    https, other = query("A.example. TYPE65"), query("a.example. TYPE97")
    assert normalized_key(https) == normalized_key(other)
    assert not normalized(read_query(https)).fits(other)
    assert not normalized(read_query(other)).fits(https)


def with_options(data: bytes, payload: int = 1232) -> bytes:
    plain = query()
    return plain[:11] + b"\1" + plain[12:] + opt(payload, data)


COOKIE, OTHER_COOKIE = option(10, b"cookie01"), option(10, b"cookie02")


@pytest.mark.parametrize(
    ("other", "is_alike"),
    [
        pytest.param(with_options(OTHER_COOKIE), True, id="another cookie"),
        pytest.param(with_options(option(3) + option(12, bytes(4))), True, id="as many octets"),
        pytest.param(with_options(option(10, b"cookie")), False, id="fewer octets"),
        pytest.param(with_options(OTHER_COOKIE, payload=512), False, id="less room"),
        pytest.param(with_options(struct.pack("!2H8x", 10, 9)), False, id="cut option"),
        pytest.param(with_options(COOKIE) + b"\0", False, id="trailing octet"),
        pytest.param(query("b.example. A"), False, id="another name"),
    ],
)
def test_options_do_not_matter_as_long_as_they_are_whole(other, is_alike):
    likeness = normalized(read_query(with_options(COOKIE)))
    assert (likeness.key == normalized_key(other) and likeness.fits(other)) == is_alike


def test_octets_of_a_name_that_look_like_an_opt_do_not_mislead():
    packet = query("a\\000\\000\\041b.example. A", use_edns=0)
    assert normalized(read_query(packet)) is None


def test_what_has_more_than_an_opt_is_like_nothing():
    signed = query()[:11] + b"\1" + query()[12:] + b"\0\0\x10\0\x01\0\0\0\0\0\0"
    assert normalized(read_query(signed)) is None


@given(st.binary(max_size=40))
def test_any_octets_have_a_key(packet):
    assert normalized_key(packet) == packet[2:].lower()[: len(normalized_key(packet))]


@given(st.binary(max_size=40))
def test_any_octets_fit_or_do_not(packet):
    likeness = normalized(read_query(with_options(COOKIE)))
    assert likeness.fits(packet) in {True, False}
