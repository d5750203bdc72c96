"""One question on its way upstream, and everybody who waits for its answer."""

import asyncio
from dataclasses import dataclass, field

from nodecache.cache import Entry
from nodecache.wire import Query

from .asker import Asker
from .chain import Ask


@dataclass(slots=True, eq=False)
class Flight:
    """Equal misses joined: the first asks upstream, the rest wait with it.

    `stale` is an expired answer that will do if nothing better comes; `patience` is the timer
    that hands it out. Without waiters the flight is a prefetch, or a refresh behind a stale reply.
    """

    key: bytes
    query: Query
    waiters: list[Asker] = field(default_factory=list)
    stale: Entry | None = None
    ask: Ask | None = None
    patience: asyncio.TimerHandle | None = None
    is_late: bool = False
    """Whether upstream has had the time that clients with a stale answer wait."""

    @property
    def is_for_all(self) -> bool:
        """Whether its answer is one for everybody: it was asked for with RD."""
        return self.key == self.query.key

    def take_waiters(self) -> list[Asker]:
        """Those who wait; they do no longer."""
        waiters, self.waiters = self.waiters, []
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None
        return waiters
