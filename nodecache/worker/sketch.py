"""The most frequent keys in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi 2005)."""

from collections.abc import Iterator
from heapq import heappush, heapreplace


class Sketch:
    """Counts of the `capacity` keys that came most often, as far as can be told.

    A count is never too low, and too high by `over` at the most: true ≤ count ≤ true + over. A key that came more often than one in `capacity` times is there.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self._over: dict[str, int] = {}
        # Each key once, under a count that it had: the least is looked for when one has to go.
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: str, times: int) -> None:
        """Count `key`; without room it replaces the key with the lowest count, and gets its count."""
        counts = self._counts
        if key in counts:
            counts[key] += times
            return
        if len(counts) < self._capacity:
            counts[key] = times
            heappush(self._heap, (times, key))
            return
        minimum = self._settle_minimum()
        before = counts.pop(minimum)
        self._over.pop(minimum, None)
        counts[key] = before + times
        self._over[key] = before
        heapreplace(self._heap, (before + times, key))

    def _settle_minimum(self) -> str:
        """The key with the least count, at the top of the heap."""
        while True:
            noted, key = self._heap[0]
            count = self._counts[key]
            if count == noted:
                return key
            heapreplace(self._heap, (count, key))

    def count(self, key: str) -> int:
        """How often `key` came, at the most; 0 where it is not among the first."""
        return self._counts.get(key, 0)

    def over(self, key: str) -> int:
        """By how much its count may be too high."""
        return self._over.get(key, 0)

    def first(self, max_count: int) -> Iterator[str]:
        """The keys that came most often, the first first."""
        yield from sorted(self._counts, key=self._counts.__getitem__, reverse=True)[:max_count]
