"""The command line: what the container image runs, and the subcommands for people."""

import gc
import logging
import platform
import sys
from collections.abc import Sequence
from ipaddress import ip_address

from nodecache import __version__
from nodecache import log as logs
from nodecache.config import Config, ConfigSource
from nodecache.flags import FlagError, Flags, HelpWanted, parse_flags
from nodecache.host import Guard, Host, HostError, HostOptions
from nodecache.keeper import Keeper
from nodecache.plan import CannotListen

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand, or the agent; the exit status: 0, 1 for what cannot work, 2 for usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["check"]:
        from nodecache import check  # noqa: PLC0415 - not needed by the agent

        return check.main(arguments[1:])
    try:
        flags = parse_flags(arguments)
    except HelpWanted as wanted:
        print(wanted, file=sys.stderr)  # noqa: T201
        return 0
    except FlagError as error:
        print(f"nodecache: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if flags.version:
        print(f"nodecache-{__version__}\nPython {platform.python_version()}")  # noqa: T201
        return 0
    return run(flags)
