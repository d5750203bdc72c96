"""Memory of the whole process tree, shared pages once: idle, and with the same full cache."""

import time

from bench import traffic
from bench.context import Bench
from bench.dnsperf import Load
from bench.peers import STOCK_ENTRIES, Found
from bench.stage import MEBI, each, set_stage
from bench.table import markdown_table, with_ratios

SETTLE_SECONDS = 1.0
FILL_QUERIES_PER_SECOND = 4_000


def report(bench: Bench) -> str:
    """One row a server."""
    figures = dict(each(bench.peers, lambda found: _measure(bench, found)))
    idle_base, full_base = figures.get("original", (None, None))
    rows = [
        [name, with_ratios(idle, None, idle_base), with_ratios(full, None, full_base)]
        for name, (idle, full) in figures.items()
    ]
    header = ["server", "idle MiB", f"with {STOCK_ENTRIES:,} entries MiB"]
    return "## Memory (PSS of the process tree)\n\n" + markdown_table(header, rows)


def _measure(bench: Bench, found: Found) -> tuple[str, tuple[float, float]]:
    names = traffic.write_names(bench.workspace / "memory", traffic.new_names(STOCK_ENTRIES))
    with set_stage(found, bench.cores, bench.workspace) as stage:
        time.sleep(SETTLE_SECONDS)
        idle = stage.memory_octets()
        stage.ask(Load(names=names, times=2, queries_per_second=FILL_QUERIES_PER_SECOND))
        time.sleep(SETTLE_SECONDS)
        return found.peer.name, (idle / MEBI, stage.memory_octets() / MEBI)
