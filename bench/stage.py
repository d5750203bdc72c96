"""A server with its upstream, both running and ready to be asked."""

import contextlib
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench import dnsperf, processes
from bench.build import compile_program
from bench.dnsperf import NoDnsperf
from bench.machine import Cores
from bench.peers import STOCK_ENTRIES, Found, Setting
from bench.processes import NotReady

MEBI = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a measurement needs of the running server."""

    port: int
    pid: int
    cores: Cores
    folder: Path
    counts: Path
    started_seconds: float  # from exec to the first answer

    def ask(self, load: dnsperf.Load) -> dnsperf.Outcome:
        """Put this load on the server."""
        return dnsperf.run(load, self.port, self.cores.load, self.folder / "dnsperf.log")

    def upstream_queries(self) -> int:
        """How many queries the upstream got so far, over UDP and TCP."""
        over_udp, over_tcp = struct.unpack("=QQ", self.counts.read_bytes())
        return int(over_udp + over_tcp)

    def tree(self) -> list[int]:
        return processes.tree(self.pid)

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.tree())

    def memory_octets(self) -> int:
        return processes.memory_octets(self.tree())


@contextlib.contextmanager
def set_stage(
    found: Found, cores: Cores, workspace: Path, entries: int = STOCK_ENTRIES
) -> Iterator[Stage]:
    """Start upstream and server; NotReady if the server does not come to answer."""
    folder = workspace / found.peer.name
    # Configuration in a folder of its own: it is watched, and dnsperf's output would be a change.
    configuration = folder / "etc"
    configuration.mkdir(parents=True, exist_ok=True)
    counts = folder / "counts"
    upstream = compile_program("upstream", workspace / "bin")
    setting = Setting(
        folder=configuration,
        port=processes.free_port(),
        upstream_port=processes.free_port(),
        entries=entries,
    )
    argv = found.argv(setting)
    with (
        processes.running(
            [str(upstream), str(setting.upstream_port), str(counts)],
            cores.load,
            folder / "upstream.log",
        ) as upstream_pid,
    ):
        processes.wait_until_it_answers(setting.upstream_port, upstream_pid)
        with processes.running(argv, cores.server, folder / "server.log") as pid:
            try:
                started_seconds = processes.wait_until_it_answers(setting.port, pid)
            except NotReady as error:
                raise NotReady(f"{error}: {_last_line(folder / 'server.log')}") from None
            yield Stage(
                port=setting.port,
                pid=pid,
                cores=cores,
                folder=folder,
                counts=counts,
                started_seconds=started_seconds,
            )


def each(peers: Iterable[Found], measure: Callable[[Found], T]) -> list[T]:
    """What `measure` finds for each server; one that cannot be measured is said and left out."""
    figures = []
    for found in peers:
        print(f"bench: {found.peer.name}", file=sys.stderr)
        try:
            figures.append(measure(found))
        except (NotReady, NoDnsperf) as error:
            print(f"bench: {found.peer.name} left out: {error}", file=sys.stderr)
    return figures


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
