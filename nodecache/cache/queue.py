"""A first-in, first-out queue of entries, linked through them, so that each is removed in one step."""

from collections.abc import Iterator

from .entry import Entry


class Queue:
    """First in, first out; `size` entries."""

    __slots__ = ("_first", "_last", "size")

    def __init__(self) -> None:
        self._first: Entry | None = None
        self._last: Entry | None = None
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Entry]:
        entry = self._first
        while entry is not None:
            yield entry
            entry = entry.after

    def push(self, entry: Entry) -> None:
        """Append an entry that is in no queue."""
        last = self._last
        entry.before = last
        if last is None:
            self._first = entry
        else:
            last.after = entry
        self._last = entry
        self.size += 1

    def pop(self) -> Entry:
        """Remove the first entry of a queue that has one."""
        entry = self._first
        assert entry is not None
        self._first = after = entry.after
        if after is None:
            self._last = None
        else:
            after.before = None
        entry.after = None
        self.size -= 1
        return entry

    def remove(self, entry: Entry) -> None:
        """Remove an entry of this queue."""
        before, after = entry.before, entry.after
        if before is None:
            self._first = after
        else:
            before.after = after
        if after is None:
            self._last = before
        else:
            after.before = before
        entry.before = entry.after = None
        self.size -= 1
