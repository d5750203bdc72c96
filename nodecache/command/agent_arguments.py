"""The arguments of the agent in whose container a command is run."""

from pathlib import Path

from .commands import COMMANDS

AGENT = "/proc/1/cmdline"


def agent_arguments(command: str = AGENT) -> list[str]:
    """The arguments in a process's command line (proc(5)), if it is an agent and no subcommand; else none."""
    try:
        words = Path(command).read_text(encoding="utf-8").split("\0")[:-1]
    except (OSError, UnicodeDecodeError):
        return []
    for index, word in enumerate(words[:4]):  # an interpreter and its options come before
        if Path(word).name in ("nodecache", "node-cache"):
            arguments = words[index + 1 :]
            return [] if arguments[:1] and arguments[0] in COMMANDS else arguments
    return []
