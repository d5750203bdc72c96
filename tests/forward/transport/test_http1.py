"""DoH over HTTP/1.1 without sockets."""

import contextlib

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.runtime import Endpoint
from nodecache.forward.transport.doh import BrokenHttp
from nodecache.forward.transport.http1 import Http1

QUERY = dns.message.make_query("www.example.org.", "A", use_edns=True, id=0x1234).to_wire()
ANSWER = dns.message.make_response(dns.message.from_wire(b"\0\0" + QUERY[2:])).to_wire()

TYPE = "Content-Type: application/dns-message"


def response(body: bytes = ANSWER, status: str = "200 OK", *more: str) -> bytes:
    fields = "".join(f"{each}\r\n" for each in (TYPE, *more))
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def chunked(*chunks: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\n{TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x;x=y\r\n%s\r\n" % (len(each), each) for each in (*chunks, b""))


def asking(count: int = 1, method: str = "POST") -> Http1:
    http = Http1(Endpoint("192.0.2.1", 443, "https", "dns.example", method))
    for number in range(count):
        http.request(number.to_bytes(2, "big") + QUERY[2:])
    return http


def hear(http: Http1, told: bytes) -> None:
    """As the network reads: by the few."""
    for at in range(0, len(told), 4096):
        http.receive(told[at : at + 4096])


def test_a_post_is_written():
    assert asking().to_send() == (
        b"POST /dns-query HTTP/1.1\r\nhost: dns.example\r\naccept: application/dns-message\r\n"
        b"content-type: application/dns-message\r\ncontent-length: %d\r\n\r\n"
        % len(QUERY)
        + b"\0\0"
        + QUERY[2:]
    )


def test_a_get_has_no_body():
    told = asking(method="GET").to_send()
    assert told.startswith(b"GET /dns-query?dns=AAAB")
    assert told.endswith(b"application/dns-message\r\n\r\n")


def test_nothing_is_asked_after_the_last_response():
    """Where that answered a connection that was thought dead, queries that waited were written to it at once."""
    http = asking()
    http.to_send()
    http.receive(response(ANSWER, "200 OK", "Connection: close"))
    assert http.is_over
    http.request(QUERY)
    assert http.to_send() == b""


def test_requests_go_one_after_the_other_and_responses_come_in_any_pieces():
    http = asking(3)
    told = [b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(), chunked(ANSWER[:5], ANSWER[5:])]
    got = []
    for each in (*told, response()):
        assert http.to_send().count(b"POST /dns-query") == 1
        got += [answer for at in range(len(each)) for answer in http.receive(each[at : at + 1])]
    assert got == [n.to_bytes(2, "big") + ANSWER[2:] for n in range(3)]
    assert (http.is_over, http.to_send()) == (False, b"")


def test_what_waits_behind_a_slow_answer_is_the_newest():
    http = asking(300)
    assert http.receive(response()) == [b"\0\0" + ANSWER[2:]]
    assert http.receive(response()) == [(300 - 256).to_bytes(2, "big") + ANSWER[2:]]


def test_an_error_is_servfail_and_the_connection_goes_on():
    http = asking(2)
    (refused,) = http.receive(response(b"gone", "503 Service Unavailable"))
    assert dns.message.from_wire(refused).rcode() == 2
    assert http.receive(response()) == [b"\0\1" + ANSWER[2:]]


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
        response(bytes(70_000)),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 20_000,
        chunked(*[b"x"] * 3000),
        response() + response(),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,
    ],
)
def test_what_is_no_http_or_without_end_is_found_out(told):
    with pytest.raises(BrokenHttp):
        hear(asking(), told)


@given(st.lists(st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"4\r\nabcd\r\n",
    b"0\r\n", b"\xb2\xff", b"Connection: close\r\n", b": :\r\n", b"HTTP/1.1 \xb2\xb2\xb2\r\n",
]), max_size=12))  # fmt: skip
def test_whatever_comes_is_taken_or_refused(pieces):
    http = asking(3)
    with contextlib.suppress(BrokenHttp):
        for piece in pieces:
            for answer in http.receive(piece):
                assert len(answer) >= 12
            if http.is_over:
                return
