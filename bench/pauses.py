"""How long does one step of the worker's event loop hold up everybody else?

The worker with a meter in it (`metered`) is filled, asked, scraped, reloaded and emptied, with
queries at a steady pace all the while. A turn of the loop is told as CPU time, so that other
processes do not count; with it, how often the garbage collector ran and its longest run.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench import dnsperf, metered, traffic
from bench.context import Bench
from bench.dnsperf import Load
from bench.growth import FULL_ENTRIES, draw_from_all, fill
from bench.peers import OURS, Found
from bench.scrape import metrics_address, scrape
from bench.stage import Stage, set_stage
from bench.table import markdown_table

PACE = 5_000
SECONDS = 6
SCRAPES = 10
RELOAD_SECONDS = 20.0
MILLISECONDS = 1e3
SCRIPT = Path(metered.__file__)


def report(bench: Bench) -> str:
    """One row a phase."""
    header = ["phase", "longest turn ms", "turns > 2 ms"]
    header += [f"gen {each}: runs / longest ms" for each in range(metered.GENERATIONS)]
    title = f"## Steps of the event loop at {FULL_ENTRIES:,} entries: {{}}\n\n"
    return "\n".join(
        title.format(found.peer.name) + markdown_table(header, _rows(bench, found))
        for found in bench.peers
        if found.peer.name in OURS
    )


def _rows(bench: Bench, found: Found) -> Iterator[list[str]]:
    figures = bench.workspace / "figures"
    metered.make_file(figures)
    watched = Found(found.peer, metered_program(bench.workspace / "metered", figures))
    with set_stage(watched, bench.cores, bench.workspace, entries=2 * FULL_ENTRIES) as stage:
        for number, (name, act) in enumerate(_phases(bench, stage)):
            metered.tell_phase(figures, number)
            act()
            print(f"bench: {name}", file=sys.stderr)
            yield _row(name, metered.Figures.read(figures, number))


def metered_program(path: Path, figures: Path) -> str:
    """A program that takes nodecache's flags, and has the meter in its worker."""
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {SCRIPT} {figures} "$@"\n')
    path.chmod(0o755)
    return str(path)


def _row(name: str, figures: metered.Figures) -> list[str]:
    return [
        name,
        f"{figures.longest_turn * MILLISECONDS:.2f}",
        str(figures.long_turns),
        *(
            f"{runs:,} / {longest * MILLISECONDS:.2f}"
            for runs, longest in zip(figures.collections, figures.longest_collections, strict=True)
        ),
    ]


def _phases(bench: Bench, stage: Stage) -> list[tuple[str, Callable[[], None]]]:
    hot = Load(
        names=traffic.write_names(bench.workspace / "pauses-hot", traffic.hit_names()),
        times=PACE * SECONDS // traffic.HIT_NAMES,
        queries_per_second=PACE,
        seconds=SECONDS,
    )
    anything = replace(hot, names=draw_from_all(bench), times=1)

    def beside(load: Load, act: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            with _asked(stage, load):
                act()

        return both

    corefile = stage.folder / "etc" / "Corefile.base"
    return [
        ("1,000 names, hits", lambda: _ask(stage, hot)),
        (f"filling up to {FULL_ENTRIES:,} entries", lambda: fill(bench, stage)),
        ("the 1,000 names again", lambda: _ask(stage, hot)),
        ("names drawn from all", lambda: _ask(stage, anything)),
        (f"the same beside {SCRAPES} scrapes", beside(anything, lambda: _scrape(corefile.parent))),
        ("a reload that keeps the cache", beside(anything, lambda: _reload(stage, corefile))),
        ("a reload with another upstream", beside(hot, lambda: _reload(stage, corefile, "tcp"))),
    ]


def _ask(stage: Stage, load: Load) -> None:
    stage.ask(load)


@contextmanager
def _asked(stage: Stage, load: Load) -> Iterator[None]:
    """Put `load` on the server all the while, to its end."""
    log = stage.folder / "beside.log"
    process = dnsperf.start(load, stage.port, stage.cores.load, log)
    try:
        yield
    finally:
        dnsperf.finish(process, load, log)


def _scrape(folder: Path) -> None:
    for _ in range(SCRAPES):
        scrape(metrics_address(folder))
        time.sleep(SECONDS / SCRAPES / 2)


def _reload(stage: Stage, corefile: Path, change: str = "") -> None:
    """Change the Corefile, and wait until it is served."""
    log = stage.folder / "server.log"
    before = log.read_text().count("Reloading complete")
    text = corefile.read_text()
    if change:
        text = text.replace("force_tcp", "prefer_udp")
    corefile.write_text(f"{text}# {time.time()}\n")
    end = time.monotonic() + RELOAD_SECONDS
    while log.read_text().count("Reloading complete") == before and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
