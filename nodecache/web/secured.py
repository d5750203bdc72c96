"""How a page is served: over TLS or not, with which headers, to whom.

Separate from `webconfig`, which reads it from a file and is imported only where there is one.
"""

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How a page is served. Without a context it is plain HTTP."""

    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Put on every response."""
    allowed_names: frozenset[str] | None = None
    """Subject alternative names, one of which a client's certificate must have; None: any."""
    files: tuple[str, ...] = ()
    """What it was made of."""
    stamp: tuple[object, ...] = ()
    """Says when those were written: see `stamp_of`."""

    def has_changed(self) -> bool:
        """Whether the files changed since they were read."""
        return bool(self.files) and stamp_of(self.files) != self.stamp


PLAIN = WebConfig()


def stamp_of(files: Iterable[str]) -> tuple[object, ...]:
    """A value for each file that changes when it is written or replaced."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: str) -> object:
    try:
        found = Path(file).stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def names_of(certificate: Mapping[str, Any] | None) -> set[str]:
    """The subject alternative names of a verified certificate, of every kind."""
    return {name for _, name in (certificate or {}).get("subjectAltName", ())}
