"""Tables of 32 shards each, so that none is large enough to be slow to grow.

A dict or set that outgrows its room is copied whole before the next look-up returns: 40 ms at half
a million entries, in which no hit is answered. In 32 shards it is a millisecond, at odd times.
"""

from collections import deque
from typing import Final

from .entry import Entry

_SHARDS: Final = 32
LAST_SHARD: Final = _SHARDS - 1
"""To cut a hash down to a shard's number."""

Shards = list[dict[bytes, Entry]]
"""Entries by key; an entry is in the shard that its key's hash says."""


def new_shards() -> Shards:
    """A table without entries."""
    return [{} for _ in range(_SHARDS)]


class Ghosts:
    """Hashes of keys that were evicted lately (S3-FIFO's ghost queue), the oldest forgotten first."""

    __slots__ = ("_shards", "order")

    def __init__(self) -> None:
        self._shards: list[set[int]] = [set() for _ in range(_SHARDS)]
        self.order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self.order)

    def __contains__(self, mark: int) -> bool:
        return mark in self._shards[mark & LAST_SHARD]

    def add(self, mark: int) -> bool:
        """Remember a hash; whether it is new."""
        shard = self._shards[mark & LAST_SHARD]
        if mark in shard:
            return False
        shard.add(mark)
        self.order.append(mark)
        return True

    def forget_oldest(self) -> None:
        """Forget the oldest hash."""
        mark = self.order.popleft()
        self._shards[mark & LAST_SHARD].discard(mark)
