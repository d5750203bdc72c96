"""The agent in front of a stand-in kube-dns, on loopback and without the host's side, for tests."""

import asyncio
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Self

import dns.message
import dns.query

from nodecache.demo.standin import StandIn, sample_records
from tests.helpers.agent import free_port
from tests.helpers.prometheus import wait_until
from tests.patience import PATIENCE_SECONDS

# The stock Corefile's blocks; HEALTH and METRICS are ports of this run.
COREFILE = Template("""\
cluster.local:$port {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 127.0.0.1
    forward . 127.0.0.1:$upstream {
            force_tcp
    }
    prometheus 127.0.0.1:$metrics
    health 127.0.0.1:$health
    }
in-addr.arpa:$port {
    errors
    cache 30
    reload
    loop
    bind 127.0.0.1
    forward . 127.0.0.1:$upstream {
            force_tcp
    }
    prometheus 127.0.0.1:$metrics
    }
.:$port {
    errors
    cache 30
    reload
    loop
    bind 127.0.0.1
    forward . 127.0.0.1:$upstream
    prometheus 127.0.0.1:$metrics
    }
""")


@dataclass
class RunningAgent:
    """Where it is, and its files."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    metrics: int
    setup_metrics: int
    health: int

    @property
    def base_corefile(self) -> Path:
        return self.folder / "base"

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def page(self, port: int | None = None) -> str:
        """A metrics page, that of the Corefile's `prometheus` unless another port is given."""
        return self.get(port or self.metrics, "/metrics")

    @staticmethod
    def get(port: int, path: str) -> str:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS
        ) as reply:
            return str(reply.read().decode())

    def is_ready(self) -> bool:
        try:
            return self.get(self.health, "/ready") == "OK"
        except (urllib.error.URLError, ConnectionError):
            return False

    def workers(self) -> list[int]:
        """Process ids of the keeper's children."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]


@contextmanager
def stand_in() -> Iterator[int]:
    """A stand-in kube-dns in a thread; its port."""
    standing = StandIn(sample_records())
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        await standing.start()
        loops.append(asyncio.get_running_loop())
        started.set()
        await stop.wait()
        standing.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE_SECONDS)
    try:
        yield standing.port
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_SECONDS)


@contextmanager
def running_agent(folder: Path, upstream: int, *flags: str) -> Iterator[RunningAgent]:
    """The agent, ready, with the stock Corefile before `upstream`."""
    port, metrics, setup_metrics, health = (free_port() for _ in range(4))
    (folder / "base").write_text(
        COREFILE.substitute(port=port, metrics=metrics, health=health, upstream=upstream)
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "nodecache", "-localip", "127.0.0.1", "-p", str(port)),
                *("-basecorefile", f"{folder}/base", "-conf", f"{folder}/Corefile"),
                *("-setupinterface=false", "-setupiptables=false"),
                *("-metrics-listen-address", f"127.0.0.1:{setup_metrics}"),
                *(flags or ("-control=",)),
            ],
            stdout=log,
            stderr=log,
        )
    agent = RunningAgent(process, folder, port, metrics, setup_metrics, health)
    try:
        wait_until(lambda: agent.is_ready() or process.poll() is not None, "readiness")
        assert process.poll() is None, agent.log()
        yield agent
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


class Load:
    """Queries of every kind that the metrics tell apart, one after another, until stopped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.asked = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(0.002):
            self.ask_one()

    def ask_one(self) -> None:
        names = ("kubernetes.default.svc.cluster.local.", "nobody.default.svc.cluster.local.")
        name = names[self.asked % 2] if self.asked % 10 else f"n{self.asked}.example.org."
        query = dns.message.make_query(name, ("A", "AAAA")[self.asked % 3 % 2])
        query.want_dnssec(self.asked % 7 == 0)
        ask = dns.query.tcp if self.asked % 5 == 0 else dns.query.udp
        ask(query, "127.0.0.1", port=self._port, timeout=PATIENCE_SECONDS)
        self.asked += 1
