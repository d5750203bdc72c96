"""A cluster to test on: the one that KUBECONFIG names. README.md here says what else is read."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.cluster import agent as agents
from tests.cluster.agent import Agent, wait_until_released
from tests.cluster.kubectl import KubectlFailed, Pod, kubectl

FIGURES: list[str] = []
WHY_NOT: list[str] = []


def _lack() -> str | None:
    """Why there is no cluster to test on, or None."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG is not set"
    if shutil.which("kubectl") is None:
        return "kubectl is not on PATH"
    try:
        kubectl("-n", "kube-system", "get", "svc", "kube-dns")
    except KubectlFailed as error:
        return f"the cluster in KUBECONFIG has no kube-system/kube-dns: {error}"
    return None


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[None]:
    """Skip it all, loudly, where there is no cluster; else bring the image there."""
    if (reason := _lack()) is not None:
        WHY_NOT.append(reason)
        pytest.skip(f"no cluster: {reason}")
    agents.import_image(agents.IMAGE)
    every = Agent(agents.documents())
    every.delete()
    yield
    every.delete()


@pytest.fixture(scope="session")
def client(cluster: None) -> Iterator[Pod]:
    """A pod that nobody changed: its resolv.conf is what the kubelet wrote."""
    pod = Pod("client", agents.IMAGE).create()
    yield pod
    pod.delete()


@pytest.fixture(scope="session")
def node(cluster: None) -> Iterator[Pod]:
    """A window onto the node: its network, as root."""
    container = {"securityContext": {"privileged": True, "runAsUser": 0}}
    pod = Pod(
        "node-window",
        agents.IMAGE,
        namespace="kube-system",
        hostNetwork=True,
        hostPID=True,
        dnsPolicy="Default",
        container=container,
    ).create()
    yield pod
    pod.delete()


@pytest.fixture
def agent(client: Pod, node: Pod) -> Iterator[Agent]:
    """The agent, made as the stock instructions say, ready and alone; taken away afterwards."""
    it = Agent(agents.documents())
    it.delete()
    it.create()
    yield it
    it.delete()
    wait_until_released(node)


@pytest.fixture
def note() -> "Note":
    return Note()


class Note:
    """Figures for the end of the run."""

    def __call__(self, line: str) -> None:
        FIGURES.append(line)
        print(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if WHY_NOT:
        terminalreporter.section("NOTHING WAS TESTED ON A CLUSTER", red=True, bold=True)
        terminalreporter.write_line(WHY_NOT[0])
    if FIGURES:
        terminalreporter.section("figures from the cluster")
        for line in FIGURES:
            terminalreporter.write_line(line)
