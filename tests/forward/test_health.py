from nodecache.forward.health import Health, Standing


def test_down_is_more_than_max_fails_probes_in_a_row():
    health = Health(max_fails=2)
    for _ in range(2):
        health.probed(is_alive=False)
    assert health.standing(now=0.0) is Standing.GOOD
    health.probed(is_alive=False)
    assert health.standing(now=0.0) is Standing.DOWN
    assert not health.is_good
    health.probed(is_alive=True)
    assert health.standing(now=0.0) is Standing.GOOD
    assert health.is_good


def test_max_fails_0_is_never_down():
    health = Health(max_fails=0)
    for _ in range(100):
        health.probed(is_alive=False)
    assert not health.is_down


def test_silence_is_held_against_it_until_a_probe_is_answered():
    health = Health(max_fails=2)
    health.stayed_silent(now=0.0)
    assert health.standing(now=1e6) is Standing.SUSPECT
    health.probed(is_alive=True)
    assert health.standing(now=1e6) is Standing.GOOD
    assert health.is_good


def test_without_probes_silence_is_held_against_it_for_longer_each_time():
    health = Health(max_fails=0)
    health.stayed_silent(now=0.0)
    assert health.standing(now=0.4) is Standing.SUSPECT
    assert health.standing(now=0.6) is Standing.GOOD
    assert health.is_good
    health.stayed_silent(now=1.0)
    assert health.standing(now=1.9) is Standing.SUSPECT
    assert health.standing(now=2.1) is Standing.GOOD


def test_without_probes_silence_is_held_against_it_for_30_seconds_at_most():
    health = Health(max_fails=0)
    now = 0.0
    for _ in range(20):
        health.stayed_silent(now)
        now += 1000.0
    health.stayed_silent(now)
    assert health.standing(now + 29.9) is Standing.SUSPECT
    assert health.standing(now + 30.1) is Standing.GOOD


def test_an_answer_clears_it_at_once():
    health = Health(max_fails=2)
    health.stayed_silent(now=0.0)
    health.served()
    assert health.standing(now=0.0) is Standing.GOOD
    assert health.is_good


def test_four_failures_in_a_row_make_it_lame_for_ten_seconds():
    health = Health(max_fails=2)
    for _ in range(3):
        health.failed_to_serve(now=0.0)
    assert health.standing(now=0.0) is Standing.GOOD
    health.failed_to_serve(now=0.0)
    assert health.standing(now=9.9) is Standing.LAME
    assert health.standing(now=10.1) is Standing.GOOD
    health.served()
    assert health.is_good


def test_a_probe_does_not_make_a_lame_upstream_serve():
    health = Health(max_fails=2)
    for _ in range(4):
        health.failed_to_serve(now=0.0)
    health.probed(is_alive=True)
    assert health.standing(now=1.0) is Standing.LAME
    assert not health.is_good


def test_a_loop_outweighs_everything():
    health = Health(max_fails=2)
    health.quarantine(is_looping=True)
    health.served()
    assert health.standing(now=0.0) is Standing.LOOPING
    assert not health.is_good
    health.quarantine(is_looping=False)
    assert health.is_good
