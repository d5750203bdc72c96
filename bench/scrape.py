"""What does a scrape cost with a full cache, and what do queries notice of it?

The metrics page is read as Prometheus reads it, while queries for names drawn from all that is kept
come at a steady pace; before and after, the same queries come alone.
"""

import re
import statistics
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench import dnsperf, growth
from bench.context import Bench
from bench.dnsperf import Load, Outcome
from bench.peers import OURS, Found
from bench.stage import Stage, each, set_stage
from bench.table import markdown_table

PACE = 5_000
SECONDS = 10
SCRAPES = 20
MILLISECONDS = 1e3
# Only these have a page for Prometheus.
SCRAPED = (*OURS, "original", "coredns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One reading of the page: seconds it took, octets on the wire."""

    seconds: float
    octets: int


def report(bench: Bench) -> str:
    """One row a server."""
    header = [
        "server",
        "page, gzipped KB",
        "CPU ms a scrape",
        "median / longest ms",
        "queries p99.9 / worst µs, alone before",
        f"beside {SCRAPES} scrapes",
        "alone after",
    ]
    found = [found for found in bench.peers if found.peer.name in SCRAPED]
    rows = each(found, lambda each_found: _row(bench, each_found))
    title = f"## {SCRAPES} scrapes with {growth.FULL_ENTRIES:,} entries, at {PACE:,} q/s"
    return f"{title}\n\n" + markdown_table(header, rows)


def _row(bench: Bench, found: Found) -> list[str]:
    with set_stage(found, bench.cores, bench.workspace, 2 * growth.FULL_ENTRIES) as stage:
        growth.fill(bench, stage)
        address = metrics_address(stage.folder / "etc")
        names = growth.draw_from_all(bench)
        load = Load(names=names, queries_per_second=PACE, seconds=SECONDS)
        cpu = _cpu_seconds(stage, address)
        before = stage.ask(load)
        beside, pages = _beside_scrapes(stage, load, address)
        after = stage.ask(load)
    times = [page.seconds * MILLISECONDS for page in pages]
    return [
        found.peer.name,
        f"{pages[-1].octets / 1000:.0f}",
        f"{cpu * MILLISECONDS:.1f}",
        f"{statistics.median(times):.1f} / {max(times):.1f}",
        *(_latencies(outcome) for outcome in (before, beside, after)),
    ]


def _cpu_seconds(stage: Stage, address: str) -> float:
    """CPU that a scrape takes, by the scheduler's count, while nothing else is asked."""
    began = stage.cpu_seconds()
    time.sleep(1)
    idle = stage.cpu_seconds() - began
    began, at = stage.cpu_seconds(), time.monotonic()
    for _ in range(SCRAPES):
        scrape(address)
    return (stage.cpu_seconds() - began - idle * (time.monotonic() - at)) / SCRAPES


def _beside_scrapes(stage: Stage, load: Load, address: str) -> tuple[Outcome, list[Page]]:
    log = stage.folder / "beside.log"
    process = dnsperf.start(load, stage.port, stage.cores.load, log)
    pages = []
    for _ in range(SCRAPES):
        time.sleep(SECONDS / (SCRAPES + 1))
        pages.append(scrape(address))
    return dnsperf.finish(process, load, log), pages


def metrics_address(folder: Path) -> str:
    """HOST:PORT of the metrics page that the Corefile in a folder asks for."""
    for path in folder.glob("Corefile*"):
        if found := re.search(r"prometheus (\S+)", path.read_text()):
            return found[1]
    raise ValueError(f"no Corefile with metrics in {folder}")


def scrape(address: str) -> Page:
    """Read the metrics page as Prometheus does, on a connection of its own."""
    url = f"http://{address}/metrics"
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=5) as response:
        octets = len(response.read())
    return Page(seconds=time.monotonic() - began, octets=octets)


def _latencies(outcome: Outcome) -> str:
    return f"{outcome.latency(0.999):,.0f} / {outcome.latency(1.0):,.0f}"
