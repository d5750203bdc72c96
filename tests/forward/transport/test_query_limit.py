from nodecache.forward.transport.query_limit import QueryLimit

START = 1000.0


def test_the_same_number_twice_is_a_limit():
    limit = QueryLimit()
    limit.closed_with_pending(100, 3, START - 5, START)
    assert limit.queries == 0
    limit.closed_with_pending(100, 1, START, START + 5)
    assert limit.queries == 100
    limit.expire(START + 300)
    assert limit.queries == 100
    limit.expire(START + 306)
    assert limit.queries == 0


def test_different_numbers_soon_after_another_make_wary():
    limit = QueryLimit()
    limit.closed_with_pending(2, 5, START - 1, START)
    limit.closed_with_pending(3, 5, START + 0.1, START + 0.2)
    assert limit.queries == 2
    limit.expire(START + 10.3)
    assert limit.queries == 0


def test_resets_after_many_answers_do_not_teach_one_query_a_connection():
    """A network that loses connections is no server that takes one query on each."""
    limit = QueryLimit()
    limit.closed_with_pending(105, 5, START - 1, START)
    limit.closed_with_pending(120, 5, START + 0.1, START + 0.2)
    assert limit.queries == 105


def test_resets_that_go_on_teach_fewer_each_time():
    limit, taught = QueryLimit(), []
    for step in range(8):
        limit.closed_with_pending(100 - step, 5, START + step / 2, START + step / 2 + 0.1)
        taught.append(limit.queries)
    assert taught == [0, 99, 49, 24, 12, 6, 3, 1]


def test_different_numbers_long_after_another_say_nothing():
    limit = QueryLimit()
    limit.closed_with_pending(20, 5, START - 1, START)
    limit.closed_with_pending(30, 5, START + 1, START + 2)
    assert limit.queries == 0


def test_connections_that_end_together_are_one_lesson():
    """A pod is replaced: all its connections end with it."""
    limit = QueryLimit()
    for _ in range(4):
        limit.closed_with_pending(7, 2, START - 9, START)
    assert limit.queries == 0


def test_one_query_that_is_not_answered_says_nothing_of_others():
    limit = QueryLimit()
    for second in range(5):
        limit.closed_with_pending(0, 1, START + second, START + second)
    assert limit.queries == 0


def test_several_that_are_not_answered_twice_make_wary():
    limit = QueryLimit()
    limit.closed_with_pending(0, 2, START - 1, START)
    limit.closed_with_pending(0, 2, START, START + 0.1)
    assert limit.queries == 1


def test_silence_after_the_same_number_of_answers_twice_is_a_limit_for_a_while():
    limit = QueryLimit()
    limit.fell_silent(2, START - 1, START)
    assert limit.queries == 0
    limit.fell_silent(2, START, START + 3)
    assert limit.queries == 2
    limit.expire(START + 13.1)
    assert limit.queries == 0


def test_silence_before_the_first_answer_is_a_dead_servers():
    limit = QueryLimit()
    for second in range(5):
        limit.fell_silent(0, START + second, START + second)
    assert limit.queries == 0


def test_what_silence_taught_is_forgotten_when_the_silent_speak():
    limit = QueryLimit()
    limit.fell_silent(1, START - 1, START)
    limit.fell_silent(1, START, START + 0.1)
    limit.spoke_again()
    assert limit.queries == 0


def test_what_an_end_taught_stays_when_the_silent_speak():
    limit = QueryLimit()
    for second in range(2):
        limit.closed_with_pending(1, 2, START + second, START + second)
    limit.spoke_again()
    assert limit.queries == 1


def test_a_server_that_leaves_single_queries_unanswered_loses_them_and_has_no_limit():
    """Else each lost query would keep a connection, and there would soon be none."""
    limit = QueryLimit()
    for second in range(2):
        limit.fell_silent(1, START + second, START + second)
    assert limit.queries == 1
    limit.lost_alone(START + 3)
    assert limit.queries == 1  # a starved one does so once
    limit.lost_alone(START + 3.5)
    assert limit.queries == 0
    limit.passed_over(START + 4)
    limit.fell_silent(1, START + 4, START + 5)
    limit.fell_silent(1, START + 5, START + 6)
    assert limit.queries == 0
    limit.passed_over(START + 40)
    assert limit.queries == 1


def test_a_single_query_unanswered_says_nothing_against_a_limit_that_ends_of_connections_taught():
    limit = QueryLimit()
    for second in range(2):
        limit.closed_with_pending(1, 2, START + second, START + second)
    limit.lost_alone(START + 3)
    assert limit.queries == 1


def test_who_is_found_out_again_soon_is_believed_for_longer_each_time():
    limit, now, lasted = QueryLimit(), START, []
    for _ in range(7):
        limit.passed_over(now)
        since = now
        while limit.queries:
            now += 1
            limit.expire(now)
        lasted.append(now - since)
    assert lasted == [11, 21, 41, 81, 161, 301, 301]
    now += 60
    limit.passed_over(now)
    limit.expire(now + 11)
    assert limit.queries == 0
