import dns.flags
import dns.message

from nodecache.forward import UpstreamSettings
from nodecache.forward.probe import probe_query
from nodecache.wire import Rdtype
from tests.forward.fakes import Stage


def failing(**options) -> Stage:
    """A stage whose upstream stays silent long enough to be probed."""
    stage = Stage(upstream=UpstreamSettings(**options))
    stage.world.machine("10.0.0.1").mood = "dead"
    stage.ask(seconds=0.4)
    stage.world.advance(0.5)
    return stage


def test_nobody_is_probed_who_did_not_fail():
    stage = Stage()
    stage.ask()
    stage.answer(stage.sent())
    stage.world.advance(60)
    assert stage.sent(Rdtype.NS) == []


def test_a_probe_asks_for_the_roots_servers_with_rd():
    stage = failing()
    (probe,) = stage.sent(Rdtype.NS)
    message = dns.message.from_wire(probe.packet)
    assert str(message.question[0]) == ". IN NS"
    assert message.flags & dns.flags.RD
    assert probe.transport == "UDP"


def test_a_probe_is_what_health_check_says():
    stage = failing(probe_name="probe.example.", probe_recursion=False)
    message = dns.message.from_wire(stage.sent(Rdtype.NS)[0].packet)
    assert str(message.question[0]) == "probe.example. IN NS"
    assert not message.flags & dns.flags.RD


def test_probes_go_by_tcp_where_queries_do():
    stage = failing(force_tcp=True)
    assert stage.sent(Rdtype.NS) == []  # dead: the connection never opened
    stage.world.machine("10.0.0.1").mood = "alive"
    stage.world.advance(2)
    assert {probe.transport for probe in stage.sent(Rdtype.NS)} == {"TCP"}


def test_probes_follow_each_other_until_one_is_answered():
    stage = failing()
    stage.world.advance(6)
    assert len(stage.sent(Rdtype.NS)) == 5
    assert stage.upstream.counts.healthcheck_failures == 4
    assert stage.upstream.health.is_down
    stage.world.machine("10.0.0.1").mood = "alive"
    stage.answer(stage.sent(Rdtype.NS)[-1:])
    stage.world.advance(20)
    assert len(stage.sent(Rdtype.NS)) == 5
    assert stage.upstream.health.is_good


def test_any_response_is_a_sign_of_life():
    stage = failing()
    stage.world.machine("10.0.0.1").mood = "alive"
    stage.answer(stage.sent(Rdtype.NS), rcode=5)
    assert stage.upstream.health.fails == 0
    assert stage.upstream.health.is_good


def test_a_response_to_something_else_is_not():
    stage = failing()
    stage.world.machine("10.0.0.1").mood = "alive"
    probe = stage.sent(Rdtype.NS)[0]
    message = dns.message.make_response(dns.message.from_wire(probe.packet))
    message.id ^= 1
    probe.answer(message.to_wire())
    probe.answer(probe.packet)  # a query is no response
    probe.answer(b"\0\1")
    assert not stage.upstream.health.is_good


def test_max_fails_0_probes_nobody():
    stage = failing(max_fails=0)
    stage.world.advance(10)
    assert stage.sent(Rdtype.NS) == []


def test_an_answered_query_ends_the_probing():
    stage = failing()
    stage.ask()
    stage.world.machine("10.0.0.1").mood = "alive"
    stage.answer(stage.sent()[-1:])
    before = len(stage.sent(Rdtype.NS))
    stage.world.advance(10)
    assert len(stage.sent(Rdtype.NS)) == before


def test_a_probe_query_is_well_formed():
    message = dns.message.from_wire(probe_query(7, "a.b.example.", 13, dns.flags.RD))
    assert (message.id, str(message.question[0])) == (7, "a.b.example. IN HINFO")
