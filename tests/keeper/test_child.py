import errno
import os
import select
import signal
import time
from time import monotonic

import pytest

from nodecache.keeper.child import RELOAD_SECONDS, fork_worker
from nodecache.process.memory_file import to_descriptor
from nodecache.process.messages import MalformedControlMessage
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system


def wait_for_death(worker):
    deadline = monotonic() + PATIENCE_SECONDS
    while not worker.has_ended:
        assert monotonic() < deadline
        time.sleep(0.001)


def wait_for_end(worker):
    wait_for_death(worker)
    return worker.reap()


def test_a_worker_tells_through_its_channel_and_ends_with_its_status():
    def body(channel):
        channel.send("ready")
        return 3

    worker = fork_worker(body, monotonic())
    assert select.select([worker.channel.fileno()], [], [], 10)[0]
    assert worker.receive(monotonic()).kind == "ready"
    assert wait_for_end(worker) == "exited with 3"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 3, "signal 37")]
)
def test_a_killed_worker_is_told_by_name(number, name):
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    os.kill(worker.pid, number)
    assert wait_for_end(worker) == f"killed by {name}"


def test_a_kernel_without_pidfd_is_enough(monkeypatch):
    """They are of Linux 5.3; nodes with 4.18 exist."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    assert worker.kill()
    assert wait_for_end(worker) == "killed by SIGKILL"


def test_a_worker_that_cannot_be_killed_is_told_and_not_waited_for(caplog, monkeypatch):
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    with monkeypatch.context() as other_user:

        def refuse(*_):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        other_user.setattr(os, "kill", refuse)
        assert not worker.kill()
    assert f"worker {worker.pid} cannot be killed: the capability CAP_KILL" in caplog.text
    assert worker.kill()
    wait_for_end(worker)


def test_a_worker_that_somebody_else_has_collected_has_ended_as_well():
    worker = fork_worker(lambda _: 0, monotonic())
    os.waitpid(worker.pid, 0)
    assert wait_for_end(worker) == "exited unseen"


def test_a_worker_that_ends_in_time_is_not_killed(caplog):
    worker = fork_worker(lambda _: 0, monotonic())
    worker.finish(seconds=10)
    assert "killed" not in caplog.text
    with pytest.raises(ChildProcessError):
        os.waitpid(worker.pid, os.WNOHANG)


def test_a_worker_that_does_not_end_in_time_is_killed(caplog):
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    worker.finish(seconds=0.01)
    assert f"worker {worker.pid} did not end in time" in caplog.text
    with pytest.raises(ChildProcessError):
        os.waitpid(worker.pid, os.WNOHANG)


def test_an_exception_in_the_worker_never_runs_the_keepers_code():
    def body(_):
        os.close(2)
        raise RuntimeError

    assert wait_for_end(fork_worker(body, monotonic())) == "exited with 1"


def read_one(channel):
    """As a worker: the next of what the keeper says. One that ends with some unread resets."""
    assert select.select([channel], [], [], 10)[0]
    channel.receive()


def heard(worker):
    """All it said by its end, in kinds; the error where it may not say that."""
    wait_for_death(worker)
    kinds = []
    try:
        while (message := worker.receive(monotonic())) is not None:
            kinds.append(message.kind)
    except MalformedControlMessage as error:
        kinds.append(str(error))
    return kinds


@pytest.mark.parametrize("kind", ["ready", "reloaded", "paused"])
def test_what_was_asked_for_once_may_be_said_once(kind):
    def body(channel):
        read_one(channel)
        channel.send(kind)
        channel.send("alive")
        channel.send(kind)
        return 0

    worker = fork_worker(body, monotonic())
    if kind == "reloaded":
        with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor
            worker.send("reload", [file.fileno()])
        assert worker.owes("reload")
    else:
        worker.send("pause", dropped=[], pages=[], has_successor=False)
    assert heard(worker) == [kind, "alive", f"{kind!r}, which nobody asked for"]
    assert not worker.owes("reload")
    worker.reap()


@pytest.mark.parametrize("has_successor", [False, True])
def test_a_cache_is_taken_where_there_is_an_heir_and_sealed(has_successor):
    def body(channel):
        read_one(channel)
        read_one(channel)
        channel.send("cache", [to_descriptor(b"answers")])
        with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor
            channel.send("cache", [file.fileno()])
        return 0

    worker = fork_worker(body, monotonic())
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    worker.send("pause", dropped=[], pages=[], has_successor=has_successor)
    worker.send("pause", dropped=[], pages=[], has_successor=has_successor)
    said = heard(worker)
    if has_successor:
        assert said == ["cache", "a descriptor of no memory file"]
    else:
        assert said == ["'cache', which nobody asked for"]
    assert len(os.listdir("/proc/self/fd")) == before + has_successor  # noqa: PTH208
    worker.reap()


def test_a_worker_that_does_not_read_is_told_so_much_and_no_more():
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    told = 0
    while worker.send("resume"):
        told += 1
    assert told < 10_000
    worker.kill()
    wait_for_death(worker)
    assert worker.send("resume")  # its death is told by other means
    worker.reap()


def test_a_worker_that_does_not_answer_a_reload_is_as_good_as_silent():
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor
        worker.send("reload", [file.fileno()])
    late = monotonic() + RELOAD_SECONDS
    worker.heartbeats.heard(late)
    assert not worker.is_silent(late - 1)
    assert worker.is_silent(late + 1)
    worker.restart_patience(late + 1)
    assert not worker.is_silent(late + 1)
    worker.kill()
    wait_for_end(worker)


def test_a_fork_that_fails_leaves_no_descriptor_open(monkeypatch):
    def refuse():
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with pytest.raises(OSError, match="unavailable"):
        fork_worker(lambda _: 0, monotonic())
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208
