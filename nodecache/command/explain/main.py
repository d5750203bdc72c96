"""The command line of `nodecache explain`."""

import argparse
import json
import sys
from collections.abc import Sequence

from nodecache.command.control_client import Answers, ControlError, ask, control_path, printable
from nodecache.command.options import Parser
from nodecache.corefile.mnemonics import rdtype

from .words import as_line, as_text

_SECONDS = 60.0  # six names of a search list, each asked for until its deadline


def parser() -> Parser:
    """What may be asked for."""
    made = Parser(
        prog="nodecache explain",
        description="What would happen to a query for NAME here: the block that has it, what its cache "
        "says, which upstream would be asked, and why. It changes nothing, unless it is to --ask.",
        epilog="kubectl -n kube-system exec ds/node-local-dns -- nodecache explain example.org AAAA",
    )
    made.add_argument("name", metavar="NAME")
    made.add_argument("type", metavar="TYPE", nargs="?", default="A")
    made.add_argument("--ask", action="store_true", help="ask really, and show the answer")
    made.add_argument(
        "--namespace",
        metavar="NS",
        default="",
        help="look for NAME as a pod of this namespace does: along its search list, with ndots:5",
    )
    made.add_argument("--json", action="store_true", help="as JSON, one object a name")
    made.add_argument("--control", metavar="PATH", help="the agent's socket (its flag -control)")
    return made


def main(argv: Sequence[str]) -> int:
    """Ask the agent, print; the exit status: 0, 1 where no agent answers, 2 for usage."""
    options = parser().parsed(argv)
    if isinstance(options, int):
        return options
    try:
        number = rdtype(options.type)
    except ValueError as error:
        print(f"nodecache explain: {error}", file=sys.stderr)
        return 2
    try:
        _explain(options, number)
    except ControlError as error:
        print(f"nodecache explain: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


def _explain(options: argparse.Namespace, number: int) -> None:
    connection = ask(
        control_path(options.control),
        _SECONDS,
        command="explain",
        name=options.name,
        rdtype=number,
        namespace=options.namespace,
        is_asked=options.ask,
    )
    with connection:
        for told in Answers(connection):
            if options.json:
                text = json.dumps(told)
            else:
                text = as_line(told) if options.namespace else as_text(told)
            print(text, flush=True)
