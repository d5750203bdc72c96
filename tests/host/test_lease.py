"""The lease of 12 s: renewed every 4, the worker replaced after 6 in silence, withdrawn after 9."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.host.lease import Action, Lease

RENEW, REPLACE, WITHDRAW, RESTORE = Action.RENEW, Action.REPLACE, Action.WITHDRAW, Action.RESTORE


def served(now: float = 0.0, seconds: float = 12.0) -> Lease:
    """A lease whose worker has just answered for the first time."""
    lease = Lease(seconds, now)
    lease.worker_ready(now)
    lease.answered(now)
    return lease


def silence(lease: Lease, begin: float, end: float) -> dict[float, list[Action]]:
    """Whole seconds of unanswered probes: what came at which."""
    seen = {float(now): lease.unanswered(float(now)) for now in range(int(begin), int(end))}
    return {now: actions for now, actions in seen.items() if actions}


def test_the_first_answer_renews_and_then_every_third_of_the_lease():
    lease = Lease(12.0, 0.0)
    lease.worker_ready(0.0)
    assert lease.answered(0.0) == [RENEW]
    assert [now for now in range(1, 13) if RENEW in lease.answered(now)] == [4, 8, 12]


def test_nothing_is_renewed_while_the_last_probe_is_unanswered():
    lease = served()
    lease.unanswered(3.0)
    assert lease.due(4.0) == []
    assert lease.answered(4.5) == [RENEW]


def test_silence_replaces_the_worker_at_half_and_withdraws_at_three_quarters():
    lease = served()
    assert silence(lease, 1, 9) == {6.0: [REPLACE]}
    lease.worker_ended()
    assert silence(lease, 9, 20) == {9.0: [WITHDRAW]}
    assert not lease.is_held


def test_a_worker_is_replaced_once_until_another_one_is_ready():
    lease = served()
    assert silence(lease, 1, 7) == {6.0: [REPLACE]}
    assert silence(lease, 7, 9) == {}


def test_a_new_worker_has_half_a_lease_of_its_own():
    lease = served()
    silence(lease, 1, 7)
    lease.worker_ended()
    lease.worker_ready(7.0)
    assert REPLACE in silence(lease, 8, 14)[13.0]


def test_a_new_worker_that_answers_keeps_the_addresses():
    lease = served()
    silence(lease, 1, 7)
    lease.worker_ended()
    lease.worker_ready(6.1)
    assert lease.answered(6.2) == [RENEW]
    assert lease.is_held


def test_withdrawn_addresses_come_back_after_three_answers_in_a_row():
    lease = served()
    silence(lease, 1, 10)
    lease.worker_ready(10.0)
    assert lease.answered(10.0) == []
    assert lease.unanswered(11.0) == []
    assert [lease.answered(now) for now in (12.0, 13.0)] == [[], []]
    assert lease.answered(14.0) == [RESTORE]
    assert lease.is_held


def test_addresses_that_flap_come_back_later_each_time():
    lease, now, waits = served(), 0.0, []
    for _ in range(4):
        silence(lease, now + 1, now + 10)
        now += 10
        lease.worker_ready(now)
        answers = 0
        while not lease.is_held:
            now += 1
            answers += 1
            lease.answered(now)
        waits.append(answers)
    assert waits == [3, 6, 12, 12]


def test_a_calm_time_is_rewarded_by_a_quick_return():
    lease = served()
    silence(lease, 1, 10)
    lease.worker_ready(10.0)
    for now in range(10, 200):
        lease.answered(float(now))
    silence(lease, 200, 210)
    lease.worker_ready(210.0)
    assert [lease.answered(now) for now in (211.0, 212.0, 213.0)][-1] == [RESTORE]


def test_without_a_lease_the_worker_is_replaced_and_nothing_else_happens():
    lease = served(seconds=0.0)
    assert silence(lease, 1, 30) == {5.0: [REPLACE]}
    assert lease.is_held
    assert lease.answered(31.0) == []


def test_a_pause_of_our_own_is_not_held_against_the_worker():
    lease = served()
    for now in range(1, 4):
        lease.answered(float(now))
    assert lease.due(100.0) == [RENEW]
    assert lease.is_held
    assert lease.next_wake() > 100.0


@pytest.mark.parametrize(("seconds", "probe"), [(10.0, 1.0), (2.0, 0.2), (60.0, 1.0), (0.0, 1.0)])
def test_probes_are_ten_a_lease_and_at_least_one_a_second(seconds, probe):
    assert Lease(seconds, 0.0).probe_seconds == pytest.approx(probe)


@given(
    answers=st.lists(st.booleans(), max_size=80),
    seconds=st.sampled_from([0.0, 2.0, 10.0]),
)
def test_whatever_the_worker_does_the_addresses_are_renewed_only_on_an_answer(answers, seconds):
    lease = Lease(seconds, 0.0)
    lease.worker_ready(0.0)
    now = 0.0
    for is_answered in answers:
        now += lease.probe_seconds
        was_held = lease.is_held
        actions = lease.answered(now) if is_answered else lease.unanswered(now)
        assert RENEW not in actions or (is_answered and was_held)
        assert RESTORE not in actions or (is_answered and not was_held)
        assert WITHDRAW not in actions or was_held
        if REPLACE in actions:
            lease.worker_ended()
            lease.worker_ready(now)
    assert lease.next_wake() > now or lease.next_wake() == math.inf
