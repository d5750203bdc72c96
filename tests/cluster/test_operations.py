"""What an operator does with a running agent: exec, logs, probes, metrics, resources."""

import copy
import json
from collections.abc import Iterator

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, daemonset_of, fetch
from tests.cluster.kubectl import Pod, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LIMIT_RANGES = {
    "seeds": {"min": {"memory": "500Mi"}, "max": {"memory": "1Gi"}},
    "defaults": {
        "default": {"memory": "512Mi", "cpu": "1"},
        "defaultRequest": {"memory": "256Mi", "cpu": "100m"},
    },
}
GUARANTEED = {"cpu": "100m", "memory": "512Mi"}


def test_exec_runs_the_program_in_the_pod(agent: Agent):
    assert "nodecache" in agent.execute("nodecache", "-version").lower()
    assert "cluster.local.:53" in agent.execute("cat", "/run/nodecache/Corefile").replace(
        "cluster.local:53", "cluster.local.:53"
    )


def test_logs_tell_what_it_listens_on(agent: Agent):
    assert agents.LOCAL in agent.logs()


def test_probes_are_green_where_the_kubelet_asks(agent: Agent, node: Pod):
    for path in ("health", "ready"):
        assert fetch(node, f"http://{agents.LOCAL}:8080/{path}") == "OK\n"


def test_metrics_are_found_through_the_headless_service(agent: Agent, client: Pod):
    url = "http://node-local-dns.kube-system.svc.cluster.local.:9253/metrics"
    until("the Service's name is known", lambda: "coredns_build_info" in fetch(client, url), 60)
    assert "coredns_dns_requests_total" in fetch(client, url)


@pytest.fixture
def fenced_namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace with a LimitRange, and the agent's ServiceAccount."""
    name = "nodecache-fenced"
    limits = {"type": "Container", **LIMIT_RANGES[request.param]}
    kind = {"apiVersion": "v1", "metadata": {"name": name, "namespace": name}}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {**kind, "kind": "LimitRange", "spec": {"limits": [limits]}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "node-local-dns", "namespace": name},
        },
    ]
    for one in objects:
        kubectl("apply", "-f", "-", stdin=json.dumps(one))
    yield name
    kubectl("delete", "namespace", name, "--wait=true")


@pytest.mark.parametrize("fenced_namespace", LIMIT_RANGES, indirect=True)
@pytest.mark.parametrize("variant", ["burstable", "guaranteed"])
def test_the_pod_fits_a_namespace_with_a_limit_range(fenced_namespace: str, variant: str):
    template = copy.deepcopy(daemonset_of(agents.documents())["spec"]["template"])
    if variant == "guaranteed":
        resources = {"requests": GUARANTEED, "limits": GUARANTEED}
        template["spec"]["containers"][0]["resources"] = resources
    del template["spec"]["priorityClassName"]  # kept for kube-system by some clusters
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "fits", "namespace": fenced_namespace},
        "spec": template["spec"],
    }
    made = json.loads(
        kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(pod))
    )
    assert made["status"]["qosClass"] == variant.capitalize()
