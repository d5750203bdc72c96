"""The fake upstream is a tool: that it misbehaves as told is checked here."""

import dns.exception
import dns.flags
import dns.message
import dns.query
import pytest

from tests.helpers.upstream import (
    FakeUpstream,
    closed,
    cut_in_half,
    delayed,
    garbage,
    saying,
    silent,
    truncated,
    twice,
    wrong_id,
    wrong_question,
)

QUERY = dns.message.make_query("a.example.", "A")


@pytest.fixture
def upstream():
    with FakeUpstream("a.example. 30 IN A 192.0.2.1") as upstream:
        yield upstream


def udp(upstream: FakeUpstream, seconds: float = 5) -> dns.message.Message:
    return dns.query.udp(QUERY, "127.0.0.1", timeout=seconds, port=upstream.port)


def tcp(upstream: FakeUpstream, seconds: float = 5) -> dns.message.Message:
    return dns.query.tcp(QUERY, "127.0.0.1", timeout=seconds, port=upstream.port)


def test_upstream_answers_from_its_records(upstream):
    assert udp(upstream).answer == tcp(upstream).answer != []
    assert [asked.transport for asked in upstream.wait_for(2)] == ["udp", "tcp"]
    assert upstream.asked[0].qname == "a.example."


def test_next_behaviours_are_used_up_one_a_query(upstream):
    upstream.then(saying("REFUSED"), truncated)
    assert [udp(upstream).rcode().name for _ in range(3)] == ["REFUSED", "NOERROR", "NOERROR"]


def test_truncated_answers_are_whole_over_tcp(upstream):
    upstream.behave = truncated
    assert udp(upstream).flags & dns.flags.TC
    assert tcp(upstream).answer


@pytest.mark.parametrize("behaviour", [silent, garbage, wrong_id, cut_in_half])
def test_bad_datagrams_are_no_answer(upstream, behaviour):
    upstream.behave = behaviour
    with pytest.raises((dns.exception.DNSException, dns.query.BadResponse)):
        udp(upstream, 0.2)


@pytest.mark.parametrize("behaviour", [closed, cut_in_half])
def test_closed_streams_are_no_answer(upstream, behaviour):
    upstream.behave = behaviour
    with pytest.raises(EOFError):
        tcp(upstream)


def test_wrong_question_carries_the_right_id(upstream):
    upstream.behave = wrong_question
    with pytest.raises(dns.query.BadResponse):
        udp(upstream)


@pytest.mark.parametrize("behaviour", [delayed(0.01), twice])
def test_odd_but_right_answers_arrive(upstream, behaviour):
    upstream.behave = behaviour
    assert udp(upstream).answer
