"""Which share of a Zipf stream goes upstream when the cache holds a tenth of its names."""

from bench import traffic
from bench.context import Bench
from bench.dnsperf import Load
from bench.peers import STOCK_ENTRIES, Found
from bench.stage import each, set_stage
from bench.table import markdown_table

QUERIES = 200_000
PACE = 8_000
SECONDS = 60


def report(bench: Bench) -> str:
    """One row a server."""
    rows = each(bench.caches(), lambda found: _row(bench, found))
    title = f"## Zipf over {traffic.ZIPF_NAMES:,} names with about {STOCK_ENTRIES:,} entries"
    return f"{title}\n\n" + markdown_table(["server", "share upstream", "unanswered"], rows)


def _row(bench: Bench, found: Found) -> list[str]:
    names = bench.workspace / "ratio"
    if not names.exists():
        traffic.write_names(names, traffic.zipf_names(QUERIES, zone="keep"))
    with set_stage(found, bench.cores, bench.workspace) as stage:
        before = stage.upstream_queries()
        outcome = stage.ask(Load(names=names, queries_per_second=PACE, seconds=SECONDS))
        upstream = stage.upstream_queries() - before
    share = upstream / max(1, outcome.sent)
    return [found.peer.name, f"{share:.3f}", f"{outcome.lost / max(1, outcome.sent):.2%}"]
