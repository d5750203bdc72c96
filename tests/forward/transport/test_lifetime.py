from nodecache.forward.transport.lifetime import Lifetime

START = 1000.0


def test_the_same_number_twice_is_a_limit():
    lifetime = Lifetime()
    lifetime.closed_with_pending(100, 3, START - 5, START)
    assert lifetime.queries == 0
    lifetime.closed_with_pending(100, 1, START, START + 5)
    assert lifetime.queries == 100
    lifetime.doubt(START + 300)
    assert lifetime.queries == 100
    lifetime.doubt(START + 306)
    assert lifetime.queries == 0


def test_different_numbers_soon_after_another_make_wary():
    lifetime = Lifetime()
    lifetime.closed_with_pending(2, 5, START - 1, START)
    lifetime.closed_with_pending(3, 5, START + 0.1, START + 0.2)
    assert lifetime.queries == 1
    lifetime.doubt(START + 10.3)
    assert lifetime.queries == 0


def test_different_numbers_long_after_another_say_nothing():
    lifetime = Lifetime()
    lifetime.closed_with_pending(20, 5, START - 1, START)
    lifetime.closed_with_pending(30, 5, START + 1, START + 2)
    assert lifetime.queries == 0


def test_connections_that_end_together_are_one_lesson():
    """A pod is replaced: all its connections end with it."""
    lifetime = Lifetime()
    for _ in range(4):
        lifetime.closed_with_pending(7, 2, START - 9, START)
    assert lifetime.queries == 0


def test_one_query_that_is_not_answered_says_nothing_of_others():
    lifetime = Lifetime()
    for second in range(5):
        lifetime.closed_with_pending(0, 1, START + second, START + second)
    assert lifetime.queries == 0


def test_several_that_are_not_answered_twice_make_wary():
    lifetime = Lifetime()
    lifetime.closed_with_pending(0, 2, START - 1, START)
    lifetime.closed_with_pending(0, 2, START, START + 0.1)
    assert lifetime.queries == 1


def test_silence_after_the_same_number_of_answers_twice_is_a_limit_for_a_while():
    lifetime = Lifetime()
    lifetime.fell_silent(2, START - 1, START)
    assert lifetime.queries == 0
    lifetime.fell_silent(2, START, START + 3)
    assert lifetime.queries == 2
    lifetime.doubt(START + 13.1)
    assert lifetime.queries == 0


def test_silence_before_the_first_answer_is_a_dead_servers():
    lifetime = Lifetime()
    for second in range(5):
        lifetime.fell_silent(0, START + second, START + second)
    assert lifetime.queries == 0


def test_what_silence_taught_is_forgotten_when_the_silent_speak():
    lifetime = Lifetime()
    lifetime.fell_silent(1, START - 1, START)
    lifetime.fell_silent(1, START, START + 0.1)
    lifetime.spoke_again()
    assert lifetime.queries == 0


def test_what_an_end_taught_stays_when_the_silent_speak():
    lifetime = Lifetime()
    for second in range(2):
        lifetime.closed_with_pending(1, 2, START + second, START + second)
    lifetime.spoke_again()
    assert lifetime.queries == 1


def test_who_is_found_out_again_soon_is_believed_for_longer_each_time():
    lifetime, now, lasted = Lifetime(), START, []
    for _ in range(7):
        lifetime.passed_over(now)
        since = now
        while lifetime.queries:
            now += 1
            lifetime.doubt(now)
        lasted.append(now - since)
    assert lasted == [11, 21, 41, 81, 161, 301, 301]
    now += 60
    lifetime.passed_over(now)
    lifetime.doubt(now + 11)
    assert lifetime.queries == 0
