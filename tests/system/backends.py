"""A node and two kube-dns pods behind one Service address, in network namespaces."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.needs import need
from tests.patience import PATIENCE_SECONDS
from tests.system.netns import Namespace, pod_namespace, wait_until

SERVICE = "10.96.0.10"
_UNBOUND = """
server:
    interface: {address}
    access-control: 0.0.0.0/0 allow
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    incoming-num-tcp: 100
    module-config: "iterator"
    local-zone: "example." redirect
    local-data: "example. 300 IN A 192.0.2.1"
"""
_PROXY = """
table ip kube-proxy {{
    chain services {{
        ip daddr {service} udp dport 53 dnat to numgen random mod 2 map {{ 0 : {first}, 1 : {second} }}
        ip daddr {service} tcp dport 53 dnat to numgen random mod 2 map {{ 0 : {first}, 1 : {second} }}
    }}
    chain nat-output {{ type nat hook output priority -100; jump services; }}
}}
"""


class Backend:
    """One pod: unbound, which knows every name below example."""

    def __init__(self, node: Namespace, number: int, folder: Path) -> None:
        self.address = f"10.244.{number}.2"
        self.namespace = pod_namespace(node, number)
        config = folder / f"unbound-{number}.conf"
        config.write_text(_UNBOUND.format(address=self.address))
        unbound = need("unbound", package="unbound")
        self.log = (folder / f"unbound-{number}.log").open("wb")
        self.server = self.namespace.start(unbound, "-d", "-c", str(config), stderr=self.log)

    def drop_everything(self) -> None:
        """Gone without a word, as a pod whose node lost power."""
        self.namespace.run("nft", "-f", "-", stdin=_DROP)

    def come_back(self) -> None:
        self.namespace.run("nft", "delete", "table", "inet", "gone")

    def hang(self) -> None:
        """Its kernel goes on taking what it is sent; nobody reads it."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        listing = subprocess.run(
            ["ip", "netns", "pids", self.namespace.name], capture_output=True, text=True, check=True
        )
        return [int(pid) for pid in listing.stdout.split()]

    def remove(self) -> None:
        self.namespace.remove()
        self.server.wait(PATIENCE_SECONDS)
        self.log.close()


_DROP = """
table inet gone {
    chain in { type filter hook input priority 0; policy drop; }
    chain out { type filter hook output priority 0; policy drop; }
}
"""


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Namespace, Backend, Backend]]:
    """The node and its two backends, answering at their own addresses and at the Service's."""
    node = Namespace(f"nc{os.getpid()}")
    backends: list[Backend] = []
    try:
        for number in (1, 2):
            backends.append(Backend(node, number, folder))  # noqa: PERF401 - removed if one fails
        first, second = backends
        # Without a route nothing reaches the hook that translates the Service address.
        node.run("ip", "route", "add", "default", "via", first.address)
        for backend in backends:
            wait_until(lambda at=backend.address: is_answering(node, at))
        proxy = _PROXY.format(service=SERVICE, first=first.address, second=second.address)
        node.run("nft", "-f", "-", stdin=proxy)
        node.run("iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-o", "pod+", "-j", "MASQUERADE")
        yield node, first, second
    finally:
        for backend in backends:
            backend.remove()
        node.remove()


def is_answering(node: Namespace, address: str) -> bool:
    asked = node.run(
        "dig", "+short", "+tries=1", "+time=1", f"@{address}", "up.example", "A", check=False
    )
    return "192.0.2.1" in asked


@contextmanager
def agent(node: Namespace, folder: Path, corefile: str) -> Iterator[subprocess.Popen]:
    """nodecache on the node's 127.0.0.1:53, the host's side left alone."""
    file = folder / "Corefile"
    file.write_text(corefile)
    process = node.start(
        *(sys.executable, "-m", "nodecache", "-conf", str(file), "-localip", "127.0.0.1"),
        *(
            "-setupinterface=false",
            "-setupiptables=false",
            "-metrics-listen-address",
            "127.0.0.1:0",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "nodecache serves" in line:
                break
        else:
            raise AssertionError("".join(lines))
        yield process
    finally:
        process.terminate()
        print(process.communicate(timeout=PATIENCE_SECONDS)[0])


@dataclass(frozen=True)
class Load:
    """What dnsperf saw. Times in seconds."""

    lost: int
    rcodes: dict[str, int]
    latencies: list[float]

    def quantile(self, share: float) -> float:
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]

    def __str__(self) -> str:
        p50, p99, most = (1000 * self.quantile(share) for share in (0.5, 0.99, 1.0))
        return (
            f"{len(self.latencies)} answers {self.rcodes}, {self.lost} lost; "
            f"p50 {p50:.1f} p99 {p99:.1f} most {most:.1f} ms"
        )


class Dnsperf:
    """Queries at a set pace, from the node itself, to 127.0.0.1:53."""

    def __init__(
        self,
        node: Namespace,
        folder: Path,
        rate: int,
        seconds: int,
        prefix: str = "n",
        names: int = 0,
        zone: str = "example",
    ) -> None:
        """Ask `rate` times a second; each of `names` names in turn, or a new one each time."""
        need("dnsperf", package="dnsperf")
        total = rate * seconds
        names = names or total
        file = folder / f"names-{prefix}-{names}"
        file.write_text("".join(f"{prefix}{number}.{zone} A\n" for number in range(names)))
        # Not a pipe: a full one would hold dnsperf up.
        self._output = folder / f"dnsperf-{prefix}"
        with self._output.open("w") as output:
            self._process = node.start(
                *("dnsperf", "-s", "127.0.0.1", "-d", str(file), "-Q", str(rate)),
                *("-n", str(total // names), "-c", "4", "-q", "100000", "-t", "30", "-v"),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def result(self) -> Load:
        """Wait for its end."""
        self._process.wait(timeout=3 * PATIENCE_SECONDS)
        output = self._output.read_text()
        found = re.findall(r"^> (\w+) \S+ \S+ ([0-9.]+)$", output, re.MULTILINE)
        lost = re.search(r"Queries lost:\s+(\d+)", output)
        assert lost, output[-2000:]
        rcodes: dict[str, int] = {}
        for rcode, _ in found:
            rcodes[rcode] = rcodes.get(rcode, 0) + 1
        return Load(int(lost[1]), rcodes, [float(seconds) for _, seconds in found])
