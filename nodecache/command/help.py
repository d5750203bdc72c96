"""`nodecache help`: the commands, and how one of them is used."""

import importlib
import sys
from collections.abc import Sequence

from .commands import COMMANDS
from .options import HELP_FLAGS

USAGE = """Usage: nodecache [FLAGS]              run the agent (nodecache -h shows its flags)
       nodecache COMMAND [ARGUMENTS]  one of

  check       what is wrong with a Corefile or manifest, or what it will do
  doctor      what is wrong with an agent and its node, and what mends it
  explain     what would happen to a query on this node, and why
  top         what an agent does now: rates, names, clients, upstreams
  completion  a script for bash or zsh that completes commands and flags
  help        this, or with the name of a command how that one is used
"""


def main(argv: Sequence[str]) -> int:
    """Print the usage of `nodecache` or of one command; 2 for an unknown command."""
    if not argv or argv[0] in ("help", *HELP_FLAGS):
        print(USAGE, end="")
        return 0
    if argv[0] not in COMMANDS:
        print(f"nodecache help: there is no command {argv[0]!r}", file=sys.stderr)
        return 2
    return int(importlib.import_module(COMMANDS[argv[0]]).main(["--help"]))
