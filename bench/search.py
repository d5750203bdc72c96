"""What a pod waits for a new outside name along its search list, and what upstreams are asked for it.

Real resolvers with a pod's resolv.conf, in namespaces of their own, before the agent with `search_ahead`
on and off, and upstreams that answer late. Needs root.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.build import COMPILED
from bench.context import Bench
from bench.search_clients import Client, find_clients
from bench.table import markdown_table

NAMES = 24
LEARNED_FROM = 2  # names that are looked for before anything is asked ahead
LATE_MILLISECONDS = (5, 20)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The median of a look-up, and what upstreams were asked in all."""

    milliseconds: float
    asked: int


def report(bench: Bench) -> str:
    """One row a client and pace of the upstreams."""
    header = ["client", "upstream", "off, ms", "on, ms", "asked, off", "asked, on"]
    rows = [
        _row(bench, client, late)
        for client in find_clients(bench.workspace / "clients")
        for late in LATE_MILLISECONDS
    ]
    title = f"## Look-ups of {NAMES} new names, five steps each, from the third name on"
    return f"{title}\n\n" + markdown_table(header, rows)


def _row(bench: Bench, client: Client, late: int) -> list[str]:
    off, on = (_measure(bench, client, late, option) for option in (["--off"], []))
    return [
        client.name,
        f"{late} ms",
        f"{off.milliseconds:.1f}",
        f"{on.milliseconds:.1f} ({on.milliseconds / off.milliseconds:.2f})",
        str(off.asked),
        f"{on.asked} ({on.asked / off.asked - 1:+.1%})",
    ]


def _measure(bench: Bench, client: Client, late: int, options: list[str]) -> Outcome:
    print(f"bench: {client.name}, {late} ms {' '.join(options)}", file=sys.stderr)
    names = ",".join(f"n{number}.example.com" for number in range(NAMES))
    folder = bench.workspace / "search"
    folder.mkdir(exist_ok=True)
    argv = [
        *("unshare", "--net", "--mount", sys.executable, "-m", "bench.search_pod"),
        *(
            "--folder",
            str(folder),
            "--milliseconds",
            str(late),
            *options,
            names,
            "--",
            *client.argv,
        ),
    ]
    paths = [str(COMPILED)] if COMPILED.exists() else []
    environment = {**os.environ, "PYTHONPATH": ":".join([*paths, str(Path.cwd())])}
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    told = json.loads(done.stdout)
    asked = sum(sum(each.values()) for each in told["asked"].values())
    return Outcome(statistics.median(told["microseconds"][LEARNED_FROM:]) / 1000, asked)
