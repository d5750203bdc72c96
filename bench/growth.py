"""Does a hit cost more when the cache is large?

Hits and their latency with 1,000 entries, then with FULL_ENTRIES: the same 1,000 names again, and
names drawn from all of them. A collector's pauses show in the last percentiles.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path

from bench import traffic
from bench.context import Bench
from bench.dnsperf import Load
from bench.peers import Found
from bench.stage import MEBI, Stage, each, set_stage
from bench.table import markdown_table

FULL_ENTRIES = 500_000
FILL_RUN = 100_000  # queries a run of the filling
FILL_QUERIES_PER_SECOND = 12_000
HITS = 200_000
PACE = 5_000
PACED_SECONDS = 6
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds."""

    cpu: float
    p999: float
    worst: float


def report(bench: Bench) -> str:
    """One row a server."""
    header = [
        "server",
        "hit µs, 1,000 entries",
        f"the same names, {FULL_ENTRIES:,} entries",
        "any of them",
        "p99.9 / worst µs before",
        "p99.9 / worst µs after",
        "kept",
        "MiB",
    ]
    rows = each(bench.caches(), lambda found: _row(bench, found))
    return "## Growth\n\n" + markdown_table(header, rows)


def _row(bench: Bench, found: Found) -> list[str]:
    small_file = traffic.write_names(bench.workspace / "growth-hot", traffic.hit_names())
    with set_stage(found, bench.cores, bench.workspace, entries=2 * FULL_ENTRIES) as stage:
        hot = Load(names=small_file, times=HITS // traffic.HIT_NAMES)
        stage.ask(replace(hot, times=2, queries_per_second=PACE))
        small = _cost(stage, hot)
        fill(bench, stage)
        any_file = draw_from_all(bench)
        queries = stage.upstream_queries()
        everywhere = _cost(stage, Load(names=any_file))
        kept = 1 - (stage.upstream_queries() - queries) / (HITS + PACE * PACED_SECONDS)
        stage.ask(replace(hot, times=2, queries_per_second=PACE))
        same = _cost(stage, hot)
        memory = stage.memory_octets() / MEBI
    return [
        found.peer.name,
        f"{small.cpu:.1f}",
        f"{same.cpu:.1f} ({same.cpu / small.cpu:.2f} x)",
        f"{everywhere.cpu:.1f} ({everywhere.cpu / small.cpu:.2f} x)",
        f"{small.p999:,.0f} / {small.worst:,.0f}",
        f"{same.p999:,.0f} / {same.worst:,.0f}",
        f"{kept:.0%}",
        f"{memory:.0f}",
    ]


def fill(bench: Bench, stage: Stage) -> None:
    """Have `FULL_ENTRIES` names kept."""
    names = traffic.new_names(FULL_ENTRIES)
    path = bench.workspace / "growth-fill"
    for at in range(0, FULL_ENTRIES, FILL_RUN):
        traffic.write_names(path, names[at : at + FILL_RUN])
        seconds = 3 * FILL_RUN / FILL_QUERIES_PER_SECOND
        stage.ask(Load(names=path, queries_per_second=FILL_QUERIES_PER_SECOND, seconds=seconds))


def draw_from_all(bench: Bench) -> Path:
    """A file of `HITS` names, each drawn from those of `fill`."""
    draw = random.Random(traffic.SEED)
    names = traffic.new_names(FULL_ENTRIES)
    return traffic.write_names(bench.workspace / "growth-any", draw.choices(names, k=HITS))


def _cost(stage: Stage, load: Load) -> Cost:
    before = stage.cpu_seconds()
    flat = stage.ask(load)
    cpu = stage.cpu_seconds() - before
    paced = stage.ask(replace(load, queries_per_second=PACE, seconds=PACED_SECONDS))
    return Cost(
        cpu=cpu / max(1, flat.answered) * MICROSECONDS,
        p999=paced.latency(0.999),
        worst=paced.latency(1.0),
    )
