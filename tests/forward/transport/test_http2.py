"""DoH over HTTP/2 without sockets: against h2's own server, and against one that does what it likes."""

import contextlib

import dns.message
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.runtime import Endpoint
from nodecache.forward.transport.doh import BrokenHttp, servfail
from nodecache.forward.transport.http2 import Http2

QUERY = dns.message.make_query("www.example.org.", "A", use_edns=True, id=0x1234).to_wire()
ANSWER = dns.message.make_response(dns.message.from_wire(b"\0\0" + QUERY[2:])).to_wire()
HEAD = [(":status", "200"), ("content-type", "application/dns-message")]


def asked(number: int) -> bytes:
    """The query with this id."""
    return number.to_bytes(2, "big") + QUERY[2:]


def answer(number: int) -> bytes:
    """Its answer, as the pool hears it."""
    return number.to_bytes(2, "big") + ANSWER[2:]


class Peers:
    """Our end and the server's, and what passes between them."""

    def __init__(
        self, method: str = "POST", settings: dict[SettingCodes, int] | None = None
    ) -> None:
        self.ours = Http2(Endpoint("192.0.2.1", 443, "https", "dns.example", method))
        self.server = H2Connection(H2Configuration(client_side=False))
        self.server.initiate_connection()
        self.server.update_settings(settings or {})
        self.requests: list[dict[bytes, bytes]] = []
        self.streams: list[int] = []
        self.settle()

    def settle(self) -> list[bytes]:
        """Let both hear each other until nobody has anything to say; the answers we heard."""
        heard: list[bytes] = []
        while True:
            there, here = self.ours.to_send(), self.server.data_to_send()
            if not there and not here:
                return heard
            for event in self.server.receive_data(there):
                if isinstance(event, RequestReceived):
                    self.requests.append(dict(event.headers))
                    self.streams.append(event.stream_id)
            heard += self.ours.receive(here)

    def ask(self, *numbers: int) -> None:
        for number in numbers:
            self.ours.request(asked(number))
        self.settle()

    def send_body(self, sizes: list[int]) -> None:
        for size in sizes:
            self.server.send_data(self.streams[0], bytes(size))
            self.settle()

    def respond(self, stream: int, body: bytes = ANSWER, head=HEAD) -> list[bytes]:
        self.server.send_headers(stream, head)
        self.server.send_data(stream, body, end_stream=True)
        return self.settle()


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_questions_have_streams_of_their_own_and_answers_come_as_they_are_ready(method):
    peers = Peers(method)
    peers.ask(1, 2, 3)
    head = peers.requests[0]
    assert (head[b":method"], head[b":authority"]) == (method.encode(), b"dns.example")
    assert (b"?dns=" in head[b":path"]) == (method == "GET")
    first, second, third = peers.streams
    assert peers.respond(third) == [answer(3)]
    assert peers.respond(first) == [answer(1)]
    assert peers.respond(second) == [answer(2)]
    assert not peers.ours.is_over


def test_an_error_and_a_stream_that_is_broken_off_are_servfail():
    peers = Peers()
    peers.ask(1, 2)
    first, second = peers.streams
    assert peers.respond(first, b"", [(":status", "404")]) == [
        servfail(asked(1), "HTTP status 404")
    ]
    peers.server.reset_stream(second)
    assert peers.settle() == [servfail(asked(2), "the request was broken off")]
    assert not peers.ours.is_over


def test_what_the_server_refused_unseen_is_asked_once_more():
    peers = Peers()
    peers.ask(1, 2)
    peers.server.reset_stream(peers.streams[0], ErrorCodes.REFUSED_STREAM)
    assert peers.settle() == []
    assert len(peers.streams) == 3
    assert peers.respond(peers.streams[2]) == [answer(1)]
    peers.ask(3)
    for stream in (3, 4):
        peers.server.reset_stream(peers.streams[stream], ErrorCodes.REFUSED_STREAM)
        heard = peers.settle()
    assert heard == [servfail(asked(3), "the request was broken off")]


def asking(count: int) -> Http2:
    """Our end, which has asked so much; the server's frames are written by hand."""
    ours = Http2(Endpoint("192.0.2.1", 443, "https", "dns.example", "POST"))
    ours.receive(SettingsFrame().serialize())
    for number in range(count):
        ours.request(asked(number))
    ours.to_send()
    return ours


def answering(number: int) -> bytes:
    """The server's answer to the question that went out as this one, counted from 0."""
    head = HeadersFrame(2 * number + 1, Encoder().encode(HEAD), flags=["END_HEADERS"])
    return head.serialize() + DataFrame(2 * number + 1, ANSWER, flags=["END_STREAM"]).serialize()


def goaway(last: int, error_code: int = 0) -> bytes:
    return GoAwayFrame(last_stream_id=last, error_code=error_code).serialize()


def test_a_burst_that_left_before_the_settings_is_asked_again_by_and_by():
    ours = asking(20)
    frames = [SettingsFrame(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 8})]
    frames += [RstStreamFrame(2 * n + 1, ErrorCodes.REFUSED_STREAM) for n in range(8, 20)]
    assert ours.receive(b"".join(each.serialize() for each in frames)) == []
    for number in range(8):
        assert ours.receive(answering(number)) == [answer(number)]
    # Streams 41, 43 …: the refused ones, the newest first.
    again = [ours.receive(answering(number)) for number in range(20, 32)]
    assert sorted(again) == [[answer(number)] for number in range(8, 20)]


@pytest.mark.parametrize("lasts", [[3], [2**31 - 1, 3]], ids=["at once", "announced"])
def test_a_server_that_goes_still_answers_what_it_accepted(lasts):
    ours = asking(3)
    assert ours.receive(b"".join(goaway(last) for last in lasts)) == []
    ours.request(asked(9))
    assert ours.to_send() == b""
    assert ours.receive(answering(1)) == [answer(1)]
    assert not ours.is_over
    assert ours.receive(answering(0)) == [answer(0)]
    assert ours.is_over  # the third, and the one after, are the pool's again


def test_a_farewell_and_the_last_answer_may_come_in_one():
    ours = asking(1)
    assert ours.receive(goaway(1) + answering(0)) == [answer(0)]
    assert ours.is_over


@pytest.mark.parametrize("told", [goaway(0), goaway(3, ErrorCodes.INTERNAL_ERROR)])
def test_a_server_that_goes_without_accepting_or_by_an_error_is_over_at_once(told):
    ours = asking(2)
    assert ours.receive(told) == []
    assert ours.is_over


def test_no_more_streams_are_opened_than_the_server_takes():
    peers = Peers(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    peers.ask(1, 2, 3)
    assert len(peers.streams) == 2
    assert peers.respond(peers.streams[0]) == [answer(1)]
    assert len(peers.streams) == 3


def test_a_burst_is_asked_by_and_by():
    peers = Peers()
    peers.ask(*range(100))
    assert len(peers.streams) == 32
    for number in range(100):
        assert peers.respond(peers.streams[number]) == [answer(number)]


def test_no_more_is_sent_than_the_server_has_room_for():
    peers = Peers(settings={SettingCodes.INITIAL_WINDOW_SIZE: 10})
    peers.ask(1)
    assert peers.streams == []
    peers.server.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    peers.settle()
    assert len(peers.streams) == 1


def test_our_own_window_is_opened_again():
    peers = Peers()
    for number in range(40):
        peers.ask(number)
        (heard,) = peers.respond(peers.streams[-1], ANSWER + bytes(10_000))
        assert heard[:2] == number.to_bytes(2, "big")


def test_a_server_that_goes_is_asked_nothing_more():
    peers = Peers()
    peers.ask(1)
    peers.server.close_connection(last_stream_id=0)
    assert peers.settle() == []
    assert peers.ours.is_over


def hear(http: Http2, told: bytes) -> None:
    """As the network reads: by the few."""
    for at in range(0, len(told), 4096):
        http.receive(told[at : at + 4096])


def served(*frames: Frame) -> bytes:
    return b"".join(each.serialize() for each in frames)


@pytest.mark.parametrize(
    "told",
    [
        b"\xff" * 5_000_000,
        served(SettingsFrame(0)) + b"\0\x41\0\0\0\0\0\0\1" + bytes(20_000),
        served(DataFrame(1, b"x" * 100)),
        served(SettingsFrame(0), *[PingFrame(0, b"12345678")] * 3000),
        served(*[SettingsFrame(0, settings={4: 1000})] * 3000),
    ],
)
def test_a_server_that_breaks_the_rules_or_wastes_our_time_is_found_out(told):
    http = Http2(Endpoint("192.0.2.1", 443, "https", "dns.example", "POST"))
    http.request(asked(1))
    with pytest.raises(BrokenHttp):
        hear(http, told)


@pytest.mark.parametrize("sizes", [[16_000] * 5, [1] * 3000], ids=["long", "by octets"])
def test_a_body_of_no_size_an_answer_has_is_found_out(sizes):
    peers = Peers()
    peers.ask(1)
    peers.server.send_headers(peers.streams[0], HEAD)
    with pytest.raises(BrokenHttp):
        peers.send_body(sizes)


def test_what_waits_without_end_for_room_is_bounded():
    peers = Peers(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    peers.ask(*range(5000))
    assert len(peers.ours._waiting) == 4096


@given(st.binary(max_size=200), st.integers(0, 9), st.integers(0, 255))
def test_whatever_comes_is_taken_or_refused(payload, kind, flags):
    http = Http2(Endpoint("192.0.2.1", 443, "https", "dns.example", "POST"))
    http.request(asked(1))
    http.to_send()
    with contextlib.suppress(BrokenHttp):
        http.receive(SettingsFrame(0).serialize())
        for stream in (0, 1):
            head = (
                len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            )
            for told in http.receive(head + payload):
                assert len(told) >= 12
