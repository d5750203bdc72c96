"""Names of pods by address, from the files that the container runtime keeps of its calls to CNI plugins.

libcni, by which containerd and CRI-O call them, writes a file for each interface of a pod: the arguments
with the pod's namespace and name, and the result with its addresses. Only root may read them. Where
there are none, or none that may be read, clients keep their addresses.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

RESULTS = "/var/lib/cni/results"
_MAX_FILES = 2048  # a node has 110 pods by default, each with an interface or a few, and lo
_MAX_OCTETS = 65_536  # of a file: one has 2 to 8 KiB
_FRESH_SECONDS = 10.0


class PodNames:
    """The node's pods by address, read again when they are wanted and the last reading is old."""

    def __init__(self, folder: str = RESULTS) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}
        self._read_at = -_FRESH_SECONDS

    def tell(self, clients: list[dict[str, Any]], now: float) -> None:
        """Give each client its `pod`: `namespace/name`, None where that is not known."""
        if now >= self._read_at + _FRESH_SECONDS:
            self._names, self._read_at = read_pods(self._folder), now
        for client in clients:
            client["pod"] = self._names.get(client["key"])


def read_pods(folder: str) -> dict[str, str]:
    """Address → `namespace/name`; of several files with an address the newest counts."""
    names: dict[str, str] = {}
    for path in _oldest_first(folder):
        try:
            with path.open("rb") as file:
                octets = file.read(_MAX_OCTETS + 1)
        except OSError:  # it went away with its pod
            continue
        if len(octets) <= _MAX_OCTETS:
            names.update(pod_addresses(octets))
    return names


def _oldest_first(folder: str) -> list[Path]:
    found: list[tuple[int, Path]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if len(found) == _MAX_FILES:
                break
            with suppress(FileNotFoundError):  # it went away with its pod
                if entry.is_file(follow_symlinks=False):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
    return [path for _, path in sorted(found)]


def pod_addresses(octets: bytes) -> dict[str, str]:
    """Address → `namespace/name` of one file; empty if it has none."""
    try:
        told = json.loads(octets)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    words = _arguments(told.get("cniArgs"))
    namespace, name = words.get("K8S_POD_NAMESPACE"), words.get("K8S_POD_NAME")
    if not namespace or not name:
        return {}
    return dict.fromkeys(_addresses(told.get("result")), f"{namespace}/{name}")


def _arguments(pairs: Any) -> dict[str, str]:
    """The CNI arguments, a list of pairs, as a dict."""
    found: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(e, str) for e in pair):
            found[pair[0]] = pair[1]
    return found


def _addresses(result: Any) -> Iterator[str]:
    """The pod's addresses in a result: `ips` since CNI 0.3, `ip4` and `ip6` before."""
    if not isinstance(result, dict):
        return
    listed = result.get("ips")
    entries = [(each, "address") for each in listed] if isinstance(listed, list) else []
    entries += [(result.get(key), "ip") for key in ("ip4", "ip6")]
    for entry, key in entries:
        text = entry.get(key) if isinstance(entry, dict) else None
        try:
            address = ip_interface(text).ip if isinstance(text, str) else None
        except ValueError:
            continue
        if address is not None and not address.is_loopback:
            yield str(address)
