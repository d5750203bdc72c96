"""The only upstream is gone for a while, with many queries waiting for it."""

import pytest

from nodecache.forward import UpstreamSettings
from nodecache.wire import Answer
from tests.forward.fakes import Stage

QUERIES = 60  # more than the budget of extra queries has for retries
GONE_SECONDS = 3.0
DEADLINE_SECONDS = 4.8
STEP_SECONDS = 0.01


def test_all_who_wait_are_asked_for_again_once_it_is_back():
    stage = Stage()
    for _ in range(30):  # its pace is known
        stage.ask()
        stage.answer(stage.sent()[-1:])
    stage.outcomes.clear()
    stage.world.machine("10.0.0.1").mood = "dead"
    for _ in range(QUERIES):
        stage.ask(seconds=DEADLINE_SECONDS)
        stage.world.advance(STEP_SECONDS)
    stage.world.advance(GONE_SECONDS - QUERIES * STEP_SECONDS)
    stage.world.machine("10.0.0.1").mood = "alive"
    answered = len(stage.sent())
    stage.ask()
    for _ in range(round((DEADLINE_SECONDS - GONE_SECONDS) / STEP_SECONDS) + QUERIES):
        stage.answer(stage.sent()[answered:])
        answered = len(stage.sent())
        stage.world.advance(STEP_SECONDS)
    assert [type(outcome) for outcome in stage.outcomes] == [Answer] * (QUERIES + 1)


@pytest.mark.parametrize("mood", ["dead", "refusing"])
@pytest.mark.parametrize("by_stream", [False, True])
@pytest.mark.parametrize("is_kept", [False, True])
def test_a_query_that_waits_at_a_reload_is_sent_again_as_without_one(mood, by_stream, is_kept):
    """The forwarder of the old configuration had no upstreams any more, and fewer attempts."""
    asked = []
    for reloads in (False, True):
        stage = Stage(upstream=UpstreamSettings(force_tcp=by_stream))
        stage.ask()
        stage.answer(stage.sent()[-1:])
        stage.world.machine("10.0.0.1").mood = mood
        for stream in stage.world.machine("10.0.0.1").streams:
            stream.end(None)
        began_at = stage.world.now
        stage.ask(seconds=DEADLINE_SECONDS)
        stage.world.advance(0.5)
        if reloads:
            if is_kept:
                stage.upstreams.acquire(stage.upstream.endpoint, stage.upstream.settings)
            stage.forwarder.close()
        stage.world.advance(0.9)
        stage.world.machine("10.0.0.1").mood = "alive"
        stage.world.advance(GONE_SECONDS)
        asked.append([(round(each.at - began_at, 1), each.transport) for each in stage.sent()[1:]])
        stage.answer(stage.sent()[-1:])
        assert [type(outcome) for outcome in stage.outcomes] == [Answer, Answer]
    assert asked[0] == asked[1]
