"""A node, a pod and kube-dns in three network namespaces, for tests as root.

    pod ──veth── node ──veth── kube-dns        the Service address: DNAT on the node, as kube-proxy does

`World` makes and removes them. Sockets made within `Namespace.entered()` stay in that namespace, so
a test sends queries from the pod without another process. Nothing here needs the dummy link kind,
which the kernels of test machines lack.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

from tests.patience import PATIENCE_SECONDS
from tests.system.asking import NOERROR, REFUSED, Address, ask, ask_on

LOCAL, SERVICE = ip_address("169.254.20.10"), ip_address("10.96.0.10")
LOCAL6, SERVICE6 = ip_address("fd00:169::10"), ip_address("fd00:96::10")
POD, KUBE_DNS = ip_address("10.244.1.2"), ip_address("10.244.2.2")
POD6, KUBE_DNS6 = ip_address("fd00:244:1::2"), ip_address("fd00:244:2::2")
INTERFACE = "nodelocaldns"
PATIENCE = float(os.environ.get("NODECACHE_TEST_PATIENCE", "1"))  # more in an emulated machine
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """One named network namespace, with lo up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._started: list[subprocess.Popen] = []
        run("ip", "netns", "add", name)
        for scope in ("default", "all"):  # no wait for duplicate addresses at each new link
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *argv: str, check: bool = True, stdin: str = "") -> str:
        """What a program printed that ran inside; CalledProcessError when it failed."""
        return run("ip", "netns", "exec", self.name, *argv, check=check, stdin=stdin)

    def start(self, *argv: str, **options) -> subprocess.Popen:
        """A program that goes on running inside."""
        argv = ("ip", "netns", "exec", self.name, *argv)
        self._started.append(subprocess.Popen(argv, text=True, **options))
        return self._started[-1]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is inside; the sockets it makes stay there."""
        inside_path = Path("/run/netns") / self.name
        with Path("/proc/thread-self/ns/net").open() as home, inside_path.open() as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def sysctl(self, name: str, value: int) -> None:
        self.run("sysctl", "-q", "-w", f"{name}={value}")

    def remove(self) -> None:
        """End what runs inside, and delete it."""
        for pid in run("ip", "netns", "pids", self.name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", self.name, check=False)
        for process in self._started:
            process.wait(PATIENCE_SECONDS)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def pod_namespace(node: Namespace, number: int) -> Namespace:
    """A pod behind a link of its own to the node, which is its way to all others: 10.244.NUMBER.2."""
    pod = Namespace(f"{node.name}-{number}")
    link = f"pod{number}"
    node.run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod.name)
    for namespace, device, host in ((node, link, 1), (pod, "eth0", 2)):
        namespace.run("ip", "address", "add", f"10.244.{number}.{host}/24", "dev", device)
        namespace.run("ip", "link", "set", device, "up")
    pod.run("ip", "route", "add", "default", "via", f"10.244.{number}.1")
    return pod


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*argv: str, check: bool = True, stdin: str = "") -> str:
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


def wait_until(is_so: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for a fact; how long that took. AssertionError when it does not come."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < seconds * PATIENCE, "did not come about"
        time.sleep(0.005)
    return time.monotonic() - begun


class World:
    """The three namespaces, wired, with kube-dns answering at its own addresses."""

    def __init__(self, name: str = "") -> None:
        name = name or f"nc{os.getpid()}"
        self.node, self.pod, self.dns = (
            Namespace(f"{name}-{part}") for part in ("node", "pod", "dns")
        )
        self._wire(self.pod, "to-pod", 1)
        self._wire(self.dns, "to-dns", 2)
        self.node.run("ip", "route", "add", "default", "via", str(KUBE_DNS))
        self.node.sysctl("net.ipv4.ip_forward", 1)
        self.node.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.servers = [self.serve(self.dns, str(KUBE_DNS)), self.serve(self.dns, str(KUBE_DNS6))]

        for address in (KUBE_DNS, KUBE_DNS6):  # IPv6 looks for its neighbours for a second or two
            wait_until(lambda to=address: self.ask(to, seconds=1) == NOERROR)

    def _wire(self, other: Namespace, link: str, number: int) -> None:
        self.node.run(
            "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", other.name
        )  # fmt: skip
        for namespace, device, host in ((self.node, link, 1), (other, "eth0", 2)):
            namespace.run("ip", "address", "add", f"10.244.{number}.{host}/24", "dev", device)
            namespace.run(
                "ip",
                "-6",
                "address",
                "add",
                f"fd00:244:{number}::{host}/64",
                "dev",
                device,
                "nodad",
            )
            namespace.run("ip", "link", "set", device, "up")
        other.run("ip", "route", "add", "default", "via", f"10.244.{number}.1")
        other.run("ip", "-6", "route", "add", "default", "via", f"fd00:244:{number}::1")

    def serve(self, namespace: Namespace, address: str) -> subprocess.Popen:
        """A stand-in DNS server; returns once it listens."""
        server = namespace.start(
            sys.executable, "-B", str(Path(__file__).with_name("answering.py")), address, stdout=subprocess.PIPE
        )  # fmt: skip
        assert server.stdout.readline()
        return server

    def proxy(self, kind: str) -> None:
        """DNAT of the Service addresses to kube-dns, as kube-proxy in that mode has it."""
        if kind == "nftables":
            self.node.run("nft", "-f", "-", stdin=NFT_PROXY)
            return
        for binary, service, server in (
            (f"iptables-{kind}", str(SERVICE), str(KUBE_DNS)),
            (f"ip6tables-{kind}", str(SERVICE6), f"[{KUBE_DNS6}]"),
        ):
            self.node.run(binary, "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")
            self.node.run(binary, "-t", "nat", "-N", "KUBE-SERVICES")
            for chain in ("PREROUTING", "OUTPUT"):
                self.node.run(binary, "-t", "nat", "-A", chain, "-j", "KUBE-SERVICES")
            for protocol in ("udp", "tcp"):
                self.node.run(
                    binary, "-t", "nat", "-A", "KUBE-SERVICES", "-d", service, "-p", protocol,
                    "--dport", "53", "-j", "DNAT", "--to-destination", f"{server}:53",
                )  # fmt: skip

    @contextlib.contextmanager
    def connection_at_kube_dns(self, address: Address) -> Iterator[None]:
        """A pod's TCP connection to `address` that kube-dns answers, before and after what is done meanwhile."""
        with self.pod.entered():
            connection = socket.create_connection((str(address), 53), timeout=PATIENCE_SECONDS)
        with connection:
            assert ask_on(connection) == NOERROR
            yield
            assert [ask_on(connection) for _ in range(3)] == [NOERROR] * 3

    def conntrack(self, address: Address) -> str:
        """The node's connection-tracking entries of DNS traffic that name `address`."""
        listing = self.node.run("conntrack", "-L", "-f", f"ipv{address.version}", check=False)
        lines = [line for line in listing.splitlines() if "port=53 " in line]
        return "\n".join(line for line in lines if f"={address} " in line)

    def lifetime(self, address: Address) -> int:
        """For how many seconds more the kernel keeps an address of ours; 0 for one that is gone."""
        told = self.node.run("ip", "-j", "address", "show", "dev", INTERFACE, check=False)
        held = [entry for link in json.loads(told or "[]") for entry in link["addr_info"]]
        return sum(h["valid_life_time"] for h in held if h["local"] == str(address))

    def traces(self) -> str:
        """Whatever of ours is on the node: the link, the rules, the table."""
        links = self.node.run("ip", "-o", "link")
        found = [line for line in links.splitlines() if INTERFACE in line]
        programs = [("nft", "list", "ruleset")]
        programs += [(f"{ip}-legacy-save",) for ip in ("iptables", "ip6tables")]
        for argv in programs:
            lines = self.node.run(*argv, check=False).splitlines()
            found += [
                li for li in lines if "NodeLocal DNS Cache" in li or "nodecache" in li.lower()
            ]
        return "\n".join(found)

    def ask(
        self, address: Address, protocol: str = "udp", seconds: float = PATIENCE_SECONDS
    ) -> int | None:
        """The rcode that a pod's query gets; None for no answer. REFUSED is the agent's.

        The patience is for a busy machine.
        """
        with self.pod.entered():
            return ask(address, protocol, seconds)

    def is_served_untracked(self, addresses: Sequence[Address]) -> bool:
        """Whether the agent answers pods and the node at each address, and nothing of it is tracked.

        A worker that has no turn for a second is given up for so long: a busy machine is asked again.
        """
        self.node.run("conntrack", "-F")
        asked = [(ip, protocol, 1.0) for ip in addresses for protocol in ("udp", "tcp")]
        answers = {self.ask(*each) for each in asked}
        with self.node.entered():
            answers |= {ask(*each) for each in asked}
        return answers == {REFUSED} and not any(map(self.conntrack, addresses))

    def sweep(self) -> None:
        """End what still runs on the node, and take away what it left: after a failed test."""
        for pid in run("ip", "netns", "pids", self.node.name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.node.run("ip", "link", "delete", INTERFACE, check=False)
        self.node.run("nft", "delete", "table", "inet", "nodecache", check=False)
        for variant in ("nft", "legacy"):
            for table in ("raw", "filter"):
                self.node.run(f"iptables-{variant}", "-t", table, "-F", check=False)

    def remove(self) -> None:
        for namespace in (self.node, self.pod, self.dns):
            namespace.remove()


NFT_PROXY = f"""
table ip kube-proxy {{
    chain services {{
        ip daddr {SERVICE} udp dport 53 dnat to {KUBE_DNS}:53
        ip daddr {SERVICE} tcp dport 53 dnat to {KUBE_DNS}:53
    }}
    chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
    chain nat-output {{ type nat hook output priority -100; jump services; }}
}}
table ip6 kube-proxy {{
    chain services {{
        ip6 daddr {SERVICE6} udp dport 53 dnat to [{KUBE_DNS6}]:53
        ip6 daddr {SERVICE6} tcp dport 53 dnat to [{KUBE_DNS6}]:53
    }}
    chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
    chain nat-output {{ type nat hook output priority -100; jump services; }}
}}
"""
