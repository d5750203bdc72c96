"""kube-dns has several pods: each its share, and what happens when one of them goes, at 500 new names a second.

Each prints its figures. Beside ours stand those with `endpoints off`, which asks the Service address,
and, where ORIGINAL_IMAGE names the original's image, the original's.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, fetch, metrics_of, total
from tests.cluster.asking import describe
from tests.cluster.conftest import Note
from tests.cluster.kubectl import Pod, get, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PACE, SHARES_PACE = "500", "1000"
# CoreDNS answers for every address in its domain of pods: names without end that exist.
NEW_NAMES = "{ip}.default.pod.cluster.local."
COMPONENT = agents.MANIFEST.parent / "components" / "endpointslices"
OURS, OFF = "nodecache", "nodecache with endpoints off"
AGENTS = [OURS, OFF, *(["original"] if agents.ORIGINAL else [])]
TTL_SECONDS = 5  # of CoreDNS's kubernetes plugin, where its Corefile does not say
SELECTOR = ("-n", "kube-system", "-l", "k8s-app=kube-dns")


@dataclass(frozen=True, slots=True)
class Stand:
    """An agent on the node, a client to load it, a window to break kube-dns through."""

    agent: Agent
    client: Pod
    node: Pod
    note: Callable[[str], None]

    def load_during(
        self, what: str, fault: Callable[[], object], seconds: int, pace: str = PACE
    ) -> dict[str, Any]:
        """New names while `fault` happens five seconds into it; noted."""
        load = self.client.start("load.py", pace, str(seconds), NEW_NAMES)
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
            lambda: total(metrics_of(self.node), name, source=source) == count,
            pause=0.1,
        )

    def settle(self, count: int) -> None:
        """Wait until so many pods are asked."""
        if self.asks_pods:
            self.until_known(count, "api" if "api" in self.agent.name else "dns")

    @property
    def asks_pods(self) -> bool:
        return self.agent.name.startswith(OURS) and self.agent.name != OFF


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


@pytest.fixture(scope="module")
def replicas() -> Iterator[Callable[[int], None]]:
    """Scales kube-dns; it has as many pods as before afterwards."""
    before = len(pods())
    yield scale
    scale(before)


@contextlib.contextmanager
def standing(it: Agent, client: Pod, node: Pod) -> Iterator[Stand]:
    with agents.alone(it, node):
        it.wait_until_it_intercepts(node)
        yield Stand(it, client, node, Note())


@pytest.fixture(scope="module", params=AGENTS)
def stand(request: pytest.FixtureRequest, client: Pod, node: Pod) -> Iterator[Stand]:
    it = {OURS: ours, OFF: with_endpoints_off, "original": agents.original}[request.param]()
    with standing(it, client, node) as found:
        yield found


@pytest.fixture(scope="module", params=["dns", "api"])
def knowing(request: pytest.FixtureRequest, client: Pod, node: Pod) -> Iterator[Stand]:
    """An agent that knows the pods, by each of the two ways."""
    it = ours() if request.param == "dns" else with_the_api()
    with standing(it, client, node) as found:
        yield found


def ours() -> Agent:
    return Agent(agents.documents())


def with_endpoints_off() -> Agent:
    found = agents.documents()
    agents.container_of(found)["args"] += ["-endpoints", "off"]
    return Agent(found, name=OFF)


def with_the_api() -> Agent:
    """An agent with deploy/components/endpointslices."""
    return Agent(with_endpointslices(agents.documents()), name="nodecache with -endpoints api")


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


@pytest.mark.parametrize("count", [2, 3])
def test_pods_share_the_questions(stand, replicas, count):
    replicas(count)
    stand.settle(count)
    asked = pods()
    before = served(stand, asked)
    stand.load_during(f"{count} pods", lambda: None, seconds=60, pace=SHARES_PACE)
    shares = [now - then for now, then in zip(served(stand, asked), before, strict=True)]
    every = sum(shares)
    stand.note(f"{stand.agent.name}, {count} pods: " + " ".join(f"{s / every:.1%}" for s in shares))
    if stand.asks_pods:
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
    if stand.asks_pods:
        assert (outcome["lost"], outcome["failed"]) == (0, {})
        assert outcome["max_us"] < longest_ms * 1000


def test_a_rollout_of_kube_dns_costs_nothing(stand, replicas):
    replicas(2)
    stand.settle(2)
    stand.load_during("nothing happens", lambda: None, seconds=15)
    hold(stand.load_during("rollout restart of kube-dns", restart, seconds=40), stand)


def test_a_pod_that_is_deleted_by_force_costs_nothing(stand, replicas):
    replicas(2)
    stand.settle(2)
    hold(stand.load_during("a pod of kube-dns deleted by force", delete_one, seconds=20), stand)


def test_a_pod_that_hangs_costs_nothing(stand, replicas):
    replicas(2)
    stand.settle(2)
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


def test_kube_dns_without_pods_and_back(stand, replicas):
    replicas(2)
    stand.settle(2)

    def away_and_back() -> None:
        scale(0)
        time.sleep(5)
        scale(2)

    outcome = stand.load_during("kube-dns scaled to 0 and back", away_and_back, seconds=40)
    if stand.asks_pods:
        assert outcome["failed"].keys() <= {"2"}
    after = stand.load_during("after that", lambda: None, seconds=10)
    hold(after, stand)


def test_pods_that_come_and_go_are_seen_within_the_ttl(knowing, replicas):
    is_told = "api" in knowing.agent.name
    replicas(1)
    knowing.settle(1)
    for count in (3, 1):
        replicas(count)
        seconds = knowing.until_known(count, "api" if is_told else "dns")
        knowing.note(
            f"{knowing.agent.name}: {count} pods seen {seconds:.1f} s after they were ready"
        )
        assert seconds < TTL_SECONDS + 1  # which are counted in whole seconds


@pytest.mark.parametrize("knowing", ["api"], indirect=True)
def test_a_rollout_costs_nothing_where_the_api_server_tells_the_pods(knowing, replicas):
    replicas(2)
    knowing.settle(2)
    hold(knowing.load_during("rollout restart of kube-dns", restart, seconds=40), knowing)
    hold(knowing.load_during("a pod deleted by force", delete_one, seconds=20), knowing)
