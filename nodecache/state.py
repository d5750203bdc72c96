"""The last configuration that was served, kept over restarts in the `-state` folder.

The folder is the node's (a hostPath), so what is kept outlives the container. A file is replaced as
a whole, and is on the disk before it takes the place of the old one.
"""

import contextlib
import os
import tempfile
from pathlib import Path

_NAME = "Corefile.good"


def write_atomically(path: str | os.PathLike[str], text: str, mode: int = 0o644) -> None:
    """Put `text` in the place of a file, so that readers see the old or the new. OSError."""
    place = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    """Make a replaced name last; some file systems cannot and need not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class State:
    """The `-state` folder. An empty name is no folder: nothing is kept, and nothing found."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder, _NAME) if folder else None
        self._kept: str | None = None

    @property
    def file(self) -> str:
        """The file's path, for messages."""
        return str(self._file or "")

    def keep(self, text: str) -> None:
        """Keep a Corefile's text that is served. OSError where the folder does not let us."""
        if self._file is None or text == self._kept:
            return
        self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomically(self._file, text)
        self._kept = text

    def last_good(self) -> str | None:
        """The text kept last; None where there is none that can be read."""
        if self._file is None:
            return None
        try:
            return self._file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
