import logging

import pytest

from nodecache.forward import Failure
from nodecache.server.chain import MAX_LOOKUP_DEPTH, Chain
from nodecache.server.directive import (
    LATE,
    AskNext,
    AskServer,
    Client,
    NoReply,
    no_forward,
    plain_address,
    refusal,
)
from nodecache.server.requery import with_question
from nodecache.wire import wire_of

from .chains import answer, below, client, query, rcode_of, run, told

ASKED = query("a.example.")
ANSWER = answer(ASKED, "a.example. 30 IN A 192.0.2.1")


class Seeing:
    """Notes that it saw a query go down, and an answer come up."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self._seen = seen

    def serve(self, query, client):
        self._seen.append(f"{self.name} down")
        result = yield AskNext(query)
        self._seen.append(f"{self.name} up")
        return result


class Giving:
    name = "giving"

    def __init__(self, result) -> None:
        self._result = result

    def serve(self, query, client):
        return self._result


class Broken:
    name = "broken"

    def serve(self, query, client):
        raise RuntimeError("a fault")


class BrokenLater:
    name = "broken"

    def serve(self, query, client):
        yield AskNext(query)
        raise RuntimeError("a fault")


class Chasing:
    """Asks the server for another name, for ever."""

    name = "chasing"

    def serve(self, query, client):
        result = yield AskServer(with_question(query, wire_of("b.example.")))
        return result


def test_directives_see_a_query_in_order_and_its_answer_in_the_opposite_one():
    seen = []
    result = run([Seeing("log", seen), Seeing("dnstap", seen)], ASKED, then=below(ANSWER))
    assert result is ANSWER
    assert seen == ["log down", "dnstap down", "dnstap up", "log up"]


def test_a_directive_that_passes_costs_nothing():
    assert run([Giving(None)], ASKED, then=below(ANSWER)) is ANSWER


def test_a_directive_that_answers_ends_the_way_down():
    seen = []
    end = below()
    assert run([Seeing("log", seen), Giving(ANSWER)], ASKED, then=end) is ANSWER
    assert (seen, end.asked) == (["log down", "log up"], [])


def test_silence_is_told_upwards():
    seen = []
    result = run([Seeing("log", seen), Giving(NoReply.DROPPED)], ASKED)
    assert (result, seen[-1]) == (NoReply.DROPPED, "log up")


def test_nobody_below_is_a_server_failure():
    result = run([], ASKED)
    assert isinstance(result, Failure)
    assert result.reason == "no next plugin found"


@pytest.mark.parametrize("directive", [Broken(), BrokenLater()])
def test_a_fault_costs_one_query_its_answer(directive, caplog):
    counts = []

    chain = Chain([directive], below(ANSWER))
    chain.start(ASKED, client(), counts.append)
    assert rcode_of(counts[0]) == "SERVFAIL"
    assert chain.counts.panics == 1
    assert "broken could not deal with a query" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_an_answer_may_come_later():
    waiting, results = [], []
    chain = Chain([Seeing("log", [])], lambda query, client, back: waiting.append(back))
    chain.start(ASKED, client(), results.append)
    assert results == []
    waiting[0](ANSWER)
    assert results == [ANSWER]


class Hasty:
    """Waits a second, and asks once more when nothing came."""

    name = "hasty"

    def __init__(self, seen) -> None:
        self._seen = seen

    def serve(self, query, client):
        result = yield AskNext(query, 1.0)
        self._seen.append(result)
        return (yield AskNext(query)) if result is LATE else result


class Timers:
    """A loop's `call_later`, whose time is a number of the test."""

    def __init__(self) -> None:
        self.running = []

    def call_later(self, seconds, callback):
        self.running.append(callback)
        return self._Timer(self.running, callback)

    class _Timer:
        def __init__(self, running, callback) -> None:
            self._running, self._callback = running, callback

        def cancel(self) -> None:
            self._running.remove(self._callback)


def hasty_chain():
    """A chain whose first directive waits a second; what it saw, who waits, results, timers."""
    seen, waiting, results, timers = [], [], [], Timers()
    chain = Chain(
        [Hasty(seen), Seeing("log", [])],
        lambda query, client, back: waiting.append(back),
        call_later=timers.call_later,
    )
    return chain.start(ASKED, client(), results.append), seen, waiting, results, timers


def test_a_directive_that_waits_no_longer_goes_on_and_hears_nothing_of_the_late_answer():
    _, seen, waiting, results, timers = hasty_chain()
    timers.running.pop()()
    assert seen == [LATE]
    assert len(waiting) == 2
    waiting[0](refusal(2, "too late"))
    assert results == []
    waiting[1](ANSWER)
    assert results == [ANSWER]


def test_an_answer_in_time_ends_the_wait():
    _, seen, waiting, results, timers = hasty_chain()
    waiting[0](ANSWER)
    assert (seen, results, timers.running) == ([ANSWER], [ANSWER], [])


def test_an_answer_at_once_costs_no_timer():
    timers, results = Timers(), []
    chain = Chain([Hasty([])], below(ANSWER), call_later=timers.call_later)
    timers.call_later = None  # nobody may ask for one
    chain.start(ASKED, client(), results.append)
    assert results == [ANSWER]


def test_who_gives_up_takes_the_timer_along():
    walk, _, waiting, results, timers = hasty_chain()
    walk.cancel()
    waiting[0](ANSWER)
    assert (results, timers.running) == ([], [])


def test_who_does_not_wait_any_more_is_not_told():
    class Question:
        is_cancelled = False

        def cancel(self) -> None:
            self.is_cancelled = True

    question, waiting, results = Question(), [], []

    def ask(query, client, back):
        waiting.append(back)
        return question

    chain_run = Chain([Seeing("log", [])], ask).start(ASKED, client(), results.append)
    chain_run.cancel()
    waiting[0](ANSWER)
    assert (results, question.is_cancelled) == ([], True)


def test_a_lookup_asks_the_server_from_its_top():
    lookup = below(lambda asked: answer(asked, "b.example. 30 IN A 192.0.2.2"))
    result = run(Chasing(), ASKED, lookup=lookup)
    assert lookup.questions == ["b.example. IN A"]
    assert lookup.clients[0].depth == 1
    assert told(result).answer[0].name.to_text() == "b.example."


def test_a_loop_of_aliases_ends():
    chain = Chain([Chasing()], no_forward)
    chain.lookup = chain.start
    results = []
    chain.start(ASKED, client(), results.append)
    assert results[0].reason == f"{MAX_LOOKUP_DEPTH} lookups led from one alias to the next"


def test_a_refusal_without_a_reason_is_nothing_for_the_log():
    assert refusal(2, "not here").reason == ""


@pytest.mark.parametrize(
    ("host", "plain", "is_ipv6"),
    [
        ("10.0.0.1", "10.0.0.1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", False),
        ("fd00::1", "fd00::1", True),
        ("fe80::1%eth0", "fe80::1%eth0", True),
    ],
)
def test_a_mapped_address_is_an_ipv4_one(host, plain, is_ipv6):
    assert plain_address(host) == plain
    assert Client((host, 1), (host, 53), "udp").is_ipv6 is is_ipv6
