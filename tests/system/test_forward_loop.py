"""An upstream that forwards back to us: the rest of the node's DNS goes on."""

import dns.edns
import dns.rcode
import pytest

from tests.helpers.agent import Agent, free_port
from tests.needs import need
from tests.system.peers import HOST, nsd, unbound_forwarding_to

pytestmark = pytest.mark.system

need("unbound", package="unbound")
need("nsd", package="nsd")

COREFILE = """
example:{{port}} {{
    bind 127.0.0.1
    loop
    forward . 127.0.0.1:{nsd}
}}
.:{{port}} {{
    bind 127.0.0.1
    errors
    loop
    forward . 127.0.0.1:{unbound}
}}
"""


def test_a_loop_is_left_out_and_the_rest_serves(tmp_path):
    upstream = free_port()
    with nsd(tmp_path) as authority:
        agent = Agent(tmp_path, COREFILE.format(nsd=authority, unbound=upstream))
        with unbound_forwarding_to(tmp_path, upstream, HOST, agent.port), agent:
            if "loop detected" not in agent.log:  # it may come before the agent is ready
                agent.wait_for_line("loop detected")
            looping = agent.ask("a.test.", "A", use_edns=0)
            assert looping.rcode() == dns.rcode.SERVFAIL
            (error,) = [o for o in looping.options if isinstance(o, dns.edns.EDEOption)]
            assert "leads back to this server" in error.text
            assert str(agent.ask("www.example.", "A").answer[0][0]) == "192.0.2.1"
            assert agent.process.poll() is None
