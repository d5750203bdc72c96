"""The only upstream is gone for a while, with many queries waiting for it."""

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
