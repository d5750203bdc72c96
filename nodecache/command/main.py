"""The command line: what the container image runs, and the subcommands for people."""

import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nodecache import __version__
from nodecache.config.flags import FlagError, Flags, HelpWanted, parse_flags
from nodecache.process import cgroup
from nodecache.process import log as logs
from nodecache.process.build import code_form

from .commands import COMMANDS

log = logging.getLogger(__name__)

_STANDARD_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand, or the agent; the exit status: 0, 1 for a failure, 2 for usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in COMMANDS:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # for people: ^C ends it
        _go_before_agent()
        return _command(arguments[0], arguments[1:])
    try:
        flags = parse_flags(arguments)
    except HelpWanted as wanted:
        print(wanted, file=sys.stderr)
        return 0
    except FlagError as error:
        print(f"nodecache: {error}", file=sys.stderr)
        return 2
    if flags.version:
        return _printing(lambda: print(version()))
    if flags.plugins:
        return _printing(_print_directives)
    return run(flags)


def _print_directives() -> None:
    from nodecache.corefile.options import CHAIN  # noqa: PLC0415 - not needed by the agent

    print("Directives:", *(f"dns.{name}" for name in sorted(CHAIN)), sep="\n  ")


def _command(name: str, arguments: Sequence[str]) -> int:
    """Run a subcommand; the exit status."""
    command = importlib.import_module(COMMANDS[name])
    return _printing(lambda: command.main(arguments))


def _printing(task: Callable[[], int | None]) -> int:
    """Do what prints; the exit status, that of SIGPIPE where nobody reads on."""
    try:
        status = task() or 0
        print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 128 + signal.SIGPIPE
    return status


def _go_before_agent() -> None:
    """Have the OOM killer prefer this command to the agent when the container is at its memory limit."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # proc(5): the most


def _open_standard_streams() -> None:
    """Put /dev/null in the place of standard streams that are closed: libuv ends a worker that closes one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def version() -> str:
    """The version, the Python version, and whether the code is compiled."""
    import platform  # noqa: PLC0415 - not needed by the agent

    system = f"{platform.system().lower()}/{platform.machine()}"
    python = f"Python {platform.python_version()}"
    return f"nodecache-{__version__}\n{system}, {python}, {code_form()}"


def run(flags: Flags) -> int:
    """Import the rest of the program, and run an agent."""
    _open_standard_streams()
    logs.configure(flags.log_format)
    log.info("Starting nodecache: %s", __version__)
    if warning := cgroup.too_small(cgroup.memory_limit()):
        log.warning("%s", warning)  # now: with little memory we may not come much further
    from . import starting  # noqa: PLC0415 - most of the program: it takes a while

    return starting.run(flags)
