from nodecache.wire import Rdtype, read_query
from tests.forward.fakes import Stage

HINFO = Rdtype.HINFO


def looping() -> Stage:
    """A stage whose upstream has led back to us."""
    stage = Stage()
    stage.forwarder.watch_for_loops(".")
    come_back(stage)
    assert stage.upstream.is_quarantined
    return stage


def come_back(stage: Stage) -> None:
    assert stage.upstreams.is_loop_probe(read_query(stage.sent(HINFO)[-1].packet))


def test_an_upstream_that_led_back_is_asked_again_after_many_probes_that_nobody_answers():
    """Some servers never answer HINFO: such a one was left out for ever."""
    stage = looping()
    stage.world.advance(300)
    assert stage.upstream.is_quarantined
    stage.world.advance(200)
    assert not stage.upstream.is_quarantined
    stage.ask()
    stage.answer(stage.sent()[-1:])
    assert len(stage.outcomes) == 1


def test_an_upstream_that_leads_back_now_and_then_is_left_out():
    stage = looping()
    for _ in range(10):
        stage.world.advance(30.5 + 3 * 32)
        come_back(stage)
    stage.world.advance(300)
    assert stage.upstream.is_quarantined
