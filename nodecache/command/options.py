"""Command lines of commands for people."""

import argparse
from collections.abc import Sequence

HELP_FLAGS = ("-h", "-help", "--help")


class Parser(argparse.ArgumentParser):
    """argparse's parser, with the help's first line as in every command."""

    def format_help(self) -> str:
        """`Usage of nodecache …:`, and the rest as argparse has it."""
        return f"Usage of {self.prog}:\n{super().format_help().removeprefix('usage: ')}"

    @property
    def options(self) -> list[str]:
        """Every option it knows, as it is typed."""
        return sorted(self._option_string_actions)

    def parsed(self, argv: Sequence[str]) -> argparse.Namespace | int:
        """The parsed arguments; or the exit status after help or a usage error was printed."""
        try:
            return self.parse_args(argv)
        except SystemExit as ended:
            return int(ended.code or 0)
