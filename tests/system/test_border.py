"""A worker that was taken over: whatever is said at its end of the channel, the keeper lives on.

The octets are sent at the real worker's own end, which is copied out of it (pidfd_getfd(2)).
"""

import array
import contextlib
import ctypes
import os
import signal
import socket
import threading
import urllib.request
from pathlib import Path

import dns.rcode
import pytest

from tests.helpers.agent import HOST, Agent, free_port, stock
from tests.helpers.prometheus import wait_until
from tests.helpers.upstream import FakeUpstream
from tests.needs import need_root
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system
need_root()

_PIDFD_GETFD = 438


@pytest.fixture
def agent(tmp_path):
    metrics = f"{HOST}:{free_port()}"
    with FakeUpstream("a.example. 30 IN A 192.0.2.1") as upstream:
        corefile = stock(upstream.address, more=f"prometheus {metrics}")
        with Agent(tmp_path, corefile) as running:
            running.metrics = f"http://{metrics}/metrics"
            yield running


@contextlib.contextmanager
def worker_end(agent):
    """The end of the channel that the worker has."""
    pidfd = os.pidfd_open(agent.worker)
    libc = ctypes.CDLL(None, use_errno=True)
    copies = [
        libc.syscall(_PIDFD_GETFD, pidfd, int(entry.name), 0)
        for entry in Path(f"/proc/{agent.worker}/fd").iterdir()
        if str(entry.readlink()).startswith("socket:")
    ]
    os.close(pidfd)
    ends = []
    for each in [socket.socket(fileno=copy) for copy in copies]:
        if each.type == socket.SOCK_SEQPACKET:
            ends.append(each)
        else:
            each.close()  # else the worker's pages would be listened on after its death
    (end,) = ends
    with end:
        yield end


def page(agent):
    with urllib.request.urlopen(agent.metrics, timeout=PATIENCE_SECONDS) as reply:
        return reply.read().decode()


def open_files(agent):
    return len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir()))


def assert_replaced(agent, worker):
    """Another worker answers, and it was counted why."""
    agent.wait_for_line("is not to be trusted")
    agent.wait_for_line("the next one starts in")
    assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
    assert agent.worker != worker
    counted = 'nodecache_worker_replacements_total{reason="protocol"} 1'
    wait_until(lambda: counted in page(agent), "the count")


@pytest.mark.parametrize(
    "octets",
    [
        b"x",
        b"[1]",
        b'{"kind":"refused"}',
        b'{"kind":"refused","why":"nobody asked"}',
        b'{"kind":"reloaded"}',
        b'{"kind":"ready"}',
        b'{"kind":"paused"}',
        b'{"kind":"stop"}',
        b"[" * 16_000,
        b'{"kind":"alive","more":"' + b"x" * 60_000 + b'"}',
    ],
    ids=lambda octets: octets.decode()[:40],
)
def test_a_worker_that_says_what_it_may_not_is_replaced(agent, octets):
    worker = agent.worker
    with worker_end(agent) as end:
        end.send(octets)
        assert_replaced(agent, worker)
    assert agent.stop() == 0


@pytest.mark.parametrize("kind", ["alive", "cache"])
def test_descriptors_that_nobody_asked_for_do_not_pile_up(agent, kind):
    worker, before = agent.worker, open_files(agent)
    with worker_end(agent) as end, open(os.devnull, "rb") as file:  # noqa: PTH123
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()] * 100))]
        end.setblocking(False)
        with contextlib.suppress(OSError):
            for _ in range(20):
                end.sendmsg([b'{"kind":"%s"}' % kind.encode()], rights)
        assert_replaced(agent, worker)
    wait_until(lambda: open_files(agent) <= before, "the keeper's descriptors")
    assert agent.stop() == 0


def test_a_worker_that_never_stops_to_talk_holds_up_nothing(agent):
    is_over = threading.Event()
    with worker_end(agent) as end:

        def talk():
            with contextlib.suppress(OSError):
                while not is_over.is_set():
                    end.send(b'{"kind":"alive"}')

        talking = threading.Thread(target=talk)
        talking.start()
        try:
            agent.process.send_signal(signal.SIGHUP)
            agent.wait_for_line("SIGHUP: Reloading")
            assert agent.stop() == 0
        finally:
            is_over.set()
            end.shutdown(socket.SHUT_RDWR)
            talking.join()
