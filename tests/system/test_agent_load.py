"""The worker is killed under load: what dnsperf, a real client, loses.

A worker that is killed has at most one query in its hands: it reads one, and answers it or notes it
in the journal, before it reads the next.
"""

import re
import subprocess

import pytest

from tests.helpers.agent import HOST, Agent, stock
from tests.helpers.upstream import FakeUpstream
from tests.needs import need

pytestmark = pytest.mark.system

RATE, SECONDS, NAMES = 1000, 6, 50


def test_killing_the_worker_three_times_under_load_loses_one_query_each_at_most(tmp_path):
    dnsperf = need("dnsperf", package="dnsperf")
    records = "\n".join(f"n{number}.example. 300 IN A 192.0.2.1" for number in range(NAMES))
    questions = tmp_path / "questions"
    questions.write_text("".join(f"n{number}.example A\n" for number in range(NAMES)))
    with FakeUpstream(records) as upstream, Agent(tmp_path, stock(upstream.address)) as agent:
        for number in range(NAMES):
            agent.ask(f"n{number}.example.")
        argv = [dnsperf, "-s", HOST, "-p", str(agent.port), "-d", str(questions)]
        argv += [
            "-l",
            str(SECONDS),
            "-Q",
            str(RATE),
            "-c",
            "4",
            "-q",
            "10000",
            "-t",
            "15",
            "-S",
            "1",
        ]
        said, killed = "", 0
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout is not None
            for line in load.stdout:
                said += line
                # With -S 1 a line of statistics comes each second.
                if re.match(r"\d+\.\d+: ", line) and killed < 3:
                    agent.kill_worker()
                    killed += 1
    sent = int(re.search(r"Queries sent:\s+(\d+)", said)[1])
    lost = int(re.search(r"Queries lost:\s+(\d+)", said)[1])
    print(f"\n{killed} kills, {sent} queries sent, {lost} lost")
    assert killed == 3
    assert sent > RATE
    assert lost <= killed
