"""The demo as a user runs it: started, asked, stopped with Ctrl-C."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import pytest

from nodecache.demo.__main__ import arguments, corefile_for
from nodecache.demo.companion import Place
from tests.helpers.agent import free_port
from tests.patience import PATIENCE_SECONDS

_PLACE = Place(dns_port=5300, metrics_port=9253, health_port=8080, stand_in_port=40053)


def test_every_mark_of_the_corefile_is_filled_in():
    text = corefile_for(_PLACE)
    assert not re.findall(r"[A-Z_]+_PORT", text)
    assert "forward . 127.0.0.1:40053 {" in text


def test_the_agent_is_asked_to_leave_the_host_alone():
    line = arguments(Path("/tmp/x/Corefile.base"), _PLACE)
    assert "-setupinterface=false" in line
    assert line[line.index("-dns.port") + 1] == "5300"


class Screen:
    """What a program wrote so far."""

    def __init__(self, descriptor: int) -> None:
        self.text = ""
        self._descriptor = descriptor

    def wait_for(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (match := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            if select.select([self._descriptor], [], [], 0.5)[0]:
                self.text += os.read(self._descriptor, 65536).decode()
        return match


@contextmanager
def demo(port: int, *, has_terminal: bool) -> Iterator[tuple[subprocess.Popen, Screen, int]]:
    ours, theirs = pty.openpty() if has_terminal else os.pipe()
    command = [sys.executable, "-m", "nodecache.demo", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--metrics-port", "0", "--health-port", "0"],
        stdin=theirs if has_terminal else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, Screen(ours), ours
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE_SECONDS)
        os.close(ours)


def ask(port: int) -> dns.message.Message:
    query = dns.message.make_query("kubernetes.default.svc.cluster.local.", "A")
    return dns.query.udp(query, "127.0.0.1", timeout=PATIENCE_SECONDS, port=port)


@pytest.mark.system
def test_in_a_terminal_the_demo_tells_a_line_a_second_and_ends_on_ctrl_c():
    port = free_port()
    with demo(port, has_terminal=True) as (process, screen, _):
        screen.wait_for(rf"dig @127.0.0.1 -p {port} kubernetes.default.svc.cluster.local")
        assert ask(port).answer[0][0].to_text() == "10.96.0.1"
        assert ask(port).answer[0].ttl <= 30
        screen.wait_for(r"\d queries/s   hit ratio \d+%   upstream ")
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert process.wait(PATIENCE_SECONDS) == 0
        assert "Traceback" not in screen.text


@pytest.mark.system
def test_without_a_terminal_there_is_no_status_line():
    port = free_port()
    with demo(port, has_terminal=False) as (process, screen, ours):
        screen.wait_for("Ctrl-C ends it")
        ask(port)
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        rest = os.read(ours, 65536).decode()
        assert "queries/s" not in screen.text + rest
