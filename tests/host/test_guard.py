"""The guard over a host that only notes what it is told, and a worker that answers or does not."""

import contextlib
import errno
import os
import select
import socket
from ipaddress import ip_address as ip
from pathlib import Path

import pytest

from nodecache.host import Guard, HostOptions, Verdict, probe
from tests.helpers.agent import free_port

LOOPBACK, SERVICE = ip("127.0.0.1"), ip("10.96.0.10")


class NotedHost:
    """A host that does nothing but say what was asked of it."""

    is_settled = True

    def __init__(self, lease_seconds: float = 10.0) -> None:
        self.options = HostOptions(addresses=(LOOPBACK, SERVICE), lease_seconds=lease_seconds)
        self.poller = select.epoll()
        self.noted: list[str] = []

    def __getattr__(self, name: str):
        return lambda *_: self.noted.append(name)

    def fileno(self) -> int:
        return self.poller.fileno()

    def turn(self, now: float) -> None:
        pass

    def next_wake(self, now: float) -> float:
        return float("inf")

    def state(self) -> dict:
        return {"lease": {}}


class Worker:
    """Answers what waits for it, whenever it is given a turn."""

    def __init__(self) -> None:
        self.stream = socket.create_server(("127.0.0.1", free_port()))
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(self.stream.getsockname())
        self.target = (LOOPBACK, self.stream.getsockname()[1])
        for server in (self.stream, self.datagrams):
            server.setblocking(False)

    def turn(self) -> None:
        with contextlib.suppress(BlockingIOError):
            packet, client = self.datagrams.recvfrom(4096)
            self.datagrams.sendto(packet[:2] + b"\x81\x85" + packet[4:], client)
        with contextlib.suppress(BlockingIOError):
            connection, _ = self.stream.accept()
            with connection:
                packet = connection.recv(4096)
                connection.sendall(packet[:4] + b"\x81\x85" + packet[6:])


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.stream.close()
    worker.datagrams.close()


@pytest.fixture
def host():
    host = NotedHost()
    yield host
    host.poller.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def probed(guard: Guard, now: float, worker: Worker) -> Verdict:
    """One round at `now`, to its end."""
    total = guard.answered + guard.unanswered
    for _ in range(200):
        verdict = guard.turn(now)
        if guard.answered + guard.unanswered > total or verdict is Verdict.REPLACE:
            return verdict
        worker.turn()
        guard.host.poller.poll(0.05)
    raise AssertionError("the round did not end")


def test_the_first_ready_worker_brings_the_host_up_and_no_later_one_does(host, worker):
    guard = Guard(host, targets=lambda now: [worker.target])
    guard.worker_ready(0.0)
    guard.worker_ended(1.0)
    guard.worker_ready(1.1)
    assert host.noted == ["bring_up"]


def test_an_answered_probe_renews(host, worker):
    guard = Guard(host, targets=lambda now: [worker.target])
    guard.worker_ready(0.0)
    assert probed(guard, 0.0, worker) is Verdict.KEEP
    assert host.noted == ["bring_up", "renew"]
    assert guard.state()["probes"] == {"answered": 1, "unanswered": 0}


def test_a_silent_worker_is_replaced_once_and_then_the_addresses_are_withdrawn(host):
    guard = Guard(host, targets=lambda now: [(ip("192.0.2.1"), 53)])
    guard.worker_ready(0.0)
    verdicts = []
    for now in range(10):
        guard.worker_alive(float(now))
        verdicts.append(guard.turn(float(now)))
    assert [now for now, verdict in enumerate(verdicts) if verdict is Verdict.REPLACE] == [5]
    assert host.noted == ["bring_up", "withdraw"]


def test_a_worker_that_is_not_heard_is_not_replaced_for_its_answers(host):
    """It may build a configuration or get no CPU, which the keeper measures; its addresses go all the same."""
    guard = Guard(host, targets=lambda now: [(ip("192.0.2.1"), 53)])
    guard.worker_ready(0.0)
    guard.worker_alive(0.0)
    assert {guard.turn(float(now)) for now in range(20)} == {Verdict.KEEP}
    assert host.noted == ["bring_up", "withdraw"]
    verdicts = set()
    for now in range(20, 26):  # it is heard again, and answers nothing
        guard.worker_alive(float(now))
        verdicts.add(guard.turn(float(now)))
    assert Verdict.REPLACE in verdicts


def test_the_addresses_come_back_after_three_answers(host, worker):
    target = [(ip("192.0.2.1"), 53)]
    guard = Guard(host, targets=lambda now: target)
    guard.worker_ready(0.0)
    for now in range(9):
        guard.worker_alive(float(now))
        guard.turn(float(now))
    target[0] = worker.target
    guard.worker_ready(9.0)
    for now in range(9, 12):
        probed(guard, float(now), worker)
    assert host.noted == ["bring_up", "withdraw", "restore"]


def test_a_heartbeat_counts_only_where_nothing_can_be_asked(host, worker):
    targets: list = []
    guard = Guard(host, targets=lambda now: targets)
    guard.worker_ready(0.0)
    for now in range(60):
        guard.worker_alive(float(now))
        assert guard.turn(float(now)) is Verdict.KEEP
    assert host.noted.count("renew") > 10
    targets.append((ip("192.0.2.1"), 53))
    verdicts = set()
    for now in range(60, 70):
        guard.worker_alive(float(now))
        verdicts.add(guard.turn(float(now)))
    assert verdicts == {Verdict.KEEP, Verdict.REPLACE}


def test_a_worker_that_cannot_be_asked_is_not_blamed(host, worker, monkeypatch, caplog):
    """The table of open files of the node is full, and it serves on the sockets that it has."""
    left = iter(range(1))

    class Refused(probe.Exchange):
        def __init__(self, *arguments):
            if next(left, None) is None:
                raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
            super().__init__(*arguments)

    guard = Guard(host, targets=lambda now: [worker.target])
    guard.worker_ready(0.0)
    open_before = open_files()
    with monkeypatch.context() as patched:
        patched.setattr(probe, "Exchange", Refused)
        for now in range(20):
            guard.worker_alive(float(now))
            assert guard.turn(float(now)) is Verdict.KEEP
    assert "withdraw" not in host.noted
    assert host.noted.count("renew") > 4
    assert open_files() == open_before
    assert caplog.text.count("cannot be asked, its heartbeats must do") == 1
    probed(guard, 20.0, worker)
    assert guard.state()["probes"] == {"answered": 1, "unanswered": 0}


def test_after_giving_back_nothing_is_probed_renewed_or_replaced(host, worker):
    guard = Guard(host, targets=lambda now: [worker.target])
    guard.worker_ready(0.0)
    guard.release(1.0)
    assert [guard.turn(float(now)) for now in range(1, 60)] == [Verdict.KEEP] * 59
    guard.worker_ready(60.0)
    assert host.noted == ["bring_up", "release"]


def test_detached_nothing_is_touched_until_a_worker_is_ready_again(host, worker):
    guard = Guard(host, targets=lambda now: [worker.target])
    guard.worker_ready(0.0)
    guard.detach()
    assert [guard.turn(float(now)) for now in range(1, 60)] == [Verdict.KEEP] * 59
    assert guard.next_wake(60.0) == float("inf")
    guard.worker_alive(60.0)
    guard.worker_ended(60.0)
    assert host.noted == ["bring_up", "detach"]
    guard.worker_ready(61.0)
    assert host.noted[-1] == "bring_up"
