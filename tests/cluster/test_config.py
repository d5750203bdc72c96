"""The ConfigMap edited: a good edit is live at once, a broken one changes nothing."""

import time

import pytest

from tests.cluster.agent import Agent, fetch, total
from tests.cluster.asking import KUBERNETES, ask, describe
from tests.cluster.kubectl import KubectlFailed, Pod, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EDITED = "edited.cluster.local."
HOSTS = f"errors\n    hosts {{\n        192.0.2.77 {EDITED}\n        fallthrough\n    }}\n"
LIVE_SECONDS = 1.0
POLL_SECONDS = 0.25  # how finely the two moments are seen, kubectl exec included


def kubelet_has_brought(agent: Agent, text: str) -> bool:
    try:
        return text in agent.execute("cat", "/etc/coredns/Corefile.base")
    except KubectlFailed:
        return False


def test_an_edit_is_live_a_second_after_the_kubelet_brought_it(agent: Agent, client: Pod, note):
    load = client.start("load.py", "1000", "60", KUBERNETES)
    agent.edit_corefile(("errors\n", HOSTS))
    until("the kubelet brings the edit", lambda: kubelet_has_brought(agent, EDITED), 90, 0.1)
    brought_at = time.monotonic()
    until("the edit is live", lambda: ask(client, (EDITED, "A", "udp"))[0][1], 20, 0.1)
    seconds = time.monotonic() - brought_at
    outcome = load.outcome()
    note(f"ConfigMap edited, 1,000 q/s: live {seconds:.1f} s after the file, {describe(outcome)}")
    assert seconds < LIVE_SECONDS + POLL_SECONDS
    assert outcome["lost"] == 0
    assert not outcome["failed"]


def test_a_broken_edit_is_told_and_changes_nothing_even_after_a_restart(
    agent: Agent, client: Pod, node: Pod, note
):
    pod, metrics = agent.pod, "http://127.0.0.1:9253/metrics"
    load = client.start("load.py", "1000", "40", KUBERNETES)
    agent.edit_corefile(("errors\n", "errorz\n"))
    until("the log names the mistake", lambda: "errorz" in agent.logs(), 90)
    failures = total(fetch(node, metrics), "coredns_reload_failed_total")
    assert failures > 0
    assert agent.pod == pod
    assert agent.is_ready()
    outcome = load.outcome()
    note(f"broken edit, 1,000 q/s: {describe(outcome)}")
    assert outcome["lost"] == 0
    before = agent.restarts()
    node.run("node.py", "signal", "SIGKILL", "keeper")
    until("the container is started again", lambda: agent.restarts() > before)
    until("it is ready", agent.is_ready)
    assert ask(client, (KUBERNETES, "A", "udp"))[0][0] == "NOERROR"
    assert "errorz" in agent.logs()
