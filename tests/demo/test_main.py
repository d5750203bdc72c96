"""The demo as a user runs it: started, asked, stopped with Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
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
from tests.system.netns import wait_until

_PLACE = Place(
    dns_port=5300,
    metrics_port=9253,
    health_port=8080,
    stand_in_port=40053,
    control="/tmp/x/control",
)


def test_every_mark_of_the_corefile_is_filled_in():
    text = corefile_for(_PLACE)
    assert not re.findall(r"[A-Z_]+_PORT", text)
    assert "forward . 127.0.0.1:40053 {" in text


def test_the_agent_is_asked_to_leave_the_host_alone():
    line = arguments(Path("/tmp/x/Corefile.base"), _PLACE)
    assert "-setupinterface=false" in line
    assert line[line.index("-dns.port") + 1] == "5300"


@contextmanager
def demo(port: int) -> Iterator[tuple[subprocess.Popen, Path]]:
    """The demo, and the file that it writes to."""
    command = [sys.executable, "-m", "nodecache.demo", "--port", str(port)]
    with tempfile.NamedTemporaryFile() as out:
        process = subprocess.Popen(
            [*command, "--metrics-port", "0", "--health-port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            yield process, Path(out.name)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_SECONDS)


def ask(port: int) -> dns.message.Message:
    query = dns.message.make_query("kubernetes.default.svc.cluster.local.", "A")
    return dns.query.udp(query, "127.0.0.1", timeout=PATIENCE_SECONDS, port=port)


def hits(banner: str) -> int:
    """What the metrics page that the banner names tells of cached answers that were sent."""
    with urllib.request.urlopen(re.search(r"metrics +(http\S+)", banner)[1]) as page:
        told = re.findall(r"\ncoredns_cache_hits_total\{.*\} (\d+)", page.read().decode())
    return sum(map(int, told))


@pytest.mark.system
def test_the_demo_answers_says_how_to_watch_it_and_ends_on_ctrl_c():
    port = free_port()
    with demo(port) as (process, out):
        wait_until(lambda: "Ctrl-C ends it" in out.read_text())
        assert f"dig @127.0.0.1 -p {port} kubernetes.default.svc.cluster.local" in out.read_text()
        before = hits(out.read_text())
        assert ask(port).answer[0][0].to_text() == "10.96.0.1"
        assert hits(out.read_text()) == before  # a miss the first time, as README says
        assert ask(port).answer[0].ttl <= 30
        assert hits(out.read_text()) == before + 1
        watch = re.search(r"watch +(.*)", out.read_text())[1]
        told = subprocess.run(
            [*watch.split(), "--once"], capture_output=True, text=True, check=True
        )
        assert "answers kept" in told.stdout
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert process.wait(PATIENCE_SECONDS) == 0
        assert "Traceback" not in out.read_text()
