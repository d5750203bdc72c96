"""Notices when files or folders of files change.

inotify tells at once; a look at the contents every few seconds makes sure where inotify cannot
(network file systems, no instances left). Kubelet changes a mounted ConfigMap by switching the link
`..data`: one event, after which all of the new is there. A file that is written in place is looked
at when its writer closes it, or half of it might be taken for the whole.

No thread and no event loop: `fileno()` is for the keeper's selector and `due_at` for its time-out.
What else happens in a watched folder costs next to nothing, and no change is looked at sooner than a
moment after the one before.
"""

import glob
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from inotify_simple import INotify
from inotify_simple import flags as event

log = logging.getLogger(__name__)

POLL_SECONDS = 10.0  # node-cache looks at its folders as often
POLL_SECONDS_WITHOUT_INOTIFY = 1.0
LONGEST_WRITE_SECONDS = 0.5  # then what is there is looked at, whether closed or not
PAUSE_SECONDS = 0.2  # between two looks, for those who write all the time

_BEGUN = event.MODIFY | event.CREATE
_DONE = event.CLOSE_WRITE | event.MOVED_FROM | event.MOVED_TO | event.DELETE | event.ATTRIB
_GONE = event.DELETE_SELF | event.MOVE_SELF
_MASK = _BEGUN | _DONE | _GONE
_MAX_LINKS = 40  # as many as the kernel follows


class Watcher:
    """Watches files, folders and glob patterns of files, which need not exist yet.

    `now` is monotonic seconds.
    """

    def __init__(
        self,
        paths: Iterable[str],
        now: float,
        open_inotify: Callable[[], INotify] = lambda: INotify(nonblocking=True),
    ) -> None:
        self._inotify = _open(open_inotify)
        self._silent = os.eventfd(0, os.EFD_CLOEXEC) if self._inotify is None else None
        self.due_at = 0.0
        """When to call `changed` even if the descriptor stays silent."""
        self._looked_at = 0.0
        self._poll_seconds = POLL_SECONDS
        self.paths: tuple[str, ...] = ()
        self._names: dict[int, set[str]] = {}
        """The names that matter, by watch descriptor; "" stands for every one."""
        self._digest = b""
        self.watch(paths, now)

    def watch(self, paths: Iterable[str], now: float) -> None:
        """Watch these paths from now on; as they are now is how they are known."""
        self.paths = tuple(paths)
        self._look(now)

    def look_every(self, seconds: float) -> None:
        """Look at the contents this often even where nothing is told, if that is more often."""
        self._poll_seconds = min(POLL_SECONDS, seconds)
        self.due_at = min(self.due_at, self._looked_at + self._poll_seconds)

    def fileno(self) -> int:
        """The descriptor that becomes readable when something happens."""
        return self._inotify.fileno() if self._inotify is not None else self._silent or 0

    def changed(self, now: float) -> bool:
        """Whether the contents differ from when last looked at. Call when readable, and when due."""
        happened = self._happened()
        if happened & ~_BEGUN:
            self.due_at = min(self.due_at, max(now, self._looked_at + PAUSE_SECONDS))
        elif happened:
            self.due_at = min(self.due_at, now + LONGEST_WRITE_SECONDS)
        if now < self.due_at:
            return False
        before = self._digest
        self._look(now)
        return self._digest != before

    def close(self) -> None:
        """Close the descriptors; also in a forked child."""
        if self._inotify is not None:
            self._inotify.close()
        elif self._silent is not None:
            os.close(self._silent)
            self._silent = None

    def _happened(self) -> int:
        """The kinds of all events that matter since the last time."""
        happened = 0
        for each in self._inotify.read(timeout=0) if self._inotify is not None else ():
            names = self._names.get(each.wd, ())
            if each.name in names or "" in names or each.mask & _GONE:
                happened |= each.mask
        return happened

    def _look(self, now: float) -> None:
        """First watch, then read: what changes in between is told."""
        is_watched = self._add_watches()
        self._looked_at = now
        self.due_at = now + (self._poll_seconds if is_watched else POLL_SECONDS_WITHOUT_INOTIFY)
        self._digest = digest(self.paths)

    def _add_watches(self) -> bool:
        """Watch the folders in which a change of the paths would show; whether each could be."""
        self._names = {}
        if self._inotify is None:
            return False
        is_complete = True
        for folder, name in dict.fromkeys(each for path in self.paths for each in _places(path)):
            try:
                descriptor = self._inotify.add_watch(folder, _MASK)
            except OSError:  # not there (yet), not ours to read, no watches left
                is_complete = False
            else:
                self._names.setdefault(descriptor, set()).add(name)
        return is_complete


def _open(open_inotify: Callable[[], INotify]) -> INotify | None:
    try:
        return open_inotify()
    except OSError as error:
        log.warning("no inotify (%s): files are looked at once a second", error.strerror)
        return None


def _places(path: str) -> Iterator[tuple[Path, str]]:
    """The folders and the names in them through which a path leads to contents, over links too.

    The name "" is every one of a folder's.
    """
    place = Path(path)
    if glob.has_magic(path):
        yield place.parent, ""
        return
    for _ in range(_MAX_LINKS):
        if os.path.isdir(place):  # noqa: PTH112 - Path's raises where a name is too long, or not ours
            yield place, ""
        yield place.parent, place.name
        yield from ((above.parent, above.name) for above in place.parents if _target(above))
        target = _target(place)
        if target is None:
            return
        place = place.parent / target


def _target(place: Path) -> Path | None:
    """What a link leads to; None where there is no link that can be read."""
    try:
        return place.readlink()
    except OSError:
        return None


def digest(paths: Iterable[str]) -> bytes:
    """A hash of names and contents; hidden files and folders within folders do not count."""
    hashed = hashlib.sha256()
    for path in paths:
        for file in _files(path):
            hashed.update(b"%s\0%s\0" % (os.fsencode(file), _content(file)))
    return hashed.digest()


def _files(path: str) -> list[Path]:
    if glob.has_magic(path):
        return sorted(map(Path, glob.glob(path)))  # noqa: PTH207 - the pattern may be absolute
    place = Path(path)
    try:
        if not place.is_dir():
            return [place]
        return sorted(
            file for file in place.iterdir() if not file.name.startswith(".") and file.is_file()
        )
    except OSError:
        return [place]


def _content(file: Path) -> bytes:
    """What is in a file, or why nobody can tell."""
    try:
        return file.read_bytes()
    except OSError as error:
        return f"errno {error.errno}".encode()
