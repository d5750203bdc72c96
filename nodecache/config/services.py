"""The address of a Service that kubelet did not tell us: asked of the node's resolvers.

Most nodes' resolvers know nothing of the cluster's names, but some do, and pods with the DNS policy
ClusterFirstWithHostNet ask kube-dns itself. A program asks, so that the answer can be waited for
with a bound: the keeper has a lease to renew.
"""

import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from nodecache.corefile.values import ip

TIMEOUT_SECONDS = 2.0
_NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_DEFAULT_NAMESPACE = "kube-system"

Ask = Callable[[str], str]
"""A host name → the lines of addresses that `getent ahosts` prints; "" where there are none."""


def look_up(service: str, ask: Ask | None = None) -> IPv4Address | IPv6Address | None:
    """The address of a Service in our namespace; None where nobody knows it."""
    for line in (ask or _ask)(f"{service}.{namespace()}.svc").splitlines():
        try:
            return ip(line.split()[0])
        except (ValueError, IndexError):
            continue
    return None


def namespace(file: str = _NAMESPACE_FILE) -> str:
    """The namespace of the pod we run in; the usual one where there is no pod."""
    try:
        return Path(file).read_text(encoding="ascii").strip() or _DEFAULT_NAMESPACE
    except (OSError, UnicodeDecodeError):
        return _DEFAULT_NAMESPACE


def _ask(name: str) -> str:
    import shutil  # noqa: PLC0415 - brings three compressors; few ask for a Service

    getent = shutil.which("getent")
    if getent is None:
        return ""
    try:
        asked = subprocess.run(  # noqa: S603 - a program of the system, no shell
            [getent, "ahosts", name],
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout
