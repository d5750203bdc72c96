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
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCAL, SERVICE = ip_address("169.254.20.10"), ip_address("10.96.0.10")
LOCAL6, SERVICE6 = ip_address("fd00:169::10"), ip_address("fd00:96::10")
POD, KUBE_DNS = ip_address("10.244.1.2"), ip_address("10.244.2.2")
POD6, KUBE_DNS6 = ip_address("fd00:244:1::2"), ip_address("fd00:244:2::2")
INTERFACE = "nodelocaldns"
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

# id.server. CH TXT: the agent REFUSEs it by itself, the stand-in kube-dns answers it.
QUESTION = b"\x02id\x06server\x00\x00\x10\x00\x03"
REFUSED, NOERROR = 5, 0
Address = IPv4Address | IPv6Address


class Namespace:
    """One named network namespace, with lo up."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *argv: str, check: bool = True, stdin: str = "") -> str:
        """What a program printed that ran inside; CalledProcessError when it failed."""
        return run("ip", "netns", "exec", self.name, *argv, check=check, stdin=stdin)

    def start(self, *argv: str, **options) -> subprocess.Popen:
        """A program that goes on running inside."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *argv], text=True, **options)

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


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run(*argv: str, check: bool = True, stdin: str = "") -> str:
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, timeout=30, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


def wait_until(is_so: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait for a fact; how long that took. AssertionError when it does not come."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < seconds, "did not come about"
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
            wait_until(lambda to=address: self.ask(to, seconds=0.2) == NOERROR)

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

    def conntrack(self, address: Address) -> str:
        """The node's connection-tracking entries that name `address`."""
        listing = self.node.run("conntrack", "-L", "-f", f"ipv{address.version}", check=False)
        return "\n".join(line for line in listing.splitlines() if f"={address} " in line)

    def traces(self) -> str:
        """Whatever of ours is on the node: the link, the rules, the table."""
        links = self.node.run("ip", "-o", "link")
        found = [line for line in links.splitlines() if INTERFACE in line]
        programs = [("nft", "list", "ruleset")]
        programs += [(f"{ip}-legacy-save",) for ip in ("iptables", "ip6tables")]
        for argv in programs:
            lines = self.node.run(*argv, check=False).splitlines()
            found += [li for li in lines if "NodeLocal DNS Cache" in li or "nodecache" in li]
        return "\n".join(found)

    def asker(self, family: int = 4) -> "Asker":
        """Somebody who asks from the pod."""
        with self.pod.entered():
            return Asker(family)

    def ask(self, address: Address, protocol: str = "udp", seconds: float = 1.0) -> int | None:
        """The rcode that a pod's query gets; None for no answer. REFUSED is the agent's."""
        with self.pod.entered():
            return ask(address, protocol, seconds)

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
        for server in self.servers:
            server.wait(5)
            server.stdout.close()


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


def ask(address: Address, protocol: str = "udp", seconds: float = 1.0) -> int | None:
    """Ask from the namespace this thread is in; the rcode, or None."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    packet = os.urandom(2) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION
    with socket.socket(family, kind) as client:
        client.settimeout(seconds)
        try:
            client.connect((str(address), 53))
            client.sendall(packet if protocol == "udp" else struct.pack("!H", len(packet)) + packet)
            reply = client.recv(4096)
        except OSError:
            return None
    reply = reply if protocol == "udp" else reply[2:]
    return reply[3] & 15 if reply[:2] == packet[:2] else None


@dataclass
class Answered:
    """What a stream of queries saw: when each was sent, and which rcode came (None: nothing)."""

    sent_at: list[float] = field(default_factory=list)
    rcodes: list[int | None] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return sum(rcode is None for rcode in self.rcodes)

    def gap_after(self, moment: float) -> float:
        """Seconds from `moment` to the first query sent later from which on all were answered."""
        missed = [
            at
            for at, code in zip(self.sent_at, self.rcodes, strict=True)
            if code is None and at >= moment
        ]
        if not missed:
            return 0.0
        later = [at for at in self.sent_at if at > missed[-1]]
        return (later[0] if later else float("inf")) - moment

    def rcodes_after(self, moment: float) -> set[int | None]:
        return {code for at, code in zip(self.sent_at, self.rcodes, strict=True) if at >= moment}


class Asker:
    """Asks by UDP at an even pace in a thread of its own, each query from a fresh port."""

    def __init__(self, family: int = 4) -> None:
        self._family = socket.AF_INET if family == 4 else socket.AF_INET6
        self._is_on = True
        self.answered = Answered()
        self._by_socket: dict[int, tuple[socket.socket, int]] = {}
        self._thread: threading.Thread | None = None

    def start(self, address: Address, namespace: Namespace, every_seconds: float = 0.01) -> None:
        def body() -> None:
            with namespace.entered():
                self._run(address, every_seconds)

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    def _run(self, address: Address, every_seconds: float) -> None:
        poller = select.poll()
        due = time.monotonic()
        while self._is_on:
            now = time.monotonic()
            if now >= due:
                due += every_seconds
                self._send(address, now, poller)
            self._receive(poller, max(0.0, due - time.monotonic()))
            self._expire(now, poller)
        end = time.monotonic() + 1.0
        while self._by_socket and time.monotonic() < end:
            self._receive(poller, 0.05)
        for client, _ in self._by_socket.values():
            client.close()

    def _send(self, address: Address, now: float, poller: select.poll) -> None:
        client = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        number = len(self.answered.rcodes)
        self.answered.sent_at.append(now)
        self.answered.rcodes.append(None)
        header = struct.pack("!H", number & 0xFFFF) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        try:
            client.connect((str(address), 53))
            client.send(header + QUESTION)
        except OSError:
            client.close()
            return
        self._by_socket[client.fileno()] = (client, number)
        poller.register(client, select.POLLIN)

    def _receive(self, poller: select.poll, seconds: float) -> None:
        for descriptor, _ in poller.poll(seconds * 1000):
            client, number = self._by_socket.pop(descriptor)
            poller.unregister(descriptor)
            with contextlib.suppress(OSError):
                self.answered.rcodes[number] = client.recv(4096)[3] & 15
            client.close()

    def _expire(self, now: float, poller: select.poll) -> None:
        for descriptor, (client, number) in list(self._by_socket.items()):
            if now - self.answered.sent_at[number] < 1.0:
                break  # in the order they were sent
            poller.unregister(descriptor)
            del self._by_socket[descriptor]
            client.close()

    def stop(self) -> Answered:
        self._is_on = False
        self._thread.join(5)
        return self.answered


class StandIn:
    """The stand-in keeper (keeper_stand_in.py) on the node."""

    def __init__(self, node: Namespace, addresses: list[Address], **options) -> None:
        wanted = {"interface_kind": "bridge", **options, "addresses": [str(ip) for ip in addresses]}
        environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
        self.process = node.start(
            sys.executable, "-B", str(Path(__file__).with_name("keeper_stand_in.py")), json.dumps(wanted),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip

    def wait_ready(self) -> "StandIn":
        line = self.process.stdout.readline()
        assert line == "ready\n", (line, self.process.stderr.read() if not line else "")
        return self

    def tell(self, word: str) -> None:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def state(self) -> dict:
        self.tell("state")
        line = self.process.stdout.readline()
        return json.loads(line if line != "ready\n" else self.process.stdout.readline())

    def stop(self) -> str:
        """A clean stop; what it logged."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=20)
        return log

    def kill_all(self) -> float:
        """SIGKILL to every process of it at one moment; that moment."""
        os.killpg(self.process.pid, signal.SIGKILL)
        moment = time.monotonic()
        self.process.communicate(timeout=5)
        return moment
