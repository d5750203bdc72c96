"""One question on its way upstream, and everybody who waits for its answer."""

import asyncio

from nodecache.cache import Entry
from nodecache.wire import Query

from .asker import Asker
from .chain import Ask


class Flight:
    """Equal misses joined: the first asks upstream, the rest wait with it.

    `stale` is an expired answer that will do if nothing better comes; `patience` is the timer
    that hands it out. Without waiters the flight is a prefetch, or a refresh behind a stale reply.
    `is_for_all` tells whether the answer is one for everybody: it was asked for with RD. `is_late`
    tells whether upstream has had the time that clients with a stale answer wait.
    """

    __slots__ = (
        "ask",
        "is_for_all",
        "is_late",
        "key",
        "patience",
        "query",
        "stale",
        "waiters",
    )

    def __init__(
        self,
        key: bytes,
        query: Query,
        waiters: list[Asker],
        stale: Entry | None,
    ) -> None:
        self.key = key
        self.query = query
        self.waiters = waiters
        self.stale = stale
        self.ask: Ask | None = None
        self.patience: asyncio.TimerHandle | None = None
        self.is_for_all = key == query.key
        self.is_late = False

    def as_flight(self) -> "Flight":
        """This; a miss on its plain way has to become one first."""
        return self

    def sent(self, ask: Ask | None) -> None:
        """It is on its way, if nothing came of it yet."""
        self.ask = ask
        if ask is not None and not self.waiters:
            ask.mark_awaited(is_awaited=False)

    def join(self, asker: Asker) -> None:
        """One more waits, perhaps the first."""
        if not self.waiters and self.ask is not None:
            self.ask.mark_awaited(is_awaited=True)
        self.waiters.append(asker)

    def take_waiters(self) -> list[Asker]:
        """Those who wait; they do no longer."""
        waiters, self.waiters = self.waiters, []
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None
        return waiters
