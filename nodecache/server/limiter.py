"""Limits how many queries wait for upstreams: in all, and for each client.

Without a limit a dead upstream would use up the node's memory, and one pod's flood would take all
places from the others (the default share of one client is a quarter).
"""

from collections.abc import Callable
from typing import Final

DEFAULT_MAX: Final = 8192  # at about 2 KiB each, 16 MiB
DEFAULT_SHARE: Final = 4


class InflightLimiter:
    """Places for queries that wait.

    `refused` counts queries without a place, `coalesced` those that joined an equal one in flight.
    """

    def __init__(self, max_queries: int | None = None, max_per_client: int | None = None) -> None:
        self.resize(max_queries, max_per_client)
        self.refused = 0
        self.coalesced = 0
        self._when_empty: Callable[[], object] | None = None
        self._waiting = 0
        self._by_client: dict[str, int] = {}

    def resize(self, max_queries: int | None, max_per_client: int | None) -> None:
        """Set other limits; None is the default. Queries that wait already stay."""
        self.max_queries = max_queries or DEFAULT_MAX
        self.max_per_client = max_per_client or max(1, self.max_queries // DEFAULT_SHARE)

    def __len__(self) -> int:
        return self._waiting

    def admit(self, host: str) -> bool:
        """Take a place for the client at `host`; False where there is none.

        The caller counts a query that is refused for that in `refused`.
        """
        mine = self._by_client.get(host, 0)
        if self._waiting >= self.max_queries or mine >= self.max_per_client:
            return False
        self._waiting += 1
        self._by_client[host] = mine + 1
        return True

    def when_empty(self, callback: Callable[[], object]) -> None:
        """Call back once nobody waits any more: now, or when the last one leaves."""
        if self._waiting:
            self._when_empty = callback
        else:
            callback()

    def release(self, host: str) -> None:
        """Give a place back."""
        self._waiting -= 1
        if not self._waiting and self._when_empty is not None:
            self._when_empty()
        if (mine := self._by_client[host] - 1) > 0:
            self._by_client[host] = mine
        else:
            del self._by_client[host]
