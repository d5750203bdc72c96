"""What the agent's log says of a flood, which is more than its first lines."""

import signal

import dns.message
import dns.rcode
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


QUERIES = 30


def flood(agent: Agent) -> None:
    """So many queries at one moment that ten lines are not enough for their failures."""
    with agent.datagrams() as client:
        for number in range(QUERIES):
            client.send(dns.message.make_query(f"n{number}.example.", "A").to_wire())
        for _ in range(QUERIES):
            assert dns.message.from_wire(client.recv(512)).rcode() == dns.rcode.SERVFAIL


def test_a_flood_that_ends_is_summed_up_by_worker_and_keeper(tmp_path):
    with Agent(tmp_path, FAILING) as agent:
        flood(agent)
        agent.write(". {\n" + "frobnicate\n" * QUERIES + "}\n")
        agent.process.send_signal(signal.SIGHUP)
        told = ""
        while not ("plugin/errors" in told and "frobnicate" in told):
            told += agent.wait_for_line("of this kind in 10 s")


def test_a_flood_is_summed_up_at_the_end(tmp_path):
    with Agent(tmp_path, FAILING) as agent:
        flood(agent)
        agent.process.terminate()
        assert "plugin/errors" in agent.wait_for_line("of this kind")
