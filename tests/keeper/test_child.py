import os
import select
import time
from time import monotonic

import pytest

from nodecache.keeper.child import SILENT_SECONDS, fork_worker

pytestmark = pytest.mark.system


def wait_for_end(worker):
    assert select.select([worker.pidfd], [], [], 10)[0]
    return worker.reap()


def test_a_worker_tells_through_its_channel_and_ends_with_its_status():
    def body(channel):
        channel.send("ready")
        return 3

    worker = fork_worker(body, monotonic())
    assert select.select([worker.channel.fileno()], [], [], 10)[0]
    assert [message.kind for message in worker.messages(monotonic())] == ["ready"]
    assert wait_for_end(worker) == "exited with 3"


def test_a_killed_worker_is_told_by_name():
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    worker.kill()
    assert wait_for_end(worker) == "killed by SIGKILL"


def test_a_worker_that_cannot_be_killed_is_told_and_not_waited_for(caplog):
    worker = fork_worker(lambda _: time.sleep(60), monotonic())
    pidfd = worker.pidfd
    with open(os.devnull, "rb") as no_process:  # noqa: PTH123 - a descriptor is what is wanted
        worker.pidfd = no_process.fileno()
        assert not worker.kill()
    assert f"worker {worker.pid} cannot be killed" in caplog.text
    worker.pidfd = pidfd
    assert worker.kill()
    wait_for_end(worker)


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


def test_a_worker_is_silent_only_after_some_seconds():
    worker = fork_worker(lambda channel: channel.send("alive") and 0, now=100.0)
    assert not worker.is_silent(100.0 + SILENT_SECONDS)
    assert worker.is_silent(100.1 + SILENT_SECONDS)
    wait_for_end(worker)
