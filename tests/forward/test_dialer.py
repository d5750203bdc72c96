"""When connections are opened, and closed."""

from nodecache.forward import Settings
from tests.forward.fakes import Stage
from tests.forward.test_pool import TCP, connections, quick


def test_a_query_that_comes_too_soon_to_dial_waits_for_that_and_no_longer():
    """Nobody dialled, unless another query came: it was SERVFAIL at its deadline."""
    stage = quick(Stage(settings=Settings(upstream=TCP, hedges=False)))
    machine = stage.world.machine("10.0.0.1")
    machine.takes_streams = False
    for _ in range(12):  # a second connection is wanted each time, and refused
        stage.ask()
        stage.world.advance(0.012)
        stage.ask()
        stage.answer(stage.sent()[-2:])
    stage.sent()[-1].way.end(None)
    stage.world.advance(0.02)
    stage.ask()
    assert stage.upstream.housekeep(stage.world.now), "no housekeeping for what it will open"
    machine.takes_streams = True
    stage.world.advance(0.3)
    stage.answer(stage.sent()[-1:])
    assert len(stage.outcomes) == 1500 + 24 + 1


def test_a_connection_that_had_all_the_queries_that_the_server_takes_on_it_is_closed():
    """Where the last ones left in one turn it stayed for its idle time: hundreds, and none more could be opened."""
    stage = quick(Stage(upstream=TCP))
    for _ in range(2):
        stage.world.advance(1)
        now = stage.world.now
        stage.upstream.streams.query_limit.closed_with_pending(5, 2, now, now)
    for number in range(200):
        stage.world.settle = lambda: None  # the loop's turn does not end
        for _ in range(2 + number % 2):
            stage.ask()
        del stage.world.settle
        stage.world.advance(0.005)
        stage.answer(stage.sent()[-3:])
    assert len(stage.outcomes) == 1500 + 500
    assert connections(stage) < 5
