"""What a pod gains: the same lookups without an agent, with the original, with nodecache."""

import os
from collections.abc import Callable

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, cluster_dns
from tests.cluster.asking import kube_dns_requests
from tests.cluster.kubectl import Pod

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SECONDS = 10
INSIDE_NAME = "kubernetes.default"
OUTSIDE_NAME = os.environ.get("OUTSIDE_NAME", "example.com.").rstrip(".")
HEADER = (
    "| agent | cluster name p50 / p99 µs | outside name p50 / p99 µs | kube-dns queries a second"
    " | tracked flows |\n| --- | ---: | ---: | ---: | ---: |"
)


def row(name: str, client: Pod, node: Pod) -> str:
    before = kube_dns_requests()
    flows = set(node.run("node.py", "conntrack", cluster_dns())["flows"])
    figures = [client.run("lookup.py", name, str(SECONDS)) for name in (INSIDE_NAME, OUTSIDE_NAME)]
    rate = (kube_dns_requests() - before) / (2 * SECONDS)
    new = set(node.run("node.py", "conntrack", cluster_dns())["flows"]) - flows
    assert not figures[0]["failed"]
    cells = [f"{figure['p50_us']:.0f} / {figure['p99_us']:.0f}" for figure in figures]
    return f"| {name} | {cells[0]} | {cells[1]} | {rate:,.0f} | {len(new):,} |"


def test_a_pods_lookups_before_and_after(client: Pod, node: Pod, note: Callable[[str], None]):
    rows = [row("none", client, node)]
    if agents.ORIGINAL:
        with agents.link_for_the_original(node):
            rows.append(row_with(agents.original(), client, node))
    rows.append(row_with(Agent(agents.documents()), client, node))
    note("\n".join([HEADER, *rows]))
    assert rows[-1].endswith("| 0 |")


def row_with(agent: Agent, client: Pod, node: Pod) -> str:
    agent.create()
    try:
        agent.wait_until_it_intercepts(node)
        return row(agent.name, client, node)
    finally:
        agent.delete()
