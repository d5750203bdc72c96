from nodecache.keeper.respawn import Respawn


def deaths(respawn, count, *, age, now=0.0):
    pauses = []
    for _ in range(count):
        respawn.started(now)
        now += age
        pauses.append(respawn.ended(now))
        now += pauses[-1]
    return pauses


def test_a_worker_that_grew_old_is_replaced_at_once():
    assert deaths(Respawn(), 5, age=60.0) == [0.0] * 5


def test_a_few_young_deaths_in_a_row_may_be_chance():
    assert deaths(Respawn(), 3, age=0.1) == [0.0] * 3


def test_young_deaths_again_and_again_are_spaced_out_up_to_ten_seconds():
    pauses = deaths(Respawn(), 12, age=0.1)[3:]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0.1
    assert pauses[-1] == 10.0


def test_an_old_death_ends_the_back_off():
    respawn = Respawn()
    deaths(respawn, 12, age=0.1)
    assert deaths(respawn, 2, age=60.0, now=1000.0) == [0.0, 0.0]


def test_a_second_one_in_a_row_that_hangs_is_no_chance():
    respawn = Respawn()
    respawn.started(0.0)
    assert respawn.ended(100.0, is_hung=True) == 0.0
    respawn.started(100.0)
    assert respawn.ended(102.0, is_hung=True) > 0.0
