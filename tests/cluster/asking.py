"""Questions from a pod, and who counted them."""

import json
from typing import Any

from tests.cluster.agent import metrics_of, total
from tests.cluster.kubectl import Pod, get, kubectl

KUBERNETES = "kubernetes.default.svc.cluster.local."


def ask(client: Pod, *questions: tuple[str, str, str]) -> list[tuple[str, list[str], str]]:
    return [tuple(answer) for answer in client.run("ask.py", json.dumps(questions))]


def agent_requests(node: Pod) -> float:
    return total(metrics_of(node), "coredns_dns_requests_total")


def kube_dns_requests(**labels: str) -> float:
    """What kube-dns' own pods counted, where they are CoreDNS."""
    pods = get("-n", "kube-system", "pods", "-l", "k8s-app=kube-dns")["items"]
    return sum(
        total(
            kubectl(
                "get",
                "--raw",
                f"/api/v1/namespaces/kube-system/pods/{pod['metadata']['name']}:9153/proxy/metrics",
            ),
            "coredns_dns_requests_total",
            **labels,
        )
        for pod in pods
    )


def describe(outcome: dict[str, Any]) -> str:
    """One line for the figures at the end."""
    failed = f", {outcome['failed']} failed" if outcome["failed"] else ""
    return (
        f"{outcome['lost']:,} of {outcome['sent']:,} lost{failed}, longest gap "
        f"{outcome['longest_gap_ms']:.0f} ms, p50 {outcome['p50_us']:.0f} µs, "
        f"p99 {outcome['p99_us']:.0f} µs"
    )
