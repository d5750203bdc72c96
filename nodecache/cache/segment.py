"""A bounded set of entries that keeps what is asked for: S3-FIFO.

Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023): new entries wait in a
small queue; those asked for again move to the main one, the rest leave soon, remembered by hash
for a while. One scan of names asked once (a search path, a crawler) cannot push out the names
that pods use all the time, and a hit moves nothing. Expired entries are evicted before any others.
"""

from typing import Final

from .entry import Entry
from .expiry import Expiry
from .queue import Queue
from .shards import LAST_SHARD, Ghosts, Shards

_SMALL_SHARE: Final = 10  # the small queue holds a tenth, as in the paper
_WORTH_KEEPING: Final = 2  # hits in the small queue, as in the paper
_MAX_SPARED: Final = 500  # entries passed over by one eviction: 0.2 ms where all are asked for
_MAX_DEAD_PER_PUT: Final = 16  # more than come in, so that a full segment is soon rid of its dead
_MAX_DEAD_PER_SWEEP: Final = 500  # so that a second in which thousands die delays no query: 0.4 ms
# What one put evicts at most: where a limit was lowered, the others go with the next ones. More than the heaviest
# answer weighs, so that the limit is reached whatever comes; 0.4 ms with an empty main queue.
_MAX_EVICTED_PER_PUT: Final = 500
GHOST_OCTETS: Final = 80  # a remembered hash: an int, its places in a set and in a deque


class Budget:
    """Octets of all segments together: `used` of `limit`; 0 is no limit."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.used = 0
        self.segments: list[Segment] = []

    def enforce(self, now: float) -> None:
        """Evict until the limit holds, a bounded number: expired entries, then those of the largest segment."""
        if self.limit and self.used > self.limit:
            self.sweep(now, _MAX_DEAD_PER_PUT)
            for _ in range(_MAX_EVICTED_PER_PUT):
                if self.used <= self.limit:
                    return
                filled = [segment for segment in self.segments if len(segment)]
                if not filled:
                    return
                max(filled, key=lambda segment: segment.octets).evict()

    def sweep(self, now: float, max_count: int = _MAX_DEAD_PER_SWEEP) -> int:
        """Evict up to `max_count` expired entries; returns how many."""
        left = max_count
        for segment in self.segments:
            if left <= 0:
                break
            left -= segment.sweep(now, left)
        return max_count - left


class Segment:
    """Entries of one sort (positive or negative) of one zone, at most `capacity` of them.

    `octets` is what they weigh. `evictions` counts entries dropped for room. `shards` find them by
    key; the zone's other segment has its own in them too.
    """

    __slots__ = (
        "_budget",
        "_expiry",
        "_ghosts",
        "_main",
        "_shards",
        "_small",
        "capacity",
        "evictions",
        "octets",
    )

    def __init__(self, capacity: int, budget: Budget, shards: Shards) -> None:
        self.capacity = capacity
        self.octets = 0
        self.evictions = 0
        self._budget = budget
        self._shards = shards
        self._expiry = Expiry()
        self._small = Queue()
        self._main = Queue()
        self._ghosts = Ghosts()
        budget.segments.append(self)

    def __len__(self) -> int:
        return self._small.size + self._main.size

    def entries(self) -> list[Entry]:
        """All entries, the oldest of each queue first."""
        return [*self._small, *self._main]

    def add(self, entry: Entry, life_seconds: float, now: float) -> None:
        """Add a new entry, which expires after `life_seconds`, and evict others to hold the bounds."""
        entry.owner = self
        key = entry.key
        mark = hash(key)
        self._shards[mark & LAST_SHARD][key] = entry
        small, main, ghosts = self._small, self._main, self._ghosts
        entry.is_in_main = is_wanted_again = bool(ghosts.order) and mark in ghosts
        (main if is_wanted_again else small).push(entry)
        octets, budget = entry.octets, self._budget
        self.octets += octets
        budget.used += octets
        self._expiry.schedule(entry, life_seconds)
        if small.size + main.size > self.capacity:
            self._make_room(now)
        if budget.limit and budget.used > budget.limit:
            budget.enforce(now)

    def _make_room(self, now: float) -> None:
        """Evict to hold the capacity, a bounded number: expired entries first."""
        if self._expiry.is_due(now):
            self.sweep(now, _MAX_DEAD_PER_PUT)
        small, main, capacity = self._small, self._main, self.capacity
        for _ in range(_MAX_EVICTED_PER_PUT):
            if small.size + main.size <= capacity or not self.evict():
                return

    def renewed(self, entry: Entry, octets_before: int, life_seconds: float, now: float) -> None:
        """Account for an entry of this segment that has another answer now; it keeps its place."""
        self._weigh(entry.octets - octets_before)
        self._expiry.cancel(entry)
        self._expiry.schedule(entry, life_seconds)
        self._budget.enforce(now)

    def remove(self, entry: Entry) -> None:
        """Remove an entry of this segment."""
        self._queue_of(entry).remove(entry)
        self._release(entry)
        entry.release()

    def sweep(self, now: float, max_count: int) -> int:
        """Evict up to `max_count` expired entries; returns how many."""
        dead = self._expiry.pop_due(now, max_count)
        for entry in dead:
            self.remove(entry)
        return len(dead)

    def release(self, max_count: int) -> int:
        """Remove up to `max_count` entries and hashes of evicted ones from a closed segment; returns how many.

        In steps, as half a million entries take more than a second. An empty segment leaves the budget.
        """
        small, main, ghosts = self._small, self._main, self._ghosts
        gone = 0
        while gone < max_count and (small.size or main.size):
            self._release(small.pop() if small.size else main.pop())
            gone += 1
        while gone < max_count and len(ghosts):
            self._forget_oldest_ghost()
            gone += 1
        if gone < max_count and self in self._budget.segments:
            self._budget.segments.remove(self)
        return gone

    def evict(self) -> bool:
        """Evict one entry as S3-FIFO chooses it; whether there was one."""
        small, main = self._small, self._main
        spared = 0
        while small.size or main.size:
            if not main.size or small.size * _SMALL_SHARE > small.size + main.size:
                entry = small.pop()
                if entry.frequency >= _WORTH_KEEPING and spared < _MAX_SPARED:
                    spared += 1
                    entry.frequency = 0
                    entry.is_in_main = True
                    main.push(entry)
                    continue
                if main.size:
                    self._remember(hash(entry.key))
            else:
                entry = main.pop()
                if entry.frequency and spared < _MAX_SPARED:
                    spared += 1
                    entry.frequency -= 1
                    main.push(entry)
                    continue
            self._release(entry)
            entry.release()
            self.evictions += 1
            return True
        return False

    def _queue_of(self, entry: Entry) -> Queue:
        return self._main if entry.is_in_main else self._small

    def _release(self, entry: Entry) -> None:
        key = entry.key
        del self._shards[hash(key) & LAST_SHARD][key]
        entry.owner = None
        self.octets -= entry.octets
        self._budget.used -= entry.octets
        self._expiry.cancel(entry)

    def _weigh(self, octets: int) -> None:
        self.octets += octets
        self._budget.used += octets

    def _remember(self, mark: int) -> None:
        """Remember the hash of an entry that was evicted from the small queue."""
        ghosts = self._ghosts
        if ghosts.add(mark):
            self._weigh(GHOST_OCTETS)
        while len(ghosts) > self._main.size:
            self._forget_oldest_ghost()

    def _forget_oldest_ghost(self) -> None:
        self._ghosts.forget_oldest()
        self._weigh(-GHOST_OCTETS)
