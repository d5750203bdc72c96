"""`nodecache top` beside a running agent: once for scripts, and live in a terminal (tmux)."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.helpers.prometheus import wait_until
from tests.patience import PATIENCE_SECONDS
from tests.system.agent import Load, running_agent, stand_in
from tests.system.terminal import Terminal

pytestmark = pytest.mark.system
POPULAR = "kubernetes.default.svc.cluster.local."


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """An agent under some load, and its control socket: a short path, as sockets need it."""
    folder = Path(tempfile.mkdtemp(prefix="nc"))
    path = str(folder / "c")
    with (
        stand_in() as upstream,
        running_agent(tmp_path_factory.mktemp("agent"), upstream, "-control", path) as agent,
        Load(agent.port),
    ):
        yield agent, path
    shutil.rmtree(folder)


def run(control: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "nodecache", "top", *words, "--control", control]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


def test_one_sample_as_json_counts_names_clients_and_upstreams(busy):
    done = run(busy[1], "--once", "--json", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["queries_per_second"] > 1
    assert set(told["rcodes"]) == {"NOERROR", "NXDOMAIN"}
    assert told["sampling"]["largest_one_of"] == 1
    names = {row["key"]: row for row in told["names"]}
    assert names[POPULAR]["queries"] > names[POPULAR]["misses"]
    unknown = [row for name, row in names.items() if name.endswith(".example.org.")]
    assert all(row["misses"] == row["nxdomains"] == row["queries"] == 1 for row in unknown)
    (client,) = told["clients"]
    assert client["key"] == "127.0.0.1"
    total = told["queries_per_second"] * told["seconds"]
    assert abs(client["queries"] - total) <= 0.1 * total + 5
    (upstream,) = told["upstreams"]
    assert upstream["standing"] == "good"


def test_one_sample_for_people(busy):
    text = run(busy[1], "--once").stdout
    assert "queries/s" in text
    assert POPULAR in text


def test_without_a_terminal_nothing_is_live(busy):
    done = run(busy[1])
    assert done.returncode == 2
    assert "no terminal" in done.stderr


@pytest.fixture
def terminal(busy):
    folder = Path(tempfile.mkdtemp(prefix="nc"))
    argv = (sys.executable, "-m", "nodecache", "top", "--control", busy[1], "--seconds", "0.2")
    made = Terminal(folder, *argv)
    yield made
    made.close()
    shutil.rmtree(folder)


def seconds_counted(screen: str) -> int:
    found = re.search(r"counted for (\d+) s", screen)
    return int(found[1]) if found else -1


def test_live_it_sorts_filters_pauses_and_quits(busy, terminal):
    terminal.wait_for(POPULAR)
    terminal.wait_for("queries▼")
    terminal.press("s")
    terminal.wait_for("misses▼")
    terminal.press("/", "nobody")
    wait_until(lambda: POPULAR not in terminal.screen(), "the filter")
    terminal.press("Enter")
    terminal.wait_for("only 'nobody'")
    terminal.press("p")
    terminal.wait_for("PAUSED")
    paused = terminal.screen()
    dns.query.udp(
        dns.message.make_query("nobody-else.example.org.", "A"), "127.0.0.1", port=busy[0].port
    )
    assert terminal.screen() == paused
    terminal.press("p")
    wait_until(lambda: seconds_counted(terminal.screen()) > seconds_counted(paused), "goes on")
    terminal.wait_for("nobody-else.example.org.")
    terminal.press("q")
    wait_until(terminal.has_ended, "the end")


def test_names_are_counted_only_while_somebody_watches(busy):
    """The first sample of the next one to watch knows nothing of before."""
    agent, control = busy
    name = "asked-before.example.org."
    dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=agent.port)
    told = json.loads(run(control, "--once", "--json", "--seconds", "0.1").stdout)
    assert name not in {row["key"] for row in told["names"]}
