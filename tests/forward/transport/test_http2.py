"""HTTP/2 as a client of DoH speaks it, against frames and heads written by hand from the RFCs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.transport.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Http2,
    Malformed,
    digits,
    encoded,
    frame,
    status_of,
)

OK = b"\x88"  # RFC 7541, appendix A: 8 is `:status: 200`
POST = [(":method", "POST"), (":path", "/dns-query")]


def frames(octets: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each."""
    octets = octets.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    found = []
    while octets:
        size = int.from_bytes(octets[:3], "big")
        number = int.from_bytes(octets[5:9], "big")
        found.append((octets[3], octets[4], number, octets[9 : 9 + size]))
        octets = octets[9 + size :]
    return found


def opened() -> Http2:
    http = Http2()
    http.to_send()
    return http


def asking(count: int = 1, body: bytes = b"question") -> Http2:
    """A connection with so many requests under way; `asked` is their number."""
    http = opened()
    for number in range(count):
        http.request(POST, body, b"%d" % number)
    return http


def whole(number: int, body: bytes = b"answer") -> bytes:
    return frame(HEADERS, END_HEADERS, number, OK) + frame(DATA, END_STREAM, number, body)


def test_a_connection_begins_with_what_we_can_do():
    http = Http2()
    told = http.to_send()
    assert told.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    settings, window = frames(told)
    no_table, no_push, stream_window = b"\0\1" + bytes(4), b"\0\2" + bytes(4), b"\0\4\0\x10\0\0"
    assert settings == (SETTINGS, 0, 0, no_table + no_push + stream_window)
    assert window == (WINDOW_UPDATE, 0, 0, b"\x40\0\0\0")
    assert http.to_send() == b""


def test_a_request_is_a_head_and_a_body_on_a_stream_of_its_own():
    http = asking(2)
    head = encoded(POST)
    assert frames(http.to_send()) == [
        (HEADERS, END_HEADERS, 1, head),
        (DATA, END_STREAM, 1, b"question"),
        (HEADERS, END_HEADERS, 3, head),
        (DATA, END_STREAM, 3, b"question"),
    ]
    http.request(POST, b"", b"get")
    assert frames(http.to_send()) == [(HEADERS, END_HEADERS | END_STREAM, 5, head)]


def test_responses_come_in_any_order_and_in_any_pieces():
    http = asking(2)
    told = whole(3, b"second") + whole(1, b"first")
    got = [each for at in range(len(told)) for each in http.receive(told[at : at + 1])]
    assert got == [(b"1", 200, b"second"), (b"0", 200, b"first")]


def test_a_head_may_go_on_and_be_padded_and_have_a_priority():
    http = asking()
    padded = b"\x02" + bytes(5) + b"\x48\x03" + b"\0\0"
    got = http.receive(
        frame(HEADERS, PADDED | PRIORITY, 1, padded)
        + frame(CONTINUATION, END_HEADERS, 1, b"404")
        + frame(DATA, END_STREAM | PADDED, 1, b"\x03abc\0\0\0")
    )
    assert got == [(b"0", 404, b"abc")]


def test_what_is_said_first_and_last_is_no_response():
    http = asking()
    early = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103")
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\0\1x\1y")
    body = frame(DATA, 0, 1, b"answer")
    assert http.receive(early + frame(HEADERS, END_HEADERS, 1, OK) + body + trailers) == [
        (b"0", 200, b"answer")
    ]


def test_a_stream_that_is_broken_off_is_a_response_without_status():
    assert asking().receive(frame(RST_STREAM, 0, 1, bytes(4))) == [(b"0", 0, b"")]


def test_settings_and_pings_are_answered():
    http = opened()
    http.receive(frame(SETTINGS, 0, 0, b"") + frame(PING, 0, 0, b"12345678"))
    assert frames(http.to_send()) == [(SETTINGS, ACK, 0, b""), (PING, ACK, 0, b"12345678")]
    http.receive(frame(SETTINGS, ACK, 0, b"") + frame(PING, ACK, 0, b"12345678"))
    assert http.to_send() == b""


def test_no_more_streams_are_opened_than_the_server_takes():
    http = opened()
    http.receive(frame(SETTINGS, 0, 0, b"\0\3\0\0\0\2"))
    http.to_send()
    for number in range(3):
        http.request(POST, b"", b"%d" % number)
    assert [each[2] for each in frames(http.to_send())] == [1, 3]
    http.receive(whole(1))
    assert [each[2] for each in frames(http.to_send())] == [5]


def test_no_more_is_sent_than_the_server_has_room_for():
    http = asking(3, body=bytes(30_000))
    assert len(frames(http.to_send())) == 4
    http.receive(frame(WINDOW_UPDATE, 0, 0, b"\0\0\x75\x30"))
    assert len(frames(http.to_send())) == 2


def test_a_stream_gets_no_more_than_its_window():
    http = opened()
    http.receive(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\4"))
    http.to_send()
    http.request(POST, b"question", b"0")
    assert http.to_send() == b""


def test_our_own_window_is_opened_again():
    http = asking()
    http.to_send()
    http._consumed = 1 << 29
    http.receive(frame(DATA, 0, 1, b"x"))
    assert frames(http.to_send()) == [(WINDOW_UPDATE, 0, 0, b"\x20\0\0\1")]


def test_a_server_that_goes_answers_what_it_began_and_gets_nothing_more():
    http = asking(2)
    http.to_send()
    assert http.receive(frame(GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4))) == [(b"1", 0, b"")]
    assert not http.is_over
    http.request(POST, b"", b"late")
    assert http.to_send() == b""
    assert http.receive(whole(1)) == [(b"0", 200, b"answer")]
    assert http.is_over


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="not HTTP/2"),
        pytest.param(b"\0\x40\1" + bytes(6), id="too large a frame"),
        pytest.param(frame(PUSH_PROMISE, 0, 1, b""), id="a push"),
        pytest.param(frame(CONTINUATION, END_HEADERS, 1, b""), id="a continuation of nothing"),
        pytest.param(frame(HEADERS, 0, 1, OK) + frame(PING, 0, 0, b""), id="a head cut short"),
        pytest.param(frame(HEADERS, 0, 1, OK) + frame(CONTINUATION, 4, 3, b""), id="another's"),
        pytest.param(frame(DATA, PADDED, 1, b"\x05abc"), id="more padding than payload"),
        pytest.param(frame(DATA, PADDED, 1, b""), id="padding of no size"),
        pytest.param(frame(GOAWAY, 0, 0, b"\0"), id="GOAWAY cut"),
        pytest.param(frame(WINDOW_UPDATE, 0, 0, b""), id="WINDOW_UPDATE cut"),
        pytest.param(frame(DATA, 0, 1, bytes(16384)) * 4, id="too large a body"),
        pytest.param(frame(PING, 0, 0, bytes(8)) * 5000, id="nothing but pings"),
        pytest.param(frame(SETTINGS, 0, 0, b"") * 5000, id="nothing but settings"),
        pytest.param(frame(DATA, 0, 1, b"") * 5000, id="nothing but empty frames"),
        pytest.param(
            frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, bytes(16384)) * 2,
            id="too large a head",
        ),
    ],
)
def test_a_server_that_breaks_the_rules_is_found_out(told):
    with pytest.raises(Malformed):
        asking().receive(told)


def test_bodies_that_are_begun_and_never_ended_are_no_more_than_some_megabytes():
    http = opened()
    http.receive(frame(SETTINGS, 0, 0, b"\0\3\0\1\0\0"))
    for number in range(200):
        http.request(POST, b"", str(number).encode())
    begun = b"".join(frame(DATA, 0, 2 * number + 1, bytes(16384)) * 3 for number in range(200))
    with pytest.raises(Malformed):
        http.receive(begun)


def test_a_connection_that_is_used_may_bring_any_number_of_frames():
    http = opened()
    for number in range(100):
        http.request(POST, b"", b"asked")
        http.receive(frame(PING, 0, 0, bytes(8)) * 100)
        assert len(http.receive(whole(2 * number + 1))) == 1


def test_what_waits_without_end_for_room_is_bounded():
    http = opened()
    http.receive(frame(SETTINGS, 0, 0, b"\0\3\0\0\0\0"))
    for _ in range(10_000):
        http.request(POST, b"", b"asked")
    assert len(http._waiting) < 5000


@given(st.binary(max_size=60), st.integers(0, 10), st.integers(0, 255))
def test_whatever_comes_is_taken_or_refused(payload, kind, flags):
    with contextlib.suppress(ValueError, IndexError):
        asking().receive(frame(kind, flags, 1, payload))


# Heads: HPACK


def test_a_head_is_written_in_numbers_and_literals():
    fields = [
        (":method", "POST"), (":scheme", "https"), (":path", "/dns-query"), (":authority", "a"),
        ("accept", "b"), ("content-type", "c"), ("content-length", "33"), (":method", "GET"),
    ]  # fmt: skip
    assert encoded(fields) == (
        b"\x83\x87\x04\x0a/dns-query\x01\x01a\x0f\x04\x01b\x0f\x10\x01c\x0f\x0d\x0233\x82"
    )


def test_a_long_value_is_written_with_its_length():
    assert encoded([(":path", "/" * 1337)]) == b"\x04\x7f\xba\x09" + b"/" * 1337


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"\x88", 200, id="by number"),
        pytest.param(b"\x8d", 404, id="another"),
        pytest.param(b"\x20\x88", 200, id="behind a table's size"),
        pytest.param(b"\x3f\xe1\x1f\x88", 200, id="behind a large one"),
        pytest.param(b"\x48\x03302", 302, id="a literal"),
        pytest.param(bytes.fromhex("48826402"), 302, id="RFC 7541 C.6.1, Huffman"),
        pytest.param(bytes.fromhex("4883640eff"), 307, id="RFC 7541 C.6.2, Huffman"),
        pytest.param(b"\x18\x03503", 503, id="never indexed"),
        pytest.param(b"\0\x07:status\x03201", 201, id="by name"),
        pytest.param(b"\x0f\x0d\x02ab\x88\x5f\x01x", 200, id="between others"),
        pytest.param(b"", 0, id="none"),
    ],
)
def test_the_status_is_found(head, status):
    assert status_of(head) == status


@pytest.mark.parametrize(
    ("coded", "told"),
    [("1001", "200"), ("6402", "302"), ("640eff", "307"), ("684fff", "429"), ("6c0cff", "503")],
)
def test_digits_in_huffmans_code(coded, told):
    assert digits(bytes.fromhex(coded)) == told


@pytest.mark.parametrize("coded", ["", "ff", "ffff", "64"])
def test_what_is_no_three_digits_is_no_number(coded):
    assert not digits(bytes.fromhex(coded)).isdigit() or len(digits(bytes.fromhex(coded))) < 3


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\xbe", id="a field of a table"),
        pytest.param(b"\x80", id="number 0"),
        pytest.param(b"\x7f\x40\x01x", id="a name of a table"),
        pytest.param(b"\x48\x05302", id="beyond the end"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff\xff", id="a number without an end"),
        pytest.param(b"\x48\x03abc", id="no number"),
        pytest.param(b"\x48\x82\xff\xff", id="no digits"),
    ],
)
def test_a_head_that_cannot_be_is_refused(head):
    with pytest.raises(ValueError, match=r".*"):
        status_of(head)
