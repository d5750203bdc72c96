"""What the agent's log says of a flood, which is more than its first lines."""

import signal

import pytest

from tests.helpers.agent import Agent

pytestmark = pytest.mark.system

FAILING = """
.:{port} {
    errors
    template IN A {
        answer "{{ .Name }} 5 IN A no-address"
    }
}
"""


def test_a_flood_that_ends_is_summed_up_by_worker_and_keeper(tmp_path):
    with Agent(tmp_path, FAILING) as agent:
        for number in range(30):
            agent.ask(f"n{number}.example.")
        for _ in range(11):
            agent.process.send_signal(signal.SIGHUP)
            agent.wait_for_line("Reloading")
        told = ""
        while not ("20 more lines" in told and "'SIGHUP: Reloading'" in told):
            told += agent.wait_for_line("of this kind in 10 s")


def test_a_flood_is_summed_up_at_the_end(tmp_path):
    with Agent(tmp_path, FAILING) as agent:
        for number in range(30):
            agent.ask(f"n{number}.example.")
        agent.process.terminate()
        assert "20 more lines" in agent.wait_for_line("of this kind")
