import math

import pytest

from nodecache.keeper.socket_mark import TRIAL_SECONDS, UNHEARD_SECONDS, SocketMark


class Pair:
    """The sockets of one address, as far as they have a mark; every process that has them may change it."""

    def __init__(self):
        self.is_marked = False
        self.changes = []

    def mark(self, *, is_on):
        if self.is_marked is not is_on:
            self.is_marked = is_on
            self.changes.append(is_on)


class ActiveConfig:
    def __init__(self):
        self.sockets = {"address": Pair()}


class Marked:
    """One address, and the mark on its sockets."""

    def __init__(self):
        self.active = ActiveConfig()
        self.mark = SocketMark(self.active)
        self.pair = self.active.sockets["address"]

    def at(self, now, *, are_ours=True):
        self.mark.turn(now, are_ours=are_ours)
        return self.pair.is_marked


@pytest.fixture
def marked():
    return Marked()


def test_sockets_that_nobody_reads_yet_draw_nothing(marked):
    assert not marked.at(100.0)


def test_a_worker_that_reads_has_them_marked_for_as_long_as_it_is_heard(marked):
    marked.mark.heard(100.0)
    assert marked.at(100.0)
    assert marked.at(99.9 + UNHEARD_SECONDS)
    assert marked.mark.next_wake() == 100.0 + UNHEARD_SECONDS
    assert not marked.at(100.0 + UNHEARD_SECONDS)
    marked.mark.heard(105.0)
    assert marked.at(105.0)


def test_a_worker_that_is_replaced_in_time_changes_nothing(marked):
    marked.mark.heard(100.0)
    marked.at(100.0)
    marked.at(100.5)
    marked.mark.heard(100.9)
    assert marked.at(100.9 + UNHEARD_SECONDS / 2)
    assert marked.pair.changes == [True]


def test_after_a_failure_a_sign_of_life_is_not_enough(marked):
    marked.mark.heard(100.0)
    marked.at(100.0)
    marked.mark.failed()
    assert not marked.at(100.0)
    marked.mark.heard(101.0)
    assert not marked.at(101.0)
    marked.mark.probed(1, 0, 101.1)
    assert marked.at(101.1)


def test_after_a_failure_life_without_a_question_is_enough_in_the_end(marked):
    marked.mark.failed()
    for tenths in range(int(TRIAL_SECONDS * 10) + 1):
        marked.mark.heard(100.0 + tenths / 10)
        assert not marked.at(99.9 + TRIAL_SECONDS)
    assert marked.at(100.0 + TRIAL_SECONDS)


def test_a_worker_that_lives_and_does_not_answer_draws_nothing(marked):
    marked.mark.heard(100.0)
    marked.mark.probed(1, 0, 100.0)
    assert marked.at(100.0)
    for second in range(1, 8):
        marked.mark.heard(100.0 + second)
        marked.mark.probed(1, second, 100.0 + second)
        assert not marked.at(100.0 + second)
    marked.mark.heard(109.0)
    marked.mark.probed(2, 7, 109.0)
    assert marked.at(109.0)


def test_sockets_that_another_agent_reads_are_left_alone(marked):
    marked.at(100.0, are_ours=False)
    marked.mark.heard(100.0)
    marked.at(100.0, are_ours=False)
    assert marked.pair.changes == []


def test_while_another_agent_reads_them_there_is_nothing_to_wake_up_for(marked):
    """The worker of one that stands by may have ended."""
    marked.mark.heard(100.0)
    marked.at(100.0)
    marked.at(100.1, are_ours=False)
    assert marked.mark.next_wake() == math.inf


def test_what_comes_back_from_another_agent_is_marked_anew(marked):
    marked.mark.heard(100.0)
    marked.at(100.0)
    marked.at(100.1, are_ours=False)
    marked.pair.is_marked = False
    marked.mark.heard(100.2)
    assert marked.at(100.2)


def test_a_mark_that_somebody_else_removes_is_put_back(marked):
    """An agent that ends, and has not noticed that another one serves."""
    marked.mark.heard(100.0)
    marked.at(100.0)
    marked.pair.is_marked = False
    assert marked.at(100.1)


def test_sockets_of_a_new_configuration_are_marked_too(marked):
    marked.mark.heard(100.0)
    marked.at(100.0)
    new = marked.active.sockets["new"] = Pair()
    marked.at(100.1)
    assert new.is_marked


def test_when_a_stop_begins_the_mark_is_taken_away_whoever_lives(marked):
    marked.mark.heard(0.0)
    assert marked.at(0.1)
    marked.mark.take_away()
    assert not marked.pair.is_marked
