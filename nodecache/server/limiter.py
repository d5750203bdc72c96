"""Limits how many queries wait for upstreams: in all, for each block, and for each client of a block.

Without a limit a dead upstream would use up the node's memory. A client or block with few places gets one before
those with many, so that neither a client that floods, nor a block whose upstreams say nothing,
takes them all; while nobody else wants them, a block may have most.
"""

from collections.abc import Callable
from typing import Final

DEFAULT_MAX: Final = 8192  # at about 3 KiB each, 24 MiB
# A block may have so many times the places that are free, and a client of it as many as the block may have
# more: "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches" (Choudhury and Hahne, 1998). So one
# block alone has four fifths of all places at the most, and who comes next finds one.
_FACTOR: Final = 4
# The part of all places that one client may have in a block while nobody else wants them, for hits wait while all
# that it asked for is asked again or given up: with two thirds their p99.9 was 25 to 47 ms, with half it is that of
# a quarter (5.7 and 5.3 ms; `python -m bench stall`).
_CLIENT_SHARE: Final = 2
# The part that new questions of a block may have while all its upstreams are down: 6,144 are what a busy node asks
# in the time that one which hangs needs to come to itself. Where it is gone they wait in vain.
_SHARE_WHILE_DOWN: Final = 3 / 4


class InflightLimiter:
    """Places for queries that wait, of the whole process.

    `refused` counts queries without a place, `coalesced` those that joined an equal one in flight. A client may have
    `max_per_client` in each block, whatever is free; half unless that is given. `max_while_down`: new questions
    that may wait in a block whose upstreams are down; up to `many_while_down`, no client has too many of them.
    """

    def __init__(self, max_queries: int | None = None, max_per_client: int | None = None) -> None:
        self.resize(max_queries, max_per_client)
        self.refused = 0
        self.coalesced = 0
        self.waiting = 0
        self._when_empty: Callable[[], object] | None = None

    def resize(self, max_queries: int | None, max_per_client: int | None) -> None:
        """Set other limits; None is the default. Queries that wait already stay."""
        self.max_queries = max_queries or DEFAULT_MAX
        self.max_per_client = max_per_client or max(1, self.max_queries // _CLIENT_SHARE)
        self.max_while_down = max(1, int(self.max_queries * _SHARE_WHILE_DOWN))
        self.many_while_down = self.max_while_down // 2

    def __len__(self) -> int:
        return self.waiting

    def when_empty(self, callback: Callable[[], object]) -> None:
        """Call back once nobody waits any more: now, or when the last one leaves."""
        if self.waiting:
            self._when_empty = callback
        else:
            callback()

    def leave(self) -> None:
        """One query does not wait any more."""
        self.waiting -= 1
        if not self.waiting and self._when_empty is not None:
            self._when_empty()


class BlockPlaces:
    """The places of one server block."""

    def __init__(self, limiter: InflightLimiter) -> None:
        self._limiter = limiter
        self._waiting = 0
        self._by_client: dict[str, int] = {}

    def admit(self, host: str) -> bool:
        """Take a place for the client at `host`; False where there is none, which is counted."""
        limiter = self._limiter
        room = _FACTOR * (limiter.max_queries - limiter.waiting) - self._waiting
        mine = self._by_client.get(host, 0)
        if mine >= room or mine >= limiter.max_per_client:
            limiter.refused += 1
            return False
        limiter.waiting += 1
        self._waiting += 1
        self._by_client[host] = mine + 1
        return True

    def has_room_while_down(self, host: str, in_flight: int) -> bool:
        """Whether a client may ask one more question while upstreams are down, beside those in flight."""
        room = _FACTOR * (self._limiter.max_while_down - in_flight)
        return self._by_client.get(host, 0) < room

    def release(self, host: str) -> None:
        """Give a place back."""
        self._waiting -= 1
        if (mine := self._by_client[host] - 1) > 0:
            self._by_client[host] = mine
        else:
            del self._by_client[host]
        self._limiter.leave()
