"""A node before kube-dns: pods in network namespaces of their own, and a Service address over them.

    node ──veth── pod 10.244.1.2, 10.244.2.2, …     each a stand-in (kube_dns_pod.py)
      └────veth── 10.244.9.2                        whoever the Service address leads to

The one behind the Service address is no pod of the list, so that it shows what is asked there.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.helpers.prometheus import wait_until
from tests.patience import PATIENCE_SECONDS
from tests.system.kube_dns_pod import SERVICE as LIST
from tests.system.netns import Namespace, pod_namespace, run

SERVICE = "10.96.0.11"
SERVICE_NUMBER = 9
METRICS_PORT = 9253
ZONE = "default.svc.cluster.local"  # pods know every name in it
COREFILE = """
cluster.local:53 {{
    bind 127.0.0.1
    errors
    cache 30
    {own}
    forward . __PILLAR__CLUSTER__DNS__ {{
        {option}
    }}
    prometheus 127.0.0.1:9253
}}
"""
_PROXY = f"""
table ip kube-proxy {{
    chain services {{
        ip daddr {SERVICE} udp dport 53 dnat to 10.244.{SERVICE_NUMBER}.2
        ip daddr {SERVICE} tcp dport 53 dnat to 10.244.{SERVICE_NUMBER}.2
    }}
    chain nat-output {{ type nat hook output priority -100; jump services; }}
    chain nat-postrouting {{ type nat hook postrouting priority 100; oifname "pod*" masquerade; }}
}}
"""


def address_of(number: int) -> str:
    return f"10.244.{number}.2"


class Pod:
    """One stand-in; what it was asked is read from what it wrote."""

    def __init__(self, node: Namespace, number: int, folder: Path, delay: float = 0.0) -> None:
        self.address = address_of(number)
        self.namespace = pod_namespace(node, number)
        self._asked = folder / f"{self.address}.asked"
        script = Path(__file__).with_name("kube_dns_pod.py")
        self._server = self.namespace.start(
            sys.executable, "-B", str(script), self.address, str(folder), str(delay),
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._server.stdout is not None
        assert self._server.stdout.readline()

    def asked(self, since: float = 0.0) -> list[tuple[float, str]]:
        """Clients' questions since then, each with its moment: not for the list, and no probes."""
        lines = self._lines(since)
        return [(at, name) for at, name in lines if name != "." and not name.endswith(LIST)]

    def asked_for_the_list(self, since: float = 0.0) -> list[float]:
        """The moments since then at which the list of pods was asked for."""
        return [at for at, name in self._lines(since) if name.startswith("_dns._udp." + LIST)]

    def _lines(self, since: float) -> list[tuple[float, str]]:
        lines = (line.split() for line in self._asked.read_text().splitlines())
        return [(float(at), name.lower()) for at, name, _ in lines if float(at) >= since]

    def hang(self) -> None:
        """Its kernel goes on taking what it is sent; nobody reads it."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in run("ip", "netns", "pids", self.namespace.name).split():
            os.kill(int(pid), number)


class KubeDns:
    """The node, its pods, and the one behind the Service address."""

    def __init__(self, folder: Path, delays: Sequence[float]) -> None:
        self._folder = folder
        self.node = Namespace(f"nc{os.getpid()}k")
        self.pods: list[Pod] = []
        self.tell([address_of(number) for number in range(1, len(delays) + 1)])
        for number, delay in enumerate(delays, 1):
            self.pods.append(Pod(self.node, number, folder, delay))
        self.service = Pod(self.node, SERVICE_NUMBER, folder)
        self.node.run("ip", "route", "add", "default", "via", self.service.address)
        self.node.run("nft", "-f", "-", stdin=_PROXY)

    def tell(self, pods: Sequence[str] | None, ttl: int = 5) -> float:
        """What the list says from now on; None: there is no such Service. The moment."""
        told = None if pods is None else {"pods": list(pods), "ttl": ttl}
        fresh = self._folder / "told.new"
        fresh.write_text(json.dumps(told))
        fresh.rename(self._folder / "told.json")
        return time.monotonic()

    def remove(self) -> None:
        for pod in [*self.pods, self.service]:
            pod.go_on()
            pod.namespace.remove()
        self.node.remove()


@contextlib.contextmanager
def kube_dns(folder: Path, *delays: float) -> Iterator[KubeDns]:
    """As many pods as there are delays, each in seconds."""
    found = KubeDns(folder, delays)
    try:
        yield found
    finally:
        found.remove()


class Agent:
    """The real command on the node's 127.0.0.1:53, the host's side left alone."""

    def __init__(
        self,
        there: KubeDns,
        folder: Path,
        *flags: str,
        own: str = "",
        option: str = "force_tcp",
        before: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self._node = there.node
        base = folder / "Corefile.base"
        base.write_text(COREFILE.format(own=own, option=option))
        self._log = folder / "log"
        self._told = {"KUBE_DNS_UPSTREAM_SERVICE_HOST": SERVICE, **environment}
        with self._log.open("wb") as log:
            self._process = there.node.start(
                *(*before, sys.executable, "-m", "nodecache", "-localip", "127.0.0.1"),
                *("-basecorefile", str(base), "-conf", str(folder / "Corefile")),
                *("-upstreamsvc", "kube-dns-upstream", *flags),
                *("-setupinterface=false", "-setupiptables=false", "-control="),
                *("-metrics-listen-address", "127.0.0.1:9353"),
                stdout=log,
                stderr=log,
                env={**os.environ, **self._told},
            )
        wait_until(self._is_serving, "the agent")

    def _is_serving(self) -> bool:
        assert self._process.poll() is None, self.log
        return "nodecache serves" in self.log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def page(self) -> str:
        return self._node.run("curl", "-s", f"http://127.0.0.1:{METRICS_PORT}/metrics", check=False)

    def known(self, source: str = "dns") -> int | None:
        """How many pods it knows; None before it was told."""
        start = f'nodecache_cluster_dns_pods{{source="{source}"}} '
        lines = (line for line in self.page().splitlines() if line.startswith(start))
        return next((int(float(line.rpartition(" ")[2])) for line in lines), None)

    def until_known(self, count: int, source: str = "dns") -> None:
        wait_until(lambda: self.known(source) == count, f"{count} pods known by {source}")

    def ask(self, name: str) -> str | None:
        """The address that is answered, which is that of whoever did; None for no answer."""
        with self._node.entered(), contextlib.suppress(dns.exception.Timeout):
            query = dns.message.make_query(name, "A")
            reply = dns.query.udp(query, "127.0.0.1", timeout=PATIENCE_SECONDS)
            return str(reply.answer[0][0]) if reply.answer else None
        return None

    def who_answers(self, prefix: str, count: int = 160) -> set[str | None]:
        """Who answered so many new names. Where one pod alone is known and starved, the Service address helps out."""
        return {self.ask(f"{prefix}{number}.{ZONE}.") for number in range(count)}

    def check(self) -> str:
        """What `nodecache check` prints beside it."""
        command = f"/proc/{self._process.pid}/cmdline"
        code = f"from nodecache.command.check import main; main([], agent_command={command!r})"
        variables = (f"{name}={value}" for name, value in self._told.items())
        inside = ("nsenter", "-t", str(self._process.pid), "-m", "-n")
        return run(*inside, "env", *variables, sys.executable, "-c", code)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        print(self.log[-4000:])


@contextlib.contextmanager
def agent(there: KubeDns, folder: Path, *flags: str, **more) -> Iterator[Agent]:
    found = Agent(there, folder, *flags, **more)
    try:
        yield found
    finally:
        found.stop()
