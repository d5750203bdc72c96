"""Real, short programs: the runner's work is to start, follow and end them."""

import errno
import os
import select
import time
from pathlib import Path

import pytest

from nodecache.host.commands import NOT_FOUND, Command, Result, Runner, run_now


@pytest.fixture
def poller():
    with select.epoll() as poller:
        yield poller


def drive(runner: Runner, poller: select.epoll) -> None:
    """What the keeper's loop does, until nothing is left to do."""
    now = time.monotonic()
    runner.turn(now)
    while not runner.is_idle:
        poller.poll(max(0.001, (runner.next_wake(now) or now) - now))
        now = time.monotonic()
        runner.turn(now)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def collected(runner: Runner, poller: select.epoll, *commands: Command) -> list[Result]:
    results: list[Result] = []

    def job():
        for command in commands:
            result = yield command
            results.append(result)

    runner.add("job", job())
    drive(runner, poller)
    return results


def test_a_program_gets_its_input_and_what_it_says_comes_back(poller):
    (result,) = collected(Runner(poller), poller, Command(("cat",), "a\nb\n"))
    assert result == Result(0, "a\nb\n", "")


def test_output_larger_than_a_pipe_comes_back_whole(poller):
    text = "x" * 1_000_000
    (result,) = collected(Runner(poller), poller, Command(("cat",), text))
    assert result.stdout == text


def test_a_failure_is_told_by_its_first_line(poller):
    command = Command(("sh", "-c", "echo; echo why >&2; echo more >&2; exit 3"))
    (result,) = collected(Runner(poller), poller, command)
    assert (result.code, result.is_ok, result.reason) == (3, False, "why")


def test_a_program_that_is_not_there_is_a_result_too(poller):
    result, after = collected(
        Runner(poller), poller, Command(("no-such-program",)), Command(("true",))
    )
    assert (result.code, result.reason) == (NOT_FOUND, "no-such-program: No such file or directory")
    assert after.is_ok


def test_a_program_that_outlives_its_deadline_is_killed(poller):
    (result,) = collected(Runner(poller), poller, Command(("sleep", "60"), "", 0.05))
    assert (result.code, result.reason) == (None, "killed: not done after 0.05 s")


def test_turning_never_waits_for_a_program(poller):
    runner = Runner(poller)

    def job():
        yield Command(("sleep", "60"), "", 0.01)

    runner.add("slow", job())
    runner.turn(100.0)
    assert not runner.is_idle
    assert runner.next_wake(100.0) == pytest.approx(100.01)
    drive(runner, poller)


def test_jobs_run_one_after_the_other_and_the_same_job_waits_only_once(poller):
    order: list[str] = []

    def job(name: str):
        order.append(f"{name} begins")
        yield Command(("true",))
        order.append(f"{name} ends")

    runner = Runner(poller)
    runner.add("a", job("a"))
    runner.turn(time.monotonic())
    runner.add("b", job("b, given up"))
    runner.add("b", job("b"))
    drive(runner, poller)
    assert order == ["a begins", "a ends", "b begins", "b ends"]


def test_dropped_jobs_never_begin(poller):
    runner = Runner(poller)
    runner.add("a", (_ for _ in ()))
    runner.drop()
    assert runner.is_idle


def test_nothing_is_left_open(poller):
    before = open_files()
    collected(Runner(poller), poller, Command(("true",)), Command(("no-such-program",)))
    assert open_files() == before


def test_without_descriptors_to_spare_none_is_left_open(poller, monkeypatch):
    create = os.memfd_create
    before = open_files()
    for spare in range(3):
        left = iter(range(spare))

        def create_one_of_few(name, flags, left=left):
            if next(left, None) is None:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return create(name, flags)

        monkeypatch.setattr(os, "memfd_create", create_one_of_few)
        (result,) = collected(Runner(poller), poller, Command(("true",)))
        assert (result.code, result.reason) == (None, "true: Too many open files")
        assert open_files() == before


def test_a_job_that_fails_by_a_fault_of_ours_ends_and_the_next_one_runs(poller):
    def faulty():
        yield Command(("true",))
        raise ValueError("a listing of an unknown form")

    runner = Runner(poller)
    runner.add("faulty", faulty())
    with pytest.raises(ValueError, match="unknown form"):
        drive(runner, poller)
    assert runner.is_idle
    (result,) = collected(runner, poller, Command(("true",)))
    assert result.is_ok


def test_the_waiting_form_gives_the_same_results():
    assert run_now(Command(("cat",), "a")) == Result(0, "a", "")
    assert run_now(Command(("no-such-program",))).code == NOT_FOUND
    assert run_now(Command(("sleep", "60"), "", 0.05)).reason == "killed: not done after 0.05 s"


def test_a_kernel_without_pidfd_is_enough(poller, monkeypatch):
    """They are of Linux 5.3; nodes with 4.18 exist."""

    def refuse(_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    before = open_files()
    one, other = collected(Runner(poller), poller, Command(("cat",), "a"), Command(("false",)))
    assert (one.stdout, other.code) == ("a", 1)
    assert open_files() == before
