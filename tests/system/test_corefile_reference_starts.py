"""Every example of docs/corefile.md, started: it serves, and answers.

Its upstreams are moved to loopback addresses where nobody is, so that nothing leaves the machine.
"""

import re
from pathlib import Path

import dns.message
import pytest

from tests.contract.test_corefile_reference import EXAMPLES
from tests.helpers.agent import Agent

pytestmark = pytest.mark.system

_PORT_OF_A_KEY = re.compile(r"(?<=[a-z0-9]):53(?=[, ]|$)", re.MULTILINE)
_FORWARD = re.compile(r"^ *(forward|import upstream) .*$", re.MULTILINE)
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_NO_READER = "plugin/dnstap: No connection to dnstap endpoint"
_TAKEN = "address already in use"  # the port of a page: another run may be at the same example


def moved(text: str, port: int, folder: Path) -> str:
    """The example on a port of ours, with upstreams on loopback."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.99\n")
    known: dict[str, str] = {}

    def nobody(match: re.Match[str]) -> str:
        return known.setdefault(match[0], f"127.0.0.{100 + len(known)}")

    text = _FORWARD.sub(lambda line: _ADDRESS.sub(nobody, line[0]), text)
    text = text.replace("/etc/resolv.conf", str(folder / "resolv.conf"))
    return _PORT_OF_A_KEY.sub(f":{port}", text)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_serves(tmp_path, text):
    agent = Agent(tmp_path, "")
    agent.corefile.write_text(moved(text, agent.port, tmp_path))
    agent._flags = ("-dns.port", str(agent.port), "-user", "root")  # who may read the folder
    with agent:
        # The server's own identity: no directive and no upstream is asked for it.
        reply = agent.udp(dns.message.make_query("id.server", "TXT", "CH"))
    assert reply.question
    errors = [line for line in agent.log.splitlines() if "[ERROR]" in line]
    assert [li for li in errors if _NO_READER not in li and _TAKEN not in li.lower()] == []
