from nodecache.forward.transport.answer_order import AnswerOrder


def told(
    *queries: tuple[float, float], order: AnswerOrder | None = None, is_alone: bool = True
) -> list[bool]:
    """Whether each of a connection's answers brought the news; they are (sent at, answered at)."""
    order = order or AnswerOrder()
    sent_before = answered_before = float("-inf")
    news = []
    for sent_at, now in queries:
        news.append(order.note(sent_at, sent_before, answered_before, now, is_alone=is_alone))
        sent_before, answered_before = sent_at, now
    return news


IN_ORDER = ((0.0, 0.3), (0.01, 0.6), (0.02, 0.9), (0.03, 1.2))


def test_answers_at_longer_intervals_than_their_queries_come_one_at_a_time():
    assert told(*IN_ORDER) == [False, False, False, True]


def test_that_is_news_once():
    order = AnswerOrder()
    told(*IN_ORDER, order=order)
    assert not any(told(*IN_ORDER, order=order))
    assert order.is_one_at_a_time


def test_connections_tell_it_together():
    order = AnswerOrder()
    assert [told(*IN_ORDER[:2], order=order)[-1] for _ in range(3)] == [False, False, True]


def test_answers_as_far_apart_as_their_queries_are_slow_and_no_more():
    assert not any(told(*((0.05 * n, 0.3 + 0.05 * n) for n in range(20))))


def test_answers_that_come_together_are_slow_and_no_more():
    assert not any(told(*((0.01 * n, 0.3 + 0.001 * n) for n in range(20))))


def test_a_server_that_is_short_of_cpu_answers_several_when_it_has_its_turn():
    order = AnswerOrder()
    told(*IN_ORDER[:3], order=order)
    assert not any(told(*IN_ORDER, order=order, is_alone=False))
    assert told(*IN_ORDER[:3], order=order) == [False, False, False]


def test_a_query_that_waited_for_nobody_tells_nothing():
    assert not any(told(*((0.5 * n, 0.5 * n + 0.4) for n in range(20))))


def test_one_answer_that_overtakes_another_is_believed_for_longer():
    order = AnswerOrder()
    told((0.0, 0.3), (0.1, 0.4), (0.05, 0.5), order=order)
    assert not any(told(*IN_ORDER, order=order))
    later = tuple((sent_at + 400, answered_at + 400) for sent_at, answered_at in IN_ORDER)
    assert told(*later, order=order)[-1]


def test_what_was_learned_long_ago_is_forgotten():
    order = AnswerOrder()
    told(*IN_ORDER, order=order)
    order.expire(300.0)
    assert order.is_one_at_a_time
    order.expire(302.0)
    assert not order.is_one_at_a_time
