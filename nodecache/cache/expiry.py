"""When entries expire for good, so that they are evicted before any that are still of use.

Entries are in buckets by time, not in an ordered structure that every put would have to keep in
order. A bucket is a second wide for answers of short life, and up to the
256th part of its life for others, which bounds the number of buckets for any TTLs.

A bucket is several sets, none of them large: one that grows is copied whole, 6 ms at the hundred
thousand entries that may come in the seconds of one bucket.
"""

from heapq import heappop, heappush
from math import ceil
from typing import Final

from .entry import Entry

_LIFE_BITS: Final = 9  # lives below two to this have buckets of one second
_MAX_SET_SIZE: Final = 4096  # 0.1 ms to copy


class Expiry:
    """Entries by the time from which they may not be sent any more, fresh or stale."""

    __slots__ = ("_among", "_buckets", "_life_seconds", "_order", "_stored_at", "_width")

    def __init__(self) -> None:
        # Most answers live as long as the one before, so the width is at hand.
        self._life_seconds = 0.0
        self._width = 1
        # So do most answers of a batch, which came at the same time and go into the same set.
        self._stored_at = 0.0
        self._among: set[Entry] = set()
        self._buckets: dict[int, list[set[Entry]]] = {}
        self._order: list[int] = []

    def schedule(self, entry: Entry, life_seconds: float) -> None:
        """Have `entry` expire `life_seconds` after it was stored."""
        if life_seconds != self._life_seconds:
            self._life_seconds = life_seconds
            self._width = 1 << max(0, int(life_seconds).bit_length() - _LIFE_BITS)
        elif entry.stored_at == self._stored_at and 0 < len(self._among) < _MAX_SET_SIZE:
            self._among.add(entry)
            entry.expiry_set = self._among
            return
        self._stored_at = entry.stored_at
        width = self._width
        due = ceil((entry.stored_at + life_seconds) / width) * width
        bucket = self._buckets.get(due)
        if bucket is None:
            entry.expiry_set = self._among = {entry}
            self._buckets[due] = [self._among]
            heappush(self._order, due)
            return
        among = bucket[-1]
        if len(among) >= _MAX_SET_SIZE:
            among = set()
            bucket.append(among)
        among.add(entry)
        entry.expiry_set = self._among = among

    def cancel(self, entry: Entry) -> None:
        """Forget an entry that was removed or is to be scheduled again."""
        among = entry.expiry_set
        if among is not None:
            among.discard(entry)
            entry.expiry_set = None
            if not among:
                among.clear()  # gives back the room it had when it was full

    def is_due(self, now: float) -> bool:
        """Whether any entry has expired."""
        return bool(self._order) and self._order[0] <= now

    def pop_due(self, now: float, max_count: int) -> list[Entry]:
        """Up to `max_count` expired entries, for the caller to remove."""
        dead: list[Entry] = []
        while self._order and self._order[0] <= now and len(dead) < max_count:
            bucket = self._buckets[self._order[0]]
            while bucket and len(dead) < max_count:
                among = bucket[-1]
                while among and len(dead) < max_count:
                    dead.append(among.pop())
                if not among:
                    bucket.pop()
            if not bucket:
                del self._buckets[heappop(self._order)]
        return dead
