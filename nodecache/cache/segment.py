"""A bounded queue of entries that keeps what is asked for: S3-FIFO.

Yang et al., "FIFO queues are all you need for cache eviction" (SOSP 2023): new entries wait in a
small queue; those asked for again move to the main one, the rest leave soon, remembered by hash
for a while. One scan of names asked once (a search path, a crawler) cannot push out the names
that pods live on, and a hit moves nothing.
"""

from collections import OrderedDict, deque

from .entry import MOST_ASKED, Entry
from .expiry import Expiry

_SMALL_SHARE = 10  # the small queue holds a tenth, as in the paper
GHOST_OCTETS = 80  # a remembered hash: an int, its places in a set and in a deque


class Budget:
    """Octets for all segments together: `used` of `limit`, where 0 stands for no limit."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.used = 0
        self.segments: list[Segment] = []
        self.expiry = Expiry()

    def hold(self) -> None:
        """Evict from the heaviest segment until the limit holds."""
        while self.limit and self.used > self.limit:
            heaviest = max(self.segments, key=lambda segment: segment.octets)
            if not heaviest.evict():
                return

    def sweep(self, now: float) -> int:
        """Drop a bounded number of entries that are past all use; how many."""
        dead = self.expiry.take_due(now)
        for entry in dead:
            if (segment := entry.segment) is not None:
                segment.remove(entry)
        return len(dead)


class Segment:
    """Entries of one sort (positive or negative) of one zone, at most `capacity` of them.

    `octets` is what they weigh. `evictions` counts entries dropped for room.
    """

    __slots__ = (
        "_budget",
        "_ghost_order",
        "_ghosts",
        "_main",
        "_small",
        "capacity",
        "evictions",
        "octets",
    )

    def __init__(self, capacity: int, budget: Budget) -> None:
        self.capacity = capacity
        self.octets = 0
        self.evictions = 0
        self._budget = budget
        budget.segments.append(self)
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._ghosts: set[int] = set()
        self._ghost_order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def get(self, key: bytes) -> Entry | None:
        """The entry under `key`, fresh or not."""
        return self._main.get(key) or self._small.get(key)

    def entries(self) -> list[Entry]:
        """All entries, oldest first in each queue."""
        return [*self._small.values(), *self._main.values()]

    def add(self, entry: Entry, dies_at: float) -> None:
        """Take in an entry whose key is not here yet, of use until `dies_at`, and make room."""
        entry.segment = self
        self._weigh(entry.octets)
        if hash(entry.key) in self._ghosts:
            self._main[entry.key] = entry
        else:
            self._small[entry.key] = entry
        self._budget.expiry.note(entry, dies_at)
        while len(self) > self.capacity and self.evict():
            pass
        self._budget.hold()

    def remove(self, entry: Entry) -> None:
        """Let go of an entry that is here."""
        queue = self._small if entry.key in self._small else self._main
        del queue[entry.key]
        self._let_go(entry)

    def clear(self) -> None:
        """Let go of everything, the memory of what was evicted included."""
        for entry in self.entries():
            self.remove(entry)
        self._weigh(-GHOST_OCTETS * len(self._ghosts))
        self._ghosts.clear()
        self._ghost_order.clear()
        self._budget.segments.remove(self)

    def evict(self) -> bool:
        """Drop the entry least worth keeping; whether there was one."""
        while self._small or self._main:
            if not self._main or len(self._small) * _SMALL_SHARE > len(self):
                entry = self._small.popitem(last=False)[1]
                if entry.asked > 1:
                    entry.asked = 0
                    self._main[entry.key] = entry
                    continue
                self._remember(entry.key)
            else:
                entry = self._main.popitem(last=False)[1]
                if entry.asked:
                    entry.asked -= 1
                    self._main[entry.key] = entry
                    continue
            self._let_go(entry)
            self.evictions += 1
            return True
        return False

    def _let_go(self, entry: Entry) -> None:
        entry.segment = None
        self._weigh(-entry.octets)
        self._budget.expiry.forget(entry)

    def _weigh(self, octets: int) -> None:
        self.octets += octets
        self._budget.used += octets

    def _remember(self, key: bytes) -> None:
        mark = hash(key)
        if mark not in self._ghosts:
            self._ghosts.add(mark)
            self._ghost_order.append(mark)
            self._weigh(GHOST_OCTETS)
        while len(self._ghost_order) > max(len(self._main), 1):
            self._ghosts.discard(self._ghost_order.popleft())
            self._weigh(-GHOST_OCTETS)


def note_asked(entry: Entry) -> None:
    """Grade an entry up: somebody wanted it again."""
    if entry.asked < MOST_ASKED:
        entry.asked += 1
