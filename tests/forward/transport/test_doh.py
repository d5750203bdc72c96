"""DNS over HTTPS without HTTP: what is asked, and what the pool hears of the responses."""

import dns.flags
import dns.message
import dns.rrset
import pytest

from nodecache.forward.runtime import Endpoint
from nodecache.forward.transport.doh import (
    MEDIA_TYPE,
    answer_to,
    authority,
    query_path,
    request_for,
    servfail,
)

QUERY = dns.message.make_query("www.example.org.", "A", use_edns=True, id=0x1234).to_wire()
ANSWER = dns.message.make_response(dns.message.from_wire(b"\0\0" + QUERY[2:])).to_wire()


OTHER = dns.message.make_response(dns.message.make_query("www.forged.org.", "A", id=0)).to_wire()


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        (Endpoint("9.9.9.9", 443, "https", "dns.quad9.net", "POST"), "dns.quad9.net"),
        (Endpoint("9.9.9.9", 8443, "https", "", "POST"), "9.9.9.9:8443"),
        (Endpoint("2620:fe::fe", 443, "https", "", "GET"), "[2620:fe::fe]"),
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


def heard(
    body: bytes, status: int = 200, media_type: str = MEDIA_TYPE, **fields: str
) -> dns.message.Message:
    """What the pool hears of a response to QUERY, with more header fields."""
    named = {b"content-type": media_type.encode()}
    named |= {name.encode(): value.encode() for name, value in fields.items()}
    return dns.message.from_wire(answer_to(QUERY, status, named, body))


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_query_is_asked_with_id_0(method):
    request = request_for(QUERY, Endpoint("192.0.2.1", 443, "https", "dns.example", method))
    asked = b"\0\0" + QUERY[2:]
    fields = dict(request.fields)
    assert (request.method, fields["accept"]) == (method, "application/dns-message")
    if method == "POST":
        assert (request.path, request.body) == ("/dns-query", asked)
        assert fields["content-type"] == "application/dns-message"
        assert fields["content-length"] == str(len(asked))
    else:
        assert (request.path, request.body) == (query_path(asked), b"")


@pytest.mark.parametrize(
    ("body", "status", "media_type", "why"),
    [
        (b"gone", 503, MEDIA_TYPE, "HTTP status 503"),
        (b"", 204, MEDIA_TYPE, "no answer to the question"),
        (b"short", 200, MEDIA_TYPE, "no answer to the question"),
        (OTHER, 200, MEDIA_TYPE, "no answer to the question"),
        (ANSWER[:30], 200, MEDIA_TYPE, "no answer to the question"),
        (ANSWER, 200, "text/html", "no DNS message but 'text/html'"),
        (ANSWER, 200, "x" * 1000, "no DNS message but 'xxx"),
        (ANSWER, 200, "", "no DNS message but ''"),
        (b"<html><body>Please log in first</body></html>", 200, MEDIA_TYPE, "no answer"),
    ],
)
def test_what_is_no_answer_is_servfail(body, status, media_type, why):
    said = heard(body, status, media_type)
    assert said.rcode() == 2
    assert why in said.options[0].text


def test_an_answer_in_other_letters_or_without_a_question_is_one():
    other_case = ANSWER.replace(b"example", b"eXamPle")
    bare = b"\0\0\x80\x05" + bytes(8)
    assert [heard(each).rcode() for each in (other_case, bare)] == [0, 5]
    assert heard(ANSWER, media_type="Application/DNS-Message; charset=x").id == 0x1234


def test_any_status_of_success_brings_an_answer():
    assert [heard(ANSWER, status).rcode() for status in (200, 203, 299, 300)] == [0, 0, 0, 2]


@pytest.mark.parametrize(
    ("age", "ttls"),
    [
        ("0", [300, 100, 60, 5]),
        ("250", [50, 0, 0, 0]),
        ("9" * 5000, [0, 0, 0, 0]),
        ("-1", [300, 100, 60, 5]),
        ("250, 10", [300, 100, 60, 5]),
    ],
)
def test_the_time_in_http_caches_is_taken_off_each_ttl(age, ttls):
    message = dns.message.from_wire(ANSWER)
    message.use_edns(0, ednsflags=dns.flags.DO)
    message.answer = [dns.rrset.from_text("www.example.org.", 300, "IN", "CNAME", "a.example.org.")]
    message.answer.append(dns.rrset.from_text("a.example.org.", 100, "IN", "A", "192.0.2.1"))
    message.authority = [dns.rrset.from_text("example.org.", 60, "IN", "NS", "ns.example.org.")]
    message.additional = [dns.rrset.from_text("ns.example.org.", 5, "IN", "A", "192.0.2.2")]
    said = heard(message.to_wire(), age=age)
    assert [each.ttl for each in said.answer + said.authority + said.additional] == ttls
    assert said.ednsflags == dns.flags.DO  # an OPT has flags where others have a TTL


def test_what_cannot_be_read_has_no_age():
    broken = ANSWER[:6] + b"\0\1" + ANSWER[8:] + b"\xc0"
    assert (
        answer_to(QUERY, 200, {b"content-type": MEDIA_TYPE.encode(), b"age": b"9"}, broken)
        == QUERY[:2] + broken[2:]
    )
