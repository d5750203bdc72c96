"""`nodecache explain` beside a running agent."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.helpers.prometheus import wait_until
from tests.patience import PATIENCE_SECONDS
from tests.system.agent import running_agent, stand_in

pytestmark = pytest.mark.system
NAME = "kubernetes.default.svc.cluster.local."


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The control socket of an agent, below a path short enough for one, and the agent."""
    folder = Path(tempfile.mkdtemp(prefix="nc"))
    path = str(folder / "run" / "control.sock")
    with (
        stand_in() as upstream,
        running_agent(tmp_path_factory.mktemp("agent"), upstream, "-control", path) as agent,
    ):
        yield path, agent
    shutil.rmtree(folder)


@pytest.fixture
def control(asked):
    return asked[0]


def run(control: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "nodecache", "explain", *words, "--control", control]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


def explained(control: str, *words: str) -> list[dict]:
    done = run(control, *words, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_name_is_explained_and_not_asked_until_it_is_to_be(control):
    for _ in range(2):
        (told,) = explained(control, NAME)
        assert told["outcome"] == "upstream"
    (told,) = explained(control, NAME, "--ask")
    assert told["answer"]["rcode"] == 0
    assert told["answer"]["from"] == told["upstream"]["upstreams"][0]["to"]
    (told,) = explained(control, NAME)
    assert told["outcome"] == "hit"
    (told,) = explained(control, NAME, "--ask")
    assert told["answer"]["from"] == "this node"


def test_people_are_told_in_words_with_the_records(control):
    text = run(control, NAME, "--ask").stdout
    assert "cluster.local" in text
    assert f"{NAME} " in text
    assert "IN A 10.96.0.1" in text


def test_the_search_list_of_a_pod_is_walked_until_there_are_records(control):
    steps = explained(control, "kubernetes.default", "--namespace", "shop", "--ask")
    assert [each["name"] for each in steps] == [
        "kubernetes.default.shop.svc.cluster.local.",
        NAME,
    ]
    assert [each["ends_search"] for each in steps] == [False, True]
    lines = run(control, "kubernetes.default", "--namespace", "shop").stdout.splitlines()
    assert len(lines) == 2
    assert "NXDOMAIN" in lines[0]
    assert lines[1].endswith("the search ends here")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [(("a..b",), 1, "a label has 1 to 63 octets"), (("a", "NIX"), 2, "must be a record type")],
)
def test_what_cannot_be_asked_is_said(control, words, status, said):
    done = run(control, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


def test_without_an_agent_a_line_says_where_it_was_looked_for(tmp_path):
    done = run(str(tmp_path / "none"), "a.example")
    assert done.returncode == 1
    assert f"{tmp_path}/none: No such file or directory" in done.stderr


def test_nobody_but_root_may_ask(control):
    program = (
        "import os, socket, sys; os.setuid(65534)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "except PermissionError: print('refused')"
    )
    Path(control).parent.chmod(0o755)
    Path(control).parents[1].chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", program, control], capture_output=True, text=True, check=False
    )
    assert done.stdout == "refused\n"


def test_the_next_worker_answers_where_the_one_before_it_did(asked):
    control, agent = asked
    (before,) = agent.workers()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: before not in agent.workers() and agent.is_ready(), "the next worker")
    wait_until(lambda: run(control, NAME).returncode == 0, "an answer")
    assert explained(control, NAME)[0]["zone"] == "cluster.local."
