"""kube-dns has several pods: each its share, and what befalls one of them, at 500 new names a second.

Each prints its figures; where ORIGINAL_IMAGE names the original's image, its figures stand beside ours.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.cluster import agent as agents
from tests.cluster.agent import METRICS_PORT, Agent, fetch, total
from tests.cluster.asking import describe
from tests.cluster.kubectl import Pod, get, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PACE = "500"
# CoreDNS answers for every address in its domain of pods: names without end that exist.
NEW_NAMES = "{ip}.default.pod.cluster.local."
COMPONENT = agents.MANIFEST.parent / "components" / "endpointslices"
AGENTS = ["nodecache", *(["original"] if agents.ORIGINAL else [])]
TTL_SECONDS = 5  # of CoreDNS's kubernetes plugin, where its Corefile does not say
SELECTOR = ("-n", "kube-system", "-l", "k8s-app=kube-dns")


@dataclass(frozen=True, slots=True)
class Stand:
    """An agent on the node, a client to load it, a window to break kube-dns through."""

    agent: Agent
    client: Pod
    node: Pod
    note: Callable[[str], None]

    def load_during(self, what: str, fault: Callable[[], object], seconds: int) -> dict[str, Any]:
        """New names while `fault` happens five seconds into it; noted."""
        load = self.client.start("load.py", PACE, str(seconds), NEW_NAMES)
        time.sleep(5)
        fault()
        outcome: dict[str, Any] = load.outcome(timeout=seconds + 60)
        longest = f"longest wait {outcome['max_us'] / 1000:.0f} ms"
        self.note(f"{self.agent.name}, {what}: {describe(outcome)}, {longest}")
        return outcome

    def until_known(self, count: int, source: str = "dns") -> float:
        """Wait until the agent knows so many pods; the seconds that took."""
        name = "nodecache_cluster_dns_pods"
        return until(
            f"the agent knows {count} pods by {source}",
            lambda: total(self.metrics(), name, source=source) == count,
            pause=0.1,
        )

    def metrics(self) -> str:
        return fetch(self.node, f"http://127.0.0.1:{METRICS_PORT}/metrics")


def pods() -> list[str]:
    """The addresses of kube-dns' pods that are ready and stay."""
    found = get(*SELECTOR[:2], "pods", *SELECTOR[2:])["items"]
    return [
        pod["status"]["podIP"]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
    ]


def deployment() -> str:
    (found,) = get(*SELECTOR[:2], "deployments", *SELECTOR[2:])["items"]
    return str(found["metadata"]["name"])


def scale(count: int) -> None:
    """So many pods of kube-dns, all of them ready."""
    kubectl(*SELECTOR[:2], "scale", f"deployment/{deployment()}", f"--replicas={count}")
    until(f"kube-dns has {count} pods", lambda: len(pods()) == count)


def restart() -> None:
    kubectl(*SELECTOR[:2], "rollout", "restart", f"deployment/{deployment()}")
    kubectl(*SELECTOR[:2], "rollout", "status", f"deployment/{deployment()}", "--timeout=90s")


def delete_one() -> None:
    (first, *_) = get(*SELECTOR[:2], "pods", *SELECTOR[2:])["items"]
    name = first["metadata"]["name"]
    kubectl(*SELECTOR[:2], "delete", "pod", name, "--force", "--grace-period=0")


@pytest.fixture
def replicas() -> Iterator[Callable[[int], None]]:
    """Scales kube-dns; it has as many pods as before afterwards."""
    before = len(pods())
    yield scale
    scale(before)


@pytest.fixture(params=AGENTS)
def stand(
    request: pytest.FixtureRequest, client: Pod, node: Pod, note: Callable[[str], None]
) -> Iterator[Stand]:
    is_original = request.param == "original"
    it = agents.original() if is_original else Agent(agents.documents())
    it.delete()
    with agents.link_for_the_original(node) if is_original else contextlib.nullcontext():
        it.create()
        it.wait_until_it_intercepts(node)
        yield Stand(it, client, node, note)
        it.delete()


@pytest.fixture
def api_stand(client: Pod, node: Pod, note: Callable[[str], None]) -> Iterator[Stand]:
    """An agent with deploy/components/endpointslices."""
    it = Agent(with_endpointslices(agents.documents()), name="nodecache with -endpoints api")
    it.delete()
    it.create()
    it.wait_until_it_intercepts(node)
    yield Stand(it, client, node, note)
    it.delete()


def with_endpointslices(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the component makes of the manifest."""
    role = yaml.safe_load_all((COMPONENT / "role.yaml").read_text())
    patches = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())["patches"]
    for patch in patches:
        target = next(
            each
            for each in found
            if (each["kind"], each["metadata"]["name"])
            == (patch["target"]["kind"], patch["target"]["name"])
        )
        for change in yaml.safe_load(patch["patch"]):
            *path, last = change["path"].strip("/").split("/")
            place: Any = target
            for step in path:
                place = place[int(step)] if isinstance(place, list) else place[step]
            if last == "-":
                place.append(change["value"])
            else:
                place[last] = change["value"]
    return [*found, *role]


def is_ours(stand: Stand) -> bool:
    return stand.agent.name.startswith("nodecache")


@pytest.mark.parametrize("count", [2, 3])
def test_pods_share_the_questions(stand, replicas, count):
    replicas(count)
    if is_ours(stand):
        stand.until_known(count)
    client_pods = pods()
    before = served(stand, client_pods)
    stand.load_during(f"{count} pods, nothing happens", lambda: None, seconds=60)
    shares = [now - then for now, then in zip(served(stand, client_pods), before, strict=True)]
    every = sum(shares)
    stand.note(f"{stand.agent.name}, {count} pods: " + " ".join(f"{s / every:.1%}" for s in shares))
    if is_ours(stand):
        assert max(shares) < 1.2 * min(shares)


def served(stand: Stand, addresses: list[str]) -> list[float]:
    """What each of kube-dns' pods itself counted."""
    url = "http://{}:9153/metrics"
    return [
        total(fetch(stand.node, url.format(address)), "coredns_dns_requests_total")
        for address in addresses
    ]


def hold(outcome: dict[str, Any], stand: Stand, longest_ms: float = 300.0) -> None:
    """No error, and no wait that a person would notice."""
    if is_ours(stand):
        assert (outcome["lost"], outcome["failed"]) == (0, {})
        assert outcome["max_us"] < longest_ms * 1000


def test_a_rollout_of_kube_dns_costs_nothing(stand, replicas):
    replicas(2)
    time.sleep(2 * TTL_SECONDS)
    hold(stand.load_during("rollout restart of kube-dns", restart, seconds=40), stand)


def test_a_pod_that_is_deleted_by_force_costs_nothing(stand, replicas):
    replicas(2)
    time.sleep(2 * TTL_SECONDS)
    hold(stand.load_during("a pod of kube-dns deleted by force", delete_one, seconds=20), stand)


def test_a_pod_that_hangs_costs_nothing(stand, replicas):
    replicas(2)
    time.sleep(2 * TTL_SECONDS)
    address = pods()[0]
    try:
        outcome = stand.load_during(
            "a pod of kube-dns hangs",
            lambda: stand.node.run("node.py", "signal-kube-dns", "SIGSTOP", address),
            seconds=20,
        )
    finally:
        stand.node.run("node.py", "signal-kube-dns", "SIGCONT", address)
    hold(outcome, stand)


def test_pods_that_come_and_go_are_seen_within_the_ttl(agent, client, node, note, replicas):
    stand = Stand(agent, client, node, note)
    replicas(1)
    stand.until_known(1)
    for count in (3, 1):
        replicas(count)
        seconds = stand.until_known(count)
        note(f"nodecache, kube-dns has {count} pods: seen {seconds:.1f} s after they were ready")
        assert seconds < 2 * TTL_SECONDS  # CoreDNS's own cache may have it for as long once more


def test_the_api_server_tells_pods_that_come_and_go(api_stand, replicas):
    replicas(1)
    api_stand.until_known(1, "api")
    for count in (3, 1):
        replicas(count)
        seconds = api_stand.until_known(count, "api")
        api_stand.note(
            f"{api_stand.agent.name}: {count} pods seen {seconds:.1f} s after they were ready"
        )
        assert seconds < TTL_SECONDS


def test_a_rollout_costs_nothing_where_the_api_server_tells_the_pods(api_stand, replicas):
    replicas(2)
    api_stand.until_known(2, "api")
    hold(api_stand.load_during("rollout restart of kube-dns", restart, seconds=40), api_stand)
    hold(api_stand.load_during("a pod deleted by force", delete_one, seconds=20), api_stand)


def test_kube_dns_without_pods_and_back(agent, client, node, note, replicas):
    stand = Stand(agent, client, node, note)
    replicas(2)

    def away_and_back() -> None:
        scale(0)
        time.sleep(5)
        scale(2)

    outcome = stand.load_during("kube-dns scaled to 0 and back", away_and_back, seconds=60)
    assert outcome["failed"].keys() <= {"2"}
    after = stand.load_during("after that", lambda: None, seconds=10)
    hold(after, stand)
