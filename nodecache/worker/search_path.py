"""The names that a pod asks one after another to look one up: resolv.conf(5), ndots:5.

As the kubelet writes it for `dnsPolicy: ClusterFirst`: the namespace, svc, the cluster's domain, and
then the search list of the node.
"""

from collections.abc import Sequence
from pathlib import Path

_NDOTS = 5
_MAX_OCTETS = 65_536


def search_path(name: str, namespace: str, domain: str, node: Sequence[str] = ()) -> list[str]:
    """Absolute names in the order in which they are asked for, until one has an answer."""
    if name.endswith("."):
        return [name]
    domain = domain.strip(".")
    suffixes = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *node]
    listed = [f"{name}.{suffix.strip('.')}." for suffix in suffixes if suffix.strip(".")]
    if name.count(".") >= _NDOTS:
        return [f"{name}.", *listed]
    return [*listed, f"{name}."]


def node_search(path: str = "/etc/resolv.conf") -> list[str]:
    """The search list of the node, from the agent's own resolv.conf (its pod has dnsPolicy `Default`)."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_OCTETS)
    except OSError:
        return []
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in ("search", "domain"):
            found = words[1:]  # the last one counts
    return found
