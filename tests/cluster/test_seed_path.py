"""The stock instructions, word for word, and what a pod and the node see of them."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, cluster_dns
from tests.cluster.asking import KUBERNETES, agent_requests, ask, describe, kube_dns_requests
from tests.cluster.kubectl import Pod, get, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

OUTSIDE = os.environ.get("OUTSIDE_NAME", "example.com.")
HEADLESS = "headless.default.svc.cluster.local."


@pytest.fixture(scope="module")
def headless(client: Pod) -> Iterator[str]:
    """A Service without an address, whose one endpoint is the client pod."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "headless", "namespace": "default"},
        "spec": {
            "clusterIP": "None",
            "selector": {"app": client.name},
            "ports": [{"name": "http", "port": 80}],
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(service))
    yield HEADLESS
    kubectl("delete", "service", "headless")


def test_every_kind_of_question_of_an_unchanged_pod_is_answered_by_the_agent(
    agent: Agent, client: Pod, node: Pod, headless: str
):
    kubernetes = get("service", "kubernetes")["spec"]["clusterIP"]
    reverse = ".".join(reversed(kubernetes.split("."))) + ".in-addr.arpa."
    until("the headless Service has its pod", lambda: ask(client, (headless, "A", "udp"))[0][1])
    before = agent_requests(node)
    wanted = {
        (KUBERNETES, "A"): f"{KUBERNETES} {kubernetes}",
        (KUBERNETES, "AAAA"): None,
        (f"_https._tcp.{KUBERNETES}", "SRV"): f"_https._tcp.{KUBERNETES} 0 100 443 {KUBERNETES}",
        (reverse, "PTR"): f"{reverse} {KUBERNETES}",
        (headless, "A"): f"{headless} {client.ip}",
    }
    for transport in ("udp", "tcp"):
        questions = [(*question, transport) for question in wanted]
        for (rcode, records, _), record in zip(
            ask(client, *questions), wanted.values(), strict=True
        ):
            assert rcode == "NOERROR"
            assert records == ([] if record is None else [record])
        assert ask(client, (OUTSIDE, "A", transport))[0][0] == "NOERROR"
    asked = 2 * (len(wanted) + 1)
    assert asked <= agent_requests(node) - before <= asked + 20  # its own probes and the node's


def test_no_query_to_the_agent_is_tracked_by_the_kernel(agent: Agent, client: Pod, node: Pod):
    dns = cluster_dns()
    before = set(node.run("node.py", "conntrack", dns)["flows"])
    ask(client, *[(KUBERNETES, "A", transport) for transport in ("udp", "tcp")] * 10)
    after = set(node.run("node.py", "conntrack", dns)["flows"])
    assert after <= before


def test_the_agent_asks_kube_dns_over_tcp(agent: Agent, client: Pod):
    before = kube_dns_requests(proto="tcp"), kube_dns_requests(proto="udp")
    names = [f"no-such-{number}.default.svc.cluster.local." for number in range(20)]
    ask(client, *[(name, "A", "udp") for name in names])
    assert kube_dns_requests(proto="tcp") - before[0] >= len(names)
    assert kube_dns_requests(proto="udp") - before[1] < len(names) / 2  # those of other pods


def test_delete_leaves_nothing_and_loses_nothing(agent: Agent, client: Pod, node: Pod, note):
    load = client.start("load.py", "1000", "20", KUBERNETES)
    until("the load runs", lambda: agent_requests(node) > 2000)
    agent.delete()
    state = node.run("node.py", "state", agents.LOCAL, cluster_dns())
    assert state == {"links": [], "addresses": [], "rules": []}
    outcome = load.outcome()
    note(f"kubectl delete -f, 1,000 q/s: {describe(outcome)}")
    assert outcome["lost"] == 0
    assert not outcome["failed"]
    before = kube_dns_requests()
    assert ask(client, (KUBERNETES, "A", "udp"))[0][0] == "NOERROR"
    assert kube_dns_requests() > before
