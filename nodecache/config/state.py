"""The last configuration that was served, kept over restarts in the `-state` folder.

The folder is the node's (a hostPath), so what is kept outlives the container. A file is replaced as
a whole, and is on the disk before it takes the place of the old one.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nodecache.corefile import KEYS, NO_KUBE_DNS, KubeDns, read_kubedns

_NAME = "last-good.json"


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Put `text` in the place of a file, so that readers see the old or the new. OSError."""
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
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


@dataclass(frozen=True, slots=True)
class StoredCorefile:
    """A configuration that was served: the Corefile's text, and that of what it imports by path."""

    text: str
    imports: Mapping[str, str]
    kube_dns: KubeDns = NO_KUBE_DNS
    """What the ConfigMap kube-dns said, of which the text holds a part."""


class State:
    """The `-state` folder. An empty name is no folder: nothing is kept, and nothing found."""

    def __init__(self, folder: str) -> None:
        self._file = Path(folder, _NAME) if folder else None
        self._kept: StoredCorefile | None = None

    @property
    def file(self) -> str:
        """The file's path, for messages."""
        return str(self._file or "")

    def keep(self, kept: StoredCorefile) -> None:
        """Keep a configuration that is served. OSError where the folder does not let us."""
        if self._file is None or kept == self._kept:
            return
        self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        written = {
            "corefile": kept.text,
            "imports": dict(kept.imports),
            "stubDomains": dict(kept.kube_dns.stub_domains),
            "upstreamNameservers": kept.kube_dns.upstream_nameservers,
        }
        write_atomically(self._file, json.dumps(written, indent=2) + "\n")
        self._kept = kept

    def last_good(self) -> StoredCorefile | None:
        """The configuration kept last; None where there is none that can be read."""
        if self._file is None:
            return None
        try:
            read = json.loads(self._file.read_text(encoding="utf-8"))
            said = {key: json.dumps(read[key]) for key in KEYS if key in read}
            return StoredCorefile(read["corefile"], read["imports"], read_kubedns(said))
        except (OSError, ValueError, LookupError, TypeError):
            return None
