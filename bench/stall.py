"""Do hits notice that misses wait for an upstream which says nothing?

Hits at a steady pace, alone and then beside thousands of new names a second that the upstream
never answers.
"""

from bench import dnsperf, traffic
from bench.context import Bench
from bench.dnsperf import Load, Outcome
from bench.peers import Found
from bench.stage import MEBI, Stage, each, set_stage
from bench.table import markdown_table

HITS_PER_SECOND = 2_000
STALLED_PER_SECOND = 10_000
SECONDS = 8


def report(bench: Bench) -> str:
    """One row a server: alone, then beside the stalled queries."""
    header = ["server", "alone p50 / p99 / p99.9 µs", "beside stalled misses", "hits lost", "MiB"]
    rows = each(bench.caches(), lambda found: _row(bench, found))
    title = (
        f"## Hits at {HITS_PER_SECOND:,} q/s beside {STALLED_PER_SECOND:,} stalled misses a second"
    )
    return f"{title}\n\n" + markdown_table(header, rows)


def _row(bench: Bench, found: Found) -> list[str]:
    hot = traffic.write_names(bench.workspace / "stall-hits", traffic.hit_names())
    hits = Load(
        names=hot,
        times=SECONDS * HITS_PER_SECOND // traffic.HIT_NAMES,
        queries_per_second=HITS_PER_SECOND,
        seconds=SECONDS,
    )
    with set_stage(found, bench.cores, bench.workspace) as stage:
        stage.ask(Load(names=hot, times=2, queries_per_second=HITS_PER_SECOND))
        alone = stage.ask(hits)
        before = stage.memory_octets()
        beside = _beside_stalled(bench, stage, hits)
        grown = (stage.memory_octets() - before) / MEBI
    return [
        found.peer.name,
        _latencies(alone),
        _latencies(beside),
        str(beside.lost),
        f"{grown:+.0f}",
    ]


def _latencies(outcome: Outcome) -> str:
    return " / ".join(f"{outcome.latency(share):,.0f}" for share in (0.5, 0.99, 0.999))


def _beside_stalled(bench: Bench, stage: Stage, hits: Load) -> Outcome:
    names = traffic.write_names(
        bench.workspace / "stall-dead",
        [f"host-{number}.dead" for number in range(SECONDS * STALLED_PER_SECOND)],
    )
    stalled = Load(
        names=names,
        queries_per_second=STALLED_PER_SECOND,
        seconds=SECONDS,
        clients=16,
        outstanding=2 * STALLED_PER_SECOND,
        timeout_seconds=1,
    )
    log = stage.folder / "stalled.log"
    process = dnsperf.start(stalled, stage.port, stage.cores.load, log)
    try:
        return stage.ask(hits)
    finally:
        process.terminate()
        process.wait()
