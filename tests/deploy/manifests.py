"""The manifests as data, for the tests of this folder."""

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.needs import need

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFEST = DEPLOY / "nodelocaldns.yaml"

# The oldest that clusters still run, one between, and the newest that the package knows.
KUBERNETES_VERSIONS = ("1.27.0", "1.32.0", kubernetes_validate.latest_version())

# The commands of the Kubernetes documentation, word for word.
KUBERNETES_DOCS_SED = {
    "iptables": (
        "s/__PILLAR__LOCAL__DNS__/$localdns/g; s/__PILLAR__DNS__DOMAIN__/$domain/g;"
        " s/__PILLAR__DNS__SERVER__/$kubedns/g"
    ),
    "ipvs": (
        "s/__PILLAR__LOCAL__DNS__/$localdns/g; s/__PILLAR__DNS__DOMAIN__/$domain/g;"
        " s/,__PILLAR__DNS__SERVER__//g; s/__PILLAR__CLUSTER__DNS__/$kubedns/g"
    ),
}

# What the agent fills in by itself in each mode.
LEFT_TO_THE_AGENT = {
    "iptables": {"__PILLAR__CLUSTER__DNS__", "__PILLAR__UPSTREAM__SERVERS__"},
    "ipvs": {"__PILLAR__DNS__SERVER__", "__PILLAR__UPSTREAM__SERVERS__"},
}

_VALUES = "kubedns=10.96.0.10 domain=cluster.local localdns=169.254.20.10"

Object = dict[str, Any]


def sed(mode: str, text: str) -> str:
    """`text` after the documented command."""
    script = f'{_VALUES}; sed "{KUBERNETES_DOCS_SED[mode]}"'
    return subprocess.run(
        ["sh", "-c", script], input=text, capture_output=True, text=True, check=True
    ).stdout


def load(text: str) -> list[Object]:
    return [thing for thing in yaml.safe_load_all(text) if thing]


@functools.cache
def kubectl_able_to_kustomize() -> str:
    """Path of kubectl; the one of Debian 12 is from before `components` and `patches`."""
    kubectl = need("kubectl", package="kubernetes-client")
    told = subprocess.run(
        [kubectl, "version", "--client", "--output=json"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    version = json.loads(told)["clientVersion"]
    if (int(version["major"]), int(version["minor"].rstrip("+"))) < (1, 22):
        pytest.skip(f"kubectl {version['gitVersion']} is too old for the overlays")
    return kubectl


def kustomize(folder: Path) -> str:
    """What `kubectl kustomize` makes of `folder`."""
    kubectl = kubectl_able_to_kustomize()
    return subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True
    ).stdout


def with_components(folder: Path, *components: str, mode: str = "iptables") -> str:
    """What it makes of the overlay `mode` with components switched on, as its comment shows."""
    shutil.copytree(DEPLOY, folder / "deploy")
    file = folder / "deploy/overlays" / mode / "kustomization.yaml"
    listed = "".join(f"  - ../../components/{component}\n" for component in components)
    file.write_text(f"{file.read_text()}\ncomponents:\n{listed}")
    return kustomize(file.parent)


def pick(objects: list[Object], kind: str, name: str = "node-local-dns") -> Object:
    """The one object of that kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def container_of(objects: list[Object]) -> Object:
    """The agent's container."""
    pod = pick(objects, "DaemonSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return container  # type: ignore[no-any-return]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"__[A-Z0-9_]+__", text))
