"""Load against nodecache and every other DNS cache found here; see bench/README.md."""

import argparse
import sys
import tempfile
from pathlib import Path

from bench import (
    coalesce,
    compare,
    growth,
    machine,
    memory,
    micro,
    path,
    pauses,
    ratio,
    scrape,
    search,
    stall,
    start,
)
from bench.build import CannotBuild, compile_program
from bench.cases import CASES
from bench.context import Bench, Measurement
from bench.dnsperf import NoDnsperf, program
from bench.peers import find_peers

RESULTS = Path(__file__).with_name("results")
MEASUREMENTS: dict[str, Measurement] = {
    "compare": compare.report,
    "memory": memory.report,
    "start": start.report,
    "growth": growth.report,
    "pauses": pauses.report,
    "scrape": scrape.report,
    "stall": stall.report,
    "coalesce": coalesce.report,
    "ratio": ratio.report,
    "search": search.report,
    "micro": micro.report,
    "path": path.report,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what", nargs="*", help=f"all, or some of {', '.join(MEASUREMENTS)}; default compare"
    )
    parser.add_argument("--servers", default="", help="only these, separated by commas")
    cases = ", ".join(case.name for case in CASES)
    parser.add_argument("--cases", default="", help=f"only these of {cases}")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each server has")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual queries")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the reports")
    return parser


def _named(text: str) -> frozenset[str]:
    return frozenset(name for name in text.split(",") if name)


def _bench(arguments: argparse.Namespace, workspace: Path) -> Bench:
    cases = _named(arguments.cases)
    floor = compile_program("floor", workspace / "bin")
    return Bench(
        peers=find_peers(floor, _named(arguments.servers)),
        cases=[case for case in CASES if not cases or case.name in cases],
        rounds=arguments.rounds,
        scale=arguments.scale,
        cores=machine.choose_cores(),
        workspace=workspace,
        results=arguments.results,
        about=machine.describe(),
    )


def _versions(bench: Bench) -> str:
    return "\n".join(
        f"- {found.peer.name}: {machine.version_of([found.program, *found.peer.version])}"
        for found in bench.peers
        if found.peer.has_cache
    )


def _measure(bench: Bench, name: str) -> None:
    text = f"# bench: {name}\n\n{bench.about}\n\n{_versions(bench)}\n\n{MEASUREMENTS[name](bench)}"
    path = bench.results / f"{name}.md"
    path.write_text(text)
    print(text)
    print(f"bench: written to {path}", file=sys.stderr)


def main() -> int:
    """Measure what was asked for; 2 when something that is needed is missing."""
    parser = _parser()
    arguments = parser.parse_args()
    what = arguments.what or ["compare"]
    if "all" in what:
        what = list(MEASUREMENTS)
    if unknown := set(what) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            program()
            bench = _bench(arguments, Path(folder))
        except (CannotBuild, NoDnsperf) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
        for name in what:
            _measure(bench, name)
    return 0


sys.exit(main())
