"""The main run: every server, every case, several rounds in turn."""

import sys

from bench.cases import Case, NamesFiles, measure
from bench.context import Bench
from bench.peers import Found
from bench.plot import Panel, draw
from bench.processes import NotReady
from bench.results import Results
from bench.stage import MEBI, set_stage
from bench.table import Report

MAX_LOST = 0.5  # of the queries: whoever fails more of them has no figure


def report(bench: Bench) -> str:
    """Run it, draw it; the tables."""
    results = compare(bench)
    picture = draw("CPU a query, whole process tree", bench.about, _panels(bench, results))
    (bench.results / "compare.svg").write_text(picture)
    return Report(results, bench.peers, bench.cases).text()


def compare(bench: Bench) -> Results:
    """The servers take turns within each round, in another order each time."""
    results = Results()
    files = NamesFiles(bench.workspace, bench.scale)
    for turn in range(bench.rounds):
        shift = turn * 2 % len(bench.peers)
        for found in [*bench.peers[shift:], *bench.peers[:shift]]:
            print(f"round {turn + 1}/{bench.rounds}: {found.peer.name}", file=sys.stderr)
            try:
                _take_turn(found, bench, files, results)
            except NotReady as error:
                print(f"bench: {found.peer.name} left out: {error}", file=sys.stderr)
    return results


def _take_turn(found: Found, bench: Bench, files: NamesFiles, results: Results) -> None:
    name = found.peer.name
    with set_stage(found, bench.cores, bench.workspace) as stage:
        results.start_seconds[name].append(stage.started_seconds)
        results.idle_memory[name].append(stage.memory_octets() / MEBI)
        for case in bench.cases:
            if not found.peer.has_cache and case.is_stream:
                continue  # the floor knows no TCP
            figures = measure(stage, case, files)
            if figures.lost_share > MAX_LOST:
                print(f"bench: {name} fails in {case.name}: left out", file=sys.stderr)
            else:
                results.add(name, case.name, figures)
        results.loaded_memory[name].append(stage.memory_octets() / MEBI)


def _panels(bench: Bench, results: Results) -> list[Panel]:
    return [_panel(bench, results, case) for case in bench.cases]


def _panel(bench: Bench, results: Results, case: Case) -> Panel:
    bars = [
        (found.peer.name, figures.cpu if figures else None)
        for found in bench.peers
        for figures in [results.median(found.peer.name, case.name)]
    ]
    return Panel(title=case.name, unit=f"{case.title}; µs", bars=bars)
