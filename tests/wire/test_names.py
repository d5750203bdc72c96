import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.wire import MalformedMessage, expanded_name
from nodecache.wire.names import question_name_end, read_name_end
from tests.wire.messages import HEADER, name, pointer

NOTHING = b"\0" * HEADER
LONGEST = (
    b"".join(b"\x3f" + bytes([letter]) * 63 for letter in b"abc") + b"\x3d" + b"d" * 61 + b"\0"
)


def read(*parts: bytes, start: int = HEADER) -> int:
    """The end of the name at `start`, the places before it read in no way."""
    return read_name_end(NOTHING + b"".join(parts), start, {})


@pytest.mark.parametrize(
    ("octets", "end"),
    [
        pytest.param(b"\0", 1, id="root"),
        pytest.param(name("a.b."), 5, id="two labels"),
        pytest.param(LONGEST, 255, id="255 octets"),
        pytest.param(b"\1." + b"\3\0\xc0\xff\0", 7, id="any octets in labels"),
        pytest.param(b"\1a" * 127 + b"\0", 255, id="127 labels"),
    ],
)
def test_a_name_ends_behind_its_root(octets, end):
    assert question_name_end(NOTHING + octets, HEADER) == HEADER + end
    assert read(octets) == HEADER + end


@pytest.mark.parametrize(
    ("octets", "rule"),
    [
        pytest.param(b"", "past the end", id="nothing"),
        pytest.param(b"\1a", "past the end", id="no root"),
        pytest.param(b"\7a", "past the end", id="label cut off"),
        pytest.param(b"\xc0", "past the end", id="half a pointer"),
        pytest.param(b"\x3f" + b"x" * 63 + LONGEST, "longer than 255", id="over 255 octets"),
        pytest.param(
            LONGEST[:192] + b"\x3e" + b"d" * 62 + b"\0", "longer than 255", id="256 octets"
        ),
        pytest.param(b"\x40" + b"x" * 64 + b"\0", "neither a length nor", id="label type 01"),
        pytest.param(b"\x80" + b"x" * 200 + b"\0", "neither a length nor", id="label type 10"),
    ],
)
def test_a_broken_name_is_refused(octets, rule):
    with pytest.raises(MalformedMessage, match=rule):
        read(octets)


@pytest.mark.parametrize("octets", [b"\xc0\x0c", b"\1a\xc0\x0c", b"\x40a\0", b"\x80\0"])
def test_a_question_name_is_written_in_full(octets):
    with pytest.raises(MalformedMessage, match="question name"):
        question_name_end(NOTHING + octets + b"\0", HEADER)


QUESTION = name("a.example.")
AFTER = HEADER + len(QUESTION)


def read_after_question(*parts: bytes) -> int:
    packet = NOTHING + QUESTION + b"".join(parts)
    return read_name_end(packet, AFTER, {})


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        pytest.param(pointer(12), "a.example.", id="the question"),
        pytest.param(pointer(14), "example.", id="its parent"),
        pytest.param(pointer(AFTER - 1), ".", id="its root"),
        pytest.param(b"\1b" + pointer(14), "b.example.", id="a label before it"),
    ],
)
def test_pointers_lead_into_the_question(octets, text):
    packet = NOTHING + QUESTION + octets
    assert read_after_question(octets) == len(packet)
    assert expanded_name(packet, AFTER) == name(text)


def test_a_pointer_may_lead_to_a_pointer():
    packet = NOTHING + QUESTION + pointer(12) + pointer(AFTER)
    places: dict[int, int] = {}
    assert read_name_end(packet, AFTER, places) == AFTER + 2
    assert read_name_end(packet, AFTER + 2, places) == AFTER + 4
    assert expanded_name(packet, AFTER + 2) == name("a.example.")


def test_a_pointer_may_lead_into_data_that_reads_as_a_name():
    data = b"junk" + name("svc.example.")
    packet = NOTHING + QUESTION + data + pointer(AFTER + 4)
    start = AFTER + len(data)
    assert read_name_end(packet, start, {}) == start + 2
    assert expanded_name(packet, start) == name("svc.example.")


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(pointer(AFTER), id="itself"),
        pytest.param(b"\1b" + pointer(AFTER), id="its own start"),
        pytest.param(b"\1b" + pointer(AFTER + 2), id="its own pointer"),
        pytest.param(pointer(AFTER + 2) + b"\0", id="forward"),
        pytest.param(pointer(0x3FFF), id="out of the message"),
    ],
)
def test_pointers_that_do_not_lead_back_are_refused(octets):
    with pytest.raises(MalformedMessage):
        read_after_question(octets)


def test_two_places_that_point_at_each_other_are_refused():
    data = pointer(AFTER + 2) + pointer(AFTER)
    with pytest.raises(MalformedMessage):
        read_after_question_at(data, pointer(AFTER + 2))
    with pytest.raises(MalformedMessage):
        read_after_question_at(data, pointer(AFTER))


def test_a_name_in_data_must_end_before_the_one_that_points_there():
    with pytest.raises(MalformedMessage):
        read_after_question_at(b"\3a", pointer(AFTER))


def test_a_pointer_cut_by_the_name_that_leads_to_it_is_refused():
    with pytest.raises(MalformedMessage):
        read_after_question_at(b"\1a\xc0", pointer(AFTER))


def read_after_question_at(data: bytes, octets: bytes) -> int:
    packet = NOTHING + QUESTION + data + octets
    return read_name_end(packet, AFTER + len(data), {})


def test_a_name_is_at_most_255_octets_when_written_out():
    packet = NOTHING + LONGEST + b"\1a" + pointer(12 + 64)
    assert read_name_end(packet, HEADER + 255, {})
    too_long = NOTHING + LONGEST + b"\1a" + pointer(12)
    with pytest.raises(MalformedMessage, match="longer than 255"):
        read_name_end(too_long, HEADER + 255, {})


def test_long_chains_of_pointers_are_refused_whether_read_in_order_or_at_once():
    chain = b"".join(pointer(HEADER + 2 * step) for step in range(1, 400))
    packet = NOTHING + b"\1a\0\0" + chain
    places: dict[int, int] = {}
    ends = [attempt(packet, start, places) for start in range(HEADER + 4, len(packet), 2)]
    assert ends[:100] == list(range(HEADER + 6, HEADER + 206, 2))
    assert ends[130:] == [None] * len(ends[130:])
    assert attempt(packet, len(packet) - 2, {}) is None


def test_a_message_full_of_pointers_is_read_in_linear_time():
    """Every octet is passed once: what a name is led through is noted."""
    chain = b"\0\0" + b"".join(pointer(HEADER + max(0, step - 1) * 2) for step in range(1, 4000))
    packet = NOTHING + chain + pointer(HEADER + 240)
    places: dict[int, int] = {}
    read_name_end(packet, len(packet) - 2, places)
    assert set(range(HEADER + 2, HEADER + 242, 2)) <= set(places)


@given(st.binary(max_size=80), st.integers(0, 90))
def test_any_octets_are_a_name_or_refused(octets, start):
    packet = NOTHING + octets
    try:
        end = read_name_end(packet, HEADER + start, {})
    except MalformedMessage:
        return
    expanded = expanded_name(packet, HEADER + start)
    assert HEADER + start < end <= len(packet)
    assert len(expanded) <= 255
    assert expanded == expanded_name(packet, HEADER + start, {})


@given(st.binary(max_size=60), st.data())
def test_names_read_in_order_or_alone_are_the_same(octets, data):
    packet = NOTHING + octets
    places: dict[int, int] = {}
    start = HEADER
    while start < len(packet):
        alone = attempt(packet, start, {})
        assert attempt(packet, start, places) == alone
        if alone is None:
            return
        start = alone


def attempt(packet: bytes, start: int, places: dict[int, int]) -> int | None:
    try:
        return read_name_end(packet, start, places)
    except MalformedMessage:
        return None


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=8))
def test_dnspython_reads_what_we_expand(labels):
    octets = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    packet = NOTHING + QUESTION + octets + pointer(AFTER)
    try:
        read_name_end(packet, AFTER + len(octets), {})
    except MalformedMessage:
        assert len(octets) > 255
        return
    theirs, _ = dns.name.from_wire(packet, AFTER + len(octets))
    assert theirs.to_wire() == expanded_name(packet, AFTER + len(octets))
