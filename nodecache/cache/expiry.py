"""When entries are past all use, so that they go before anything of worth does.

Noted coarsely, in buckets of some seconds: an entry is looked for in one set, not in an ordered
structure that every put would have to keep in order.
"""

from .entry import Entry

_BUCKET_SECONDS = 16
_MOST_AT_ONCE = 500  # so that a second in which thousands die delays no query: about 0.3 ms


class Expiry:
    """Entries by the time from which nobody may have them."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Entry]] = {}

    def note(self, entry: Entry, dies_at: float) -> None:
        """Remember that `entry` is of no use from `dies_at` (monotonic seconds) on."""
        entry.bucket = int(dies_at) // _BUCKET_SECONDS + 1
        self._buckets.setdefault(entry.bucket, set()).add(entry)

    def forget(self, entry: Entry) -> None:
        """The entry is gone, or will be noted anew."""
        if (bucket := self._buckets.get(entry.bucket)) is not None:
            bucket.discard(entry)

    def take_due(self, now: float) -> list[Entry]:
        """Some entries that are past all use, for the caller to remove; empty when none is left."""
        dead: list[Entry] = []
        current = int(now) // _BUCKET_SECONDS
        for number in sorted(number for number in self._buckets if number <= current):
            bucket = self._buckets[number]
            while bucket and len(dead) < _MOST_AT_ONCE:
                dead.append(bucket.pop())
            if bucket:
                break
            del self._buckets[number]
        return dead
