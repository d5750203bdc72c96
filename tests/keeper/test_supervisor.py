"""The worker's life, with real processes that do little."""

import errno
import os
import signal
import time
from time import monotonic

import pytest

from nodecache.keeper.child import fork_worker
from nodecache.keeper.loop import Loop
from nodecache.keeper.supervisor import MAX_MESSAGES_PER_TURN, Supervisor
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system


class WorkerOwner:
    """Who has the worker; it remembers what it is told."""

    is_worker_wanted = True

    def __init__(self, body=lambda _: time.sleep(60)):
        self.be_worker = body
        self.told = []
        self.heard = 0

    def worker_message(self, message, now):
        self.told.append(message.kind)

    def worker_alive(self, now):
        self.heard += 1

    def worker_ended(self, now):
        self.told.append("gone")

    def worker_failed(self):
        self.told.append("failed")

    def worker_unkillable(self):
        self.told.append("stays")


class Supervised:
    """A supervisor in a loop of its own, turned until something has come about."""

    def __init__(self, owner):
        self.loop = Loop()
        self.supervisor = Supervisor(self.loop, owner)
        self.supervisor.spawn(monotonic())

    def turn_until(self, is_so):
        deadline = monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert monotonic() < deadline
            self.loop.turn(0.01)
            self.supervisor.turn(monotonic())

    def close(self):
        if self.supervisor.worker is not None:
            self.supervisor.worker.kill()
            self.supervisor.worker.reap()


@pytest.fixture
def owner():
    return WorkerOwner()


@pytest.fixture
def supervised(owner):
    made = Supervised(owner)
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGRTMIN + 3])
def test_a_worker_that_ends_is_replaced_at_once(supervised, owner, number):
    """Whatever ended it: Python has no name for a real-time signal."""
    supervisor = supervised.supervisor
    first = supervisor.worker
    os.kill(first.pid, number)
    supervised.turn_until(lambda: supervisor.worker not in (first, None))
    assert owner.told == ["gone"]
    assert supervisor.deaths == {"killed": 1}


def test_one_that_ends_again_and_again_has_failed():
    owner = WorkerOwner(lambda _: 3)
    supervised = Supervised(owner)
    supervised.turn_until(lambda: "failed" in owner.told)
    assert owner.told == ["gone"] * 4 + ["failed"]
    supervised.close()


def test_a_stopped_worker_is_killed_and_replaced_once_its_silence_is_too_long(
    supervised, owner, monkeypatch
):
    monkeypatch.setattr("nodecache.keeper.heartbeats.BUILD_SECONDS", 0.2)
    supervisor = supervised.supervisor
    first = supervisor.worker
    os.kill(first.pid, signal.SIGSTOP)
    supervised.turn_until(lambda: supervisor.worker not in (first, None))
    assert supervisor.deaths == {"hung": 1}
    assert owner.heard == 0  # that it is looked at once more is no sign of its life


def test_what_a_silent_worker_has_said_meanwhile_is_heard_first(monkeypatch):
    """The keeper, too, may not have been let run."""
    monkeypatch.setattr("nodecache.keeper.heartbeats.BUILD_SECONDS", 0.2)

    said, has_said = os.pipe()

    def talk(channel):
        channel.send("alive")
        os.write(has_said, b".")
        time.sleep(60)

    supervised = Supervised(WorkerOwner(talk))
    supervisor = supervised.supervisor
    first = supervisor.worker
    assert os.read(said, 1)
    supervisor.turn(monotonic() + 0.4)
    os.close(said)
    os.close(has_said)
    assert supervisor.worker is first
    assert supervisor.deaths == {}
    supervised.close()


@pytest.mark.parametrize("lack", [errno.EAGAIN, errno.ENOMEM])
def test_a_fork_that_fails_is_tried_again_with_a_pause(owner, monkeypatch, caplog, lack):
    forks = []
    fork = os.fork

    def refuse_twice():
        forks.append(monotonic())
        if len(forks) < 3:
            raise OSError(lack, os.strerror(lack))
        return fork()

    monkeypatch.setattr(os, "fork", refuse_twice)
    began_at = monotonic()
    supervised = Supervised(owner)
    assert supervised.supervisor.worker is None
    supervised.turn_until(lambda: supervised.supervisor.worker is not None)
    assert forks[1] - began_at >= 0.1
    assert forks[2] - began_at >= 0.2
    assert supervised.loop.faults == 2
    assert owner.told == ["failed", "failed"]
    assert "no worker can be forked" in caplog.text
    supervised.close()


def test_a_worker_that_never_stops_to_talk_is_heard_a_bounded_lot_in_a_turn():
    def talk(channel):
        while True:
            channel.send("alive")

    owner = WorkerOwner(talk)
    supervised = Supervised(owner)
    while not owner.told:
        supervised.loop.turn(1.0)
    for _ in range(20):
        before = len(owner.told)
        supervised.loop.turn(1.0)
        assert len(owner.told) - before <= MAX_MESSAGES_PER_TURN
    supervised.close()


def test_a_worker_that_says_what_it_may_not_is_replaced_and_counted(caplog):
    def lie(channel):
        channel.send("reloaded")
        time.sleep(60)

    owner = WorkerOwner(lie)
    supervised = Supervised(owner)
    supervised.turn_until(lambda: supervised.supervisor.deaths)
    assert supervised.supervisor.deaths == {"protocol": 1}
    assert owner.told[:1] == ["gone"]
    assert (
        "is not to be trusted ('reloaded', which nobody asked for): it is replaced" in caplog.text
    )
    supervised.close()


def test_a_worker_that_does_not_read_is_replaced(supervised, caplog):
    supervisor = supervised.supervisor
    first = supervisor.worker
    while first.fault == "":
        supervisor.send("resume")
    supervised.turn_until(lambda: supervisor.worker not in (first, None))
    assert supervisor.deaths == {"hung": 1}
    assert "does not read what it is told" in caplog.text


def test_whatever_fails_as_a_worker_ends_or_starts_there_is_another_one(
    supervised, owner, monkeypatch
):
    faults = []

    def fail(*_):
        if len(faults) < 2:
            faults.append(monotonic())
            raise MemoryError

    monkeypatch.setattr(owner, "worker_ended", fail)
    monkeypatch.setattr("nodecache.keeper.supervisor.fork_worker", failing_once(fail))
    supervisor, loop = supervised.supervisor, supervised.loop
    first = supervisor.worker
    os.kill(first.pid, signal.SIGKILL)
    deadline = monotonic() + PATIENCE_SECONDS
    while supervisor.worker in (first, None):
        assert monotonic() < deadline
        loop.turn(0.01)
        loop.attempt(supervisor.turn, monotonic())
    assert len(faults) == loop.faults == 2


def failing_once(fail):
    def fork(*arguments):
        fail()
        return fork_worker(*arguments)

    return fork
