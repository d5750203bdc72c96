"""The chart, installed, upgraded, rolled back and uninstalled by Helm itself, while pods ask."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, wait_until_released
from tests.cluster.asking import KUBERNETES, describe
from tests.cluster.kubectl import Pod, get, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CHART = Path(__file__).parents[2] / "deploy/chart/nodecache"
RELEASE = "nodelocal"
PACE, SECONDS = "1000", "75"
PATIENCE_SECONDS = 90
COREFILE = "/run/nodecache/Corefile"
KINDS = "daemonset,pod,configmap,service,serviceaccount,role,rolebinding,secret"


def values(image: str = agents.IMAGE, **more: Any) -> dict[str, Any]:
    """What this node needs, and `more`."""
    repository, _, tag = image.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "extraArgs": agents.ARGUMENTS,
        **more,
    }


@pytest.fixture
def config(client: Pod, node: Pod) -> Iterator[helm.Config]:
    """Helm, and nothing of ours on the node before and after."""
    Agent(agents.documents()).delete()
    with helm.Config(namespace=agents.NAMESPACE) as config:
        yield config
        config.uninstall(RELEASE, ignore_not_found=True, wait="watcher", timeout=PATIENCE_SECONDS)


def names_of_ours() -> set[str]:
    """Every object in the namespace that is ours or Helm's."""
    found = get("-n", agents.NAMESPACE, KINDS)["items"]
    names = {f"{each['kind']}/{each['metadata']['name']}" for each in found}
    return {
        name for name in names if "node-local-dns" in name or "kube-dns-" in name or RELEASE in name
    }


def image_in_use() -> str:
    (pod,) = [each for each in Agent([]).pods() if "deletionTimestamp" not in each["metadata"]]
    return str(pod["spec"]["containers"][0]["image"])


def test_install_upgrade_roll_back_uninstall(
    config: helm.Config, client: Pod, node: Pod, note: Callable[[str], None]
):
    """Upgrade and roll back under 2,000 queries a second without a lost one; nothing is left after."""
    agents.import_image(agents.NEXT_IMAGE)
    ours = Agent([])
    before = names_of_ours()
    config.install(
        CHART,
        RELEASE,
        values(podNames={"enabled": True}),
        wait="watcher",
        timeout=PATIENCE_SECONDS,
    )
    ours.wait_until_it_intercepts(node)
    doctor = json.loads(ours.execute("sh", "-c", "nodecache doctor --json || true"))
    assert [each for each in doctor["findings"] if each["level"] == "broken"] == []

    loads = {
        where: client.start("load.py", PACE, SECONDS, KUBERNETES, variables=variables)
        for where, variables in (
            ("the Service address", ()),
            (agents.LOCAL, (f"LOAD_SERVER={agents.LOCAL}",)),
        )
    }
    time.sleep(5)
    top = json.loads(ours.execute("nodecache", "top", "--once", "--json", "--seconds", "2"))
    assert {each["key"]: each["pod"] for each in top["clients"]}[client.ip] == "default/client"
    config.upgrade(
        CHART,
        RELEASE,
        values(agents.NEXT_IMAGE, config={"cacheTTL": 60}),
        wait="watcher",
        timeout=PATIENCE_SECONDS,
    )
    assert image_in_use() == agents.NEXT_IMAGE
    until("the Corefile's TTL is 60", lambda: "cache 60" in ours.execute("cat", COREFILE))
    config.rollback(RELEASE, version=1, wait="watcher", timeout=PATIENCE_SECONDS)
    assert image_in_use() == agents.IMAGE
    assert [each["revision"] for each in config.history(RELEASE)] == [1, 2, 3]
    outcomes = {where: load.outcome(timeout=120) for where, load in loads.items()}
    for where, outcome in outcomes.items():
        note(f"helm upgrade and rollback, at {where}: {describe(outcome)}")

    config.uninstall(RELEASE, wait="watcher", timeout=PATIENCE_SECONDS)
    until("no object is left", lambda: names_of_ours() == before)
    wait_until_released(node)
    assert [outcome["lost"] for outcome in outcomes.values()] == [0, 0]
    assert [outcome["failed"] for outcome in outcomes.values()] == [{}, {}]
