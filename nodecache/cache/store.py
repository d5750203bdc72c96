"""The cache of one zone.

The key of an answer is name, type, class, DO and CD of its question. CD because an
answer fetched without validation may not be served to those who want it validated (RFC 4035
§3.2.2), DO because its records differ (RFC 4035 §3.2.1). AD is no part of it: the bit is stored
and shown to those who ask (RFC 6840 §5.7). RD is none either: an answer is the same however it
was asked for. A positive answer and a negative one never stand side by side: the newer wins.
"""

from dataclasses import dataclass
from typing import Final

from nodecache.wire import Answer, Flag, Kind

from .entry import MAX_FREQUENCY, Entry
from .segment import Budget, Segment
from .shards import LAST_SHARD, new_shards

_NODATA: Final = Kind.NODATA
_NXDOMAIN: Final = Kind.NXDOMAIN
# AA on every hit, as CoreDNS: old libc resolvers drop answers without it.
_HIT_FLAGS: Final = int(Flag.QR | Flag.AA)


@dataclass(slots=True)
class Counts:
    """Counts of a zone's cache; hits and misses are counted with the replies."""

    prefetches: int = 0
    served_stale: int = 0
    drops: int = 0


class Cache:
    """The answers of one zone, positive and negative apart, each kind with its capacity.

    `stale_seconds` is how long past its TTL an entry is kept (RFC 8767).
    """

    def __init__(
        self, budget: Budget, success_capacity: int, denial_capacity: int, stale_seconds: float = 0
    ) -> None:
        self._shards = new_shards()
        self.success = Segment(success_capacity, budget, self._shards)
        self.denial = Segment(denial_capacity, budget, self._shards)
        self.counts = Counts()
        self.stale_seconds = stale_seconds
        self._is_closed = False

    def __len__(self) -> int:
        return len(self.success) + len(self.denial)

    def get(self, key: bytes, now: float) -> Entry | None:
        """The entry of `key`, fresh or stale (its remaining TTL is 0 or below); None without one."""
        entry = self._shards[hash(key) & LAST_SHARD].get(key)
        if entry is None or now >= entry.stored_at + entry.ttl + self.stale_seconds:
            return None
        if entry.frequency < MAX_FREQUENCY:
            entry.frequency += 1
        return entry

    def find(self, key: bytes) -> Entry | None:
        """The entry of `key`, expired or not, without counting a use; None without one."""
        return self._shards[hash(key) & LAST_SHARD].get(key)

    def put(self, key: bytes, answer: Answer, ttl: int, now: float) -> Entry | None:
        """Cache `answer` for `ttl` seconds from `now`, in place of an older one to the same question.

        None if the cache was closed: answers may still come when a zone is gone.
        """
        if self._is_closed:
            return None
        flags = answer.flags | _HIT_FLAGS
        kind = answer.kind
        segment = self.denial if kind is _NXDOMAIN or kind is _NODATA else self.success
        life_seconds = ttl + self.stale_seconds
        entry = self._shards[hash(key) & LAST_SHARD].get(key)
        if entry is None:
            entry = Entry(key, answer, flags, ttl, now)
            segment.add(entry, life_seconds, now)
        elif entry.owner is segment:
            octets_before = entry.octets
            entry.renew(answer, flags, ttl, now)
            segment.renewed(entry, octets_before, life_seconds, now)
        else:
            self.drop(key)
            entry.renew(answer, flags, ttl, now)
            segment.add(entry, life_seconds, now)
        return entry

    def drop(self, key: bytes) -> None:
        """Remove the entry of `key`, if there is one."""
        entry = self._shards[hash(key) & LAST_SHARD].get(key)
        if entry is not None and entry.owner is not None:
            entry.owner.remove(entry)

    def close(self) -> None:
        """Cache nothing more: the zone is gone. `release` frees what is cached."""
        self._is_closed = True

    def release(self, max_count: int) -> bool:
        """Free up to `max_count` entries of a closed cache; whether any may be left."""
        gone = self.success.release(max_count)
        gone += self.denial.release(max_count - gone)
        return gone == max_count
