"""DNS over HTTPS without sockets: the stream that the pool sees."""

import gc
import weakref

import dns.message
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, SettingsFrame

from nodecache.forward.runtime import Endpoint
from nodecache.forward.transport.http import DohStream
from nodecache.wire import FrameBuffer, framed

from .test_http1 import response
from .test_tls import PlainStream, Told

QUERY = dns.message.make_query("www.example.org.", "A", use_edns=True, id=0x1234).to_wire()
ANSWER = dns.message.make_response(dns.message.from_wire(b"\0\0" + QUERY[2:])).to_wire()


class Carrier(PlainStream):
    """A TLS stream that keeps what it is given."""

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self.protocol = protocol


def opened(protocol: str) -> tuple[DohStream, Carrier, Told]:
    told, carrier = Told(), Carrier(protocol)
    stream = DohStream(told, Endpoint("192.0.2.1", 443, "https", "dns.example", "POST"))
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
    for _ in range(2):
        stream.received(response(), 1.0)
    assert carrier.written.count(b"POST /dns-query") == 2
    data = b"".join(each for _, each in told.events[1:])
    assert list(FrameBuffer().feed(data)) == [QUERY[:2] + ANSWER[2:], b"\0\7" + ANSWER[2:]]
    assert stream.is_acknowledged()
    assert stream.local == carrier.local


def test_a_server_that_goes_ends_the_stream():
    stream, carrier, told = opened("h2")
    stream.received(SettingsFrame(0).serialize() + GoAwayFrame(0).serialize(), 1.0)
    assert carrier.is_closed
    assert told.events[1:] == [("closed", None)]
    stream.write(framed(QUERY))  # the pool may not have heard yet


@pytest.mark.parametrize(
    ("protocol", "said"), [("h2", DataFrame(1, bytes(8)).serialize()), ("", b"\xff" * 20_000)]
)
def test_what_is_no_http_ends_the_stream_with_a_reason(protocol, said):
    stream, carrier, told = opened(protocol)
    stream.received(said, 1.0)
    assert carrier.is_closed
    assert told.kinds[1:] == ["closed"]
    assert str(told.events[1][1])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_answer_of_no_told_length_lasts_until_the_server_closes(version):
    """RFC 9112 §6.3: small servers speak so."""
    stream, _, told = opened("")
    stream.write(framed(QUERY))
    head = f"HTTP/{version} 200 OK\r\ncontent-type: application/dns-message\r\n\r\n"
    stream.received(head.encode() + ANSWER, 1.0)
    assert told.kinds == ["opened"]
    stream.closed(None, 2.0)
    assert told.events[1:] == [("received", framed(QUERY[:2] + ANSWER[2:])), ("closed", None)]


@pytest.mark.parametrize(
    "cut", ["HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1"]
)
def test_an_answer_that_is_cut_off_by_the_close_is_none(cut):
    stream, _, told = opened("")
    stream.write(framed(QUERY))
    stream.received(cut.encode(), 1.0)
    stream.closed(None, 2.0)
    assert told.events[1:] == [("closed", None)]


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


@pytest.mark.parametrize("end", ["ours", "theirs", "an error", "GOAWAY"])
def test_a_connection_that_ended_does_not_wait_for_the_garbage_collector(end):
    """h2's knows itself, and what is older than a moment is not looked at: each stayed for good."""
    gc.collect()
    gc.disable()
    try:
        stream, _, _ = opened("h2")
        stream.write(framed(QUERY))
        gone = weakref.ref(stream._codec._http)
        if end == "ours":
            stream.close()
        elif end == "GOAWAY":
            stream.received(SettingsFrame(0).serialize() + GoAwayFrame(0).serialize(), 1.0)
        else:
            stream.closed(OSError("gone") if end == "an error" else None, 1.0)
        assert gone() is None
    finally:
        gc.enable()
