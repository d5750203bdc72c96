"""A query that nobody waits for yet: asked once, and given up rather than asked again."""

import pytest

from nodecache.forward import CallbackRequest, Failure, UpstreamSettings
from nodecache.forward.probe import probe_query
from nodecache.wire import Flag, Rcode, Rdtype, read_query
from tests.forward.fakes import Stage

TCP = UpstreamSettings(force_tcp=True)


def ask(stage: Stage) -> CallbackRequest:
    query = read_query(probe_query(1, "a.example.", Rdtype.A, Flag.RD))
    now = stage.world.now
    request = CallbackRequest(query, now + 4.0, stage.outcomes.append, "udp")
    request.mark_awaited(is_awaited=False)
    request.is_optional = True
    stage.forwarder.send(request, now)
    stage.world.settle()
    return request


def known(*hosts: str, **options: object) -> Stage:
    """A stage whose upstreams were heard of, so that their pace is known."""
    stage = Stage(*hosts, **options)
    for _ in range(20):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    stage.outcomes.clear()
    return stage


def test_one_that_is_answered_is_like_any_other():
    stage = known()
    request = ask(stage)
    stage.answer(stage.sent()[-1:])
    assert stage.outcomes[0].rcode == Rcode.NOERROR
    assert not request.is_open


def test_one_that_is_late_is_asked_once_and_given_up():
    stage = known("10.0.0.1", "10.0.0.2")
    before = len(stage.sent())
    ask(stage)
    stage.world.advance(4.0)
    assert len(stage.sent()) == before + 1
    assert isinstance(stage.outcomes[0], Failure)


def test_one_that_is_given_up_counts_as_no_failure():
    stage = known()
    ask(stage)
    stage.world.advance(4.0)
    counts = stage.forwarder.counts
    assert (counts.failed, counts.retried, counts.hedged) == (0, 0, 0)
    assert stage.forwarder.in_flight == 0


def test_one_whose_connection_ends_is_not_sent_again():
    stage = known(upstream=TCP)
    before = len(stage.sent())
    ask(stage)
    stage.sent()[-1].way.end(None)
    stage.world.advance(0.5)
    assert len(stage.sent()) == before + 1
    assert isinstance(stage.outcomes[0], Failure)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED])
def test_one_that_is_refused_is_not_asked_of_another_upstream(rcode):
    stage = known("10.0.0.1", "10.0.0.2")
    before = len(stage.sent())
    ask(stage)
    stage.answer(stage.sent()[-1:], rcode)
    stage.world.advance(0.5)
    assert len(stage.sent()) == before + 1
    assert stage.outcomes[0].rcode == rcode


def test_once_somebody_waits_it_is_asked_again_as_any_other():
    stage = known("10.0.0.1", "10.0.0.2")
    before = len(stage.sent())
    request = ask(stage)
    request.mark_awaited(is_awaited=True)
    request.is_optional = False
    stage.world.advance(3.0)
    assert len(stage.sent()) > before + 1
