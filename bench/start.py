"""From exec to the first answer."""

import statistics

from bench.context import Bench
from bench.peers import Found
from bench.stage import each, set_stage
from bench.table import markdown_table

STARTS = 7


def report(bench: Bench) -> str:
    """One row a server."""
    rows = each(bench.peers, lambda found: _row(bench, found))
    header = ["server", "median ms", "most ms"]
    return "## Exec to first answer\n\n" + markdown_table(header, rows)


def _row(bench: Bench, found: Found) -> list[str]:
    times = []
    for _ in range(STARTS):
        with set_stage(found, bench.cores, bench.workspace) as stage:
            times.append(stage.started_seconds * 1000)
    return [found.peer.name, f"{statistics.median(times):.0f}", f"{max(times):.0f}"]
