import os
import signal
import subprocess
import sys
import time

import pytest

from nodecache.keeper.heartbeats import (
    BUILD_SECONDS,
    LONGEST_SECONDS,
    SILENT_SECONDS,
    UNMEASURED_SECONDS,
    Heartbeats,
    waited_for_cpu,
)
from tests.patience import PATIENCE_SECONDS


class Waiting:
    """A process that waits for a CPU as long as the test says."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def __call__(self, pid):
        return self.seconds


def test_a_worker_is_lost_only_after_some_seconds_of_silence():
    heartbeats = Heartbeats(1, 100.0, Waiting())
    assert not heartbeats.is_lost(100.0 + SILENT_SECONDS, is_building=False)
    assert heartbeats.is_lost(100.1 + SILENT_SECONDS, is_building=False)
    heartbeats.heard(110.0)
    assert not heartbeats.is_lost(110.0 + SILENT_SECONDS, is_building=False)


def test_the_time_for_which_it_was_not_let_run_does_not_count():
    waiting = Waiting(7.0)
    heartbeats = Heartbeats(1, 100.0, waiting)
    waiting.seconds = 7.0 + 20.0
    assert not heartbeats.is_lost(100.0 + 20.0 + SILENT_SECONDS, is_building=False)
    assert heartbeats.is_lost(100.1 + 20.0 + SILENT_SECONDS, is_building=False)


def test_there_is_an_end_to_what_is_forgiven():
    waiting = Waiting()
    heartbeats = Heartbeats(1, 0.0, waiting)
    waiting.seconds = LONGEST_SECONDS + 1
    assert heartbeats.is_lost(LONGEST_SECONDS + 1, is_building=False)


def test_a_time_in_which_the_keeper_did_not_run_itself_does_not_count():
    """After a pause of the whole machine, the worker may be let run after the keeper."""
    heartbeats = Heartbeats(1, 100.0, Waiting())
    for now in (100.5, 150.0):
        heartbeats.looked(now)
        assert not heartbeats.is_lost(now, is_building=False)
    for tenths in range(12):
        heartbeats.looked(150.0 + tenths / 10)
    assert heartbeats.is_lost(151.1, is_building=False)


def test_what_is_heard_after_a_pause_is_not_taken_for_later_than_it_was():
    heartbeats = Heartbeats(1, 100.0, Waiting())
    heartbeats.heard(150.0)
    for tenths in range(22):
        heartbeats.looked(150.0 + tenths / 10)
    assert heartbeats.is_lost(152.1, is_building=False)


def test_a_keeper_that_always_looks_late_notices_silence_all_the_same():
    heartbeats = Heartbeats(1, 100.0, Waiting())
    for now in (110.0, 120.0, 130.0):
        heartbeats.looked(now)
    assert heartbeats.is_lost(130.0, is_building=False)


def test_while_it_builds_it_need_not_say_anything_for_longer():
    heartbeats = Heartbeats(1, 0.0, Waiting())
    assert not heartbeats.is_lost(BUILD_SECONDS, is_building=True)
    assert heartbeats.is_lost(BUILD_SECONDS + 0.1, is_building=True)


def test_where_nobody_counts_who_waits_it_is_given_more_time():
    heartbeats = Heartbeats(1, 0.0, lambda _: None)
    assert not heartbeats.is_lost(UNMEASURED_SECONDS, is_building=False)
    assert heartbeats.is_lost(UNMEASURED_SECONDS + 0.1, is_building=False)


@pytest.mark.system
def test_a_process_that_competes_for_a_cpu_waits_and_one_that_is_stopped_does_not():
    cpu = min(os.sched_getaffinity(0))
    spin = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
    pair = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2)]
    try:
        pid = pair[0].pid
        deadline = time.monotonic() + PATIENCE_SECONDS
        while waited_for_cpu(pid) < 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        before = waited_for_cpu(pid)
        time.sleep(0.2)
        assert waited_for_cpu(pid) == before
    finally:
        for each in pair:
            each.kill()
            each.wait()


def test_of_a_process_that_is_gone_nothing_is_counted():
    process = subprocess.Popen(["true"])
    process.wait()
    assert waited_for_cpu(process.pid) is None
