"""DNS over HTTPS without sockets: what is asked, and what the pool hears of the responses."""

import contextlib

import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.runtime import Endpoint
from nodecache.forward.transport.http import (
    BrokenHttp,
    DohStream,
    Http1,
    Http2Requests,
    authority,
    query_path,
    servfail,
)
from nodecache.forward.transport.http2 import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, frame
from nodecache.wire import FrameBuffer, framed

from .test_tls import PlainStream, Told

QUERY = dns.message.make_query("www.example.org.", "A", use_edns=True, id=0x1234).to_wire()
ANSWER = dns.message.make_response(dns.message.from_wire(b"\0\0" + QUERY[2:])).to_wire()


OTHER = dns.message.make_response(dns.message.make_query("www.forged.org.", "A", id=0)).to_wire()


def ours(answer: bytes, query: bytes = QUERY) -> bytes:
    return query[:2] + answer[2:]


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        (Endpoint("9.9.9.9", 443, True, "dns.quad9.net", "POST"), "dns.quad9.net"),
        (Endpoint("9.9.9.9", 8443, True, "", "POST"), "9.9.9.9:8443"),
        (Endpoint("2620:fe::fe", 443, True, "", "GET"), "[2620:fe::fe]"),
    ],
)
def test_requests_are_for_the_name_of_the_server(endpoint, told):
    assert authority(endpoint) == told


def test_a_get_asks_in_its_path():
    query = dns.message.make_query("www.example.com.", "A", id=0).to_wire()
    assert (
        query_path(query)
        == "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"  # RFC 8484 §4.1.1
    )


def test_no_answer_is_the_answer_servfail_to_the_question():
    told = dns.message.from_wire(servfail(QUERY, "HTTP status 500"))
    asked = dns.message.from_wire(QUERY)
    assert (told.id, told.question, told.rcode()) == (asked.id, asked.question, 2)
    assert dns.flags.to_text(told.flags) == "QR RD"
    assert not told.answer
    assert [(each.code, each.text) for each in told.options] == [(23, "HTTP status 500")]


def test_who_did_not_say_edns_gets_none_with_servfail():
    plain = dns.message.make_query("www.example.org.", "A").to_wire()
    told = dns.message.from_wire(servfail(plain, "HTTP status 500"))
    assert (told.edns, told.rcode()) == (-1, 2)


# HTTP/1.1


def response(body: bytes = ANSWER, status: str = "200 OK", *more: str) -> bytes:
    fields = "".join(f"{each}\r\n" for each in more)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def asking(count: int = 1, method: str = "POST") -> Http1:
    http = Http1("dns.example", method)
    for number in range(count):
        http.request(number.to_bytes(2, "big") + QUERY[2:])
    return http


def test_a_post_is_written_with_id_0():
    assert asking().to_send() == (
        b"POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nAccept: application/dns-message\r\n"
        b"Content-Type: application/dns-message\r\nContent-Length: %d\r\n\r\n"
        % len(QUERY)
        + b"\0\0"
        + QUERY[2:]
    )


def test_a_get_has_no_body():
    told = asking(method="GET").to_send()
    assert told.startswith(b"GET /dns-query?dns=AAAB")
    assert told.endswith(b"application/dns-message\r\n\r\n")


def test_responses_come_in_order_and_in_any_pieces():
    http = asking(3)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"5;x=y\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (ANSWER[:5], len(ANSWER) - 5, ANSWER[5:])
    told = b"HTTP/1.1 103 Early Hints\r\n\r\n" + response() + chunked + response()
    got = [each for at in range(len(told)) for each in http.receive(told[at : at + 1])]
    assert got == [n.to_bytes(2, "big") + ANSWER[2:] for n in range(3)]
    assert not http.is_over


@pytest.mark.parametrize(
    "told",
    [
        response(b"gone", "503 Service Unavailable"),
        response(b"short"),
        response(b"", "204 No Content"),
        response(b"<html><body>Please log in to this network first</body></html>"),
        response(OTHER),
        response(ANSWER[:30]),
    ],
)
def test_what_is_no_answer_is_servfail(told):
    (answer,) = asking().receive(told)
    assert dns.message.from_wire(answer).rcode() == 2


def test_an_answer_in_other_letters_or_without_a_question_is_one():
    other_case = ANSWER.replace(b"example", b"eXamPle")
    bare = b"\0\0\x80\x05" + bytes(8)
    http = asking(2)
    got = http.receive(response(other_case) + response(bare))
    assert [dns.message.from_wire(each).rcode() for each in got] == [0, 5]


def test_a_body_in_thousands_of_chunks_is_read_once():
    http = asking()
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert http.receive(first + b"1\r\nx\r\n" * 60_000) == []
    assert len(http._buffer) == 0


def test_requests_that_are_never_answered_end_the_connection_at_some_number():
    http = asking(5000)
    with pytest.raises(BrokenHttp):
        http.receive(response())


def test_a_server_that_closes_is_asked_nothing_more():
    http = asking(2)
    assert len(http.receive(response(ANSWER, "200 OK", "Connection: close") + b"more")) == 1
    assert http.is_over


@pytest.mark.parametrize(
    "told",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 20_000,
        response() + response(),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 9000 + b"\r\nx",
    ],
)
def test_what_is_no_http_is_found_out(told):
    with pytest.raises((BrokenHttp, ValueError)):
        asking().receive(told)


@given(st.lists(st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"4\r\nabcd\r\n",
    b"0\r\n", b"\xb2\xff", b"Connection: close\r\n", b": :\r\n", b"HTTP/1.1 \xb2\xb2\xb2\r\n",
]), max_size=12))  # fmt: skip
def test_whatever_comes_is_taken_or_refused(pieces):
    http = asking(3)
    with contextlib.suppress(BrokenHttp, ValueError):
        for piece in pieces:
            for answer in http.receive(piece):
                assert len(answer) >= 12


# HTTP/2


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_over_http2_questions_have_streams_of_their_own(method):
    http = Http2Requests("dns.example", method)
    http.request(QUERY)
    assert (b"\0\0" + QUERY[2:] in http.to_send()) == (method == "POST")
    head = frame(HEADERS, END_HEADERS, 1, b"\x88")
    assert http.receive(head + frame(DATA, END_STREAM, 1, ANSWER)) == [ours(ANSWER)]
    http.request(QUERY)
    not_found = servfail(QUERY, "HTTP status 404")
    assert http.receive(frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x8d")) == [not_found]
    assert not http.is_over


# The stream that the pool sees


class Carrier(PlainStream):
    """A TLS stream that keeps what it is given."""

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self.protocol = protocol


def opened(protocol: str) -> tuple[DohStream, Carrier, Told]:
    told, carrier = Told(), Carrier(protocol)
    stream = DohStream(told, Endpoint("192.0.2.1", 443, True, "dns.example", "POST"))
    stream.carry(carrier)
    stream.opened(1.0)
    return stream, carrier, told


@pytest.mark.parametrize(
    ("protocol", "first"), [("h2", b"PRI * HTTP/2.0"), ("http/1.1", b""), ("", b"")]
)
def test_the_protocol_is_what_was_agreed_on(protocol, first):
    _, carrier, told = opened(protocol)
    assert carrier.written.startswith(first)
    assert bool(carrier.written) == bool(first)
    assert told.kinds == ["opened"]


def test_frames_go_out_as_requests_and_responses_come_as_frames():
    stream, carrier, told = opened("")
    two = framed(QUERY) + framed(b"\0\7" + QUERY[2:])
    stream.write(two[:9])
    stream.write(two[9:])
    assert carrier.written.count(b"POST /dns-query") == 2
    stream.received(response() + response(), 1.0)
    ((_, data),) = told.events[1:]
    assert list(FrameBuffer().feed(data)) == [ours(ANSWER), b"\0\7" + ANSWER[2:]]
    assert stream.is_acknowledged()
    assert stream.local == carrier.local


def test_a_server_that_goes_ends_the_stream():
    stream, carrier, told = opened("h2")
    stream.received(frame(GOAWAY, 0, 0, bytes(8)), 1.0)
    assert carrier.is_closed
    assert told.events[1:] == [("closed", None)]
    stream.write(framed(QUERY))  # the pool may not have heard yet


@pytest.mark.parametrize("protocol", ["h2", ""])
def test_what_is_no_http_ends_the_stream_with_a_reason(protocol):
    stream, carrier, told = opened(protocol)
    stream.received(b"\xff" * 20_000, 1.0)
    assert carrier.is_closed
    assert told.kinds[1:] == ["closed"]
    assert str(told.events[1][1])


def test_a_stream_that_is_lost_is_told_once():
    stream, _, told = opened("")
    error = OSError("gone")
    stream.closed(error, 1.0)
    stream.closed(None, 1.0)
    assert told.events[1:] == [("closed", error)]


def test_a_stream_that_is_closed_tells_nothing():
    stream, carrier, told = opened("")
    stream.close()
    stream.received(response(), 1.0)
    stream.closed(None, 1.0)
    assert carrier.is_closed
    assert told.kinds == ["opened"]
