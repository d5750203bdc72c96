"""The file that tells others our process id (`-pidfile`, as in CoreDNS)."""

import contextlib
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def write_pidfile(name: str) -> None:
    """Write our id; nothing where no file was asked for. One that cannot be written is told."""
    if not name:
        return
    try:
        Path(name).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        log.error("-pidfile: %s", error)


def remove_pidfile(name: str) -> None:
    """Remove it, unless a successor has written its own id there."""
    with contextlib.suppress(OSError):
        if name and Path(name).read_text(encoding="ascii") == f"{os.getpid()}\n":
            Path(name).unlink()
