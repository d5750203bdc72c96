"""The command line of `nodecache top`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from nodecache.command.control_client import Answers, ControlError, ask, control_path, printable
from nodecache.command.options import Parser
from nodecache.worker.control_request import MAX_SECONDS, MIN_SECONDS

from .pod_names import PodNames

_PATIENCE_SECONDS = 10.0


def parser() -> Parser:
    """What may be asked for."""
    made = Parser(
        prog="nodecache top",
        description="What the agent does now: queries a second, hits, latency, rcodes; which names are "
        "asked for, and by which clients; upstreams. Names and clients are counted while somebody looks, "
        "by samples where there are many.",
        epilog="kubectl -n kube-system exec -it ds/node-local-dns -- nodecache top",
    )
    made.add_argument("--once", action="store_true", help="one sample, and no terminal")
    made.add_argument("--json", action="store_true", help="that sample as JSON")
    made.add_argument(
        "--seconds", type=_seconds, default=1.0, metavar="N", help="between samples: 0.1 to 60"
    )
    made.add_argument("--control", metavar="PATH", help="the agent's socket (its flag -control)")
    return made


def _seconds(word: str) -> float:
    """What the agent takes; ValueError and ArgumentTypeError are argparse's to tell."""
    seconds = float(word)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"must be {MIN_SECONDS:g} to {MAX_SECONDS:g}, not {word}")
    return seconds


def main(argv: Sequence[str]) -> int:
    """Watch; the exit status: 0, 1 where no agent answers, 2 for usage."""
    options = parser().parsed(argv)
    if isinstance(options, int):
        return options
    try:
        return _top(options)
    except ControlError as error:
        print(f"nodecache top: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _top(options: argparse.Namespace) -> int:
    seconds = options.seconds
    is_live = not (options.once or options.json)
    if is_live and not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("nodecache top: no terminal (kubectl exec -it), and no --once", file=sys.stderr)
        return 2
    patience = seconds + _PATIENCE_SECONDS
    path = control_path(options.control)
    with ask(path, patience, command="top", seconds=seconds) as connection:
        if is_live:
            from .live import watch  # noqa: PLC0415 - only people need it

            watch(connection)
            return 0
        told = next(iter(Answers(connection)), None)
        if told is None:
            raise ControlError("the agent has ended")
        PodNames().tell(told["clients"], time.monotonic())
        if options.json:
            print(json.dumps(told))
            return 0
        from rich.console import Console  # noqa: PLC0415

        from .screen import screen  # noqa: PLC0415
        from .view import View  # noqa: PLC0415

        console = Console()
        console.print(screen(told, View(), console.height))
    return 0
