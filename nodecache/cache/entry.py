"""One answer in the cache."""

from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from nodecache.wire import Answer, Kind

# What an entry weighs beside its octets: the object itself, the heads of its byte strings, its
# places in the table and in an expiry bucket; and what a TTL's offset weighs, a number in a tuple.
# tests/cache/test_entry.py measures both.
ENTRY_OVERHEAD_OCTETS: Final = 560
OFFSET_OCTETS: Final = 40
ERROR_OCTETS: Final = 160

# Members of an enum cost a look-up each time.
_NODATA: Final = Kind.NODATA
_NXDOMAIN: Final = Kind.NXDOMAIN

MAX_FREQUENCY: Final = 3  # S3-FIFO needs to tell four grades apart, no more


class Owner(Protocol):
    """The segment that an entry is in."""

    def remove(self, entry: "Entry") -> None:
        """Remove an entry of this segment."""


@mypyc_attr(acyclic=True)  # what leaves the cache holds none of the others any more: `release`
class Entry:
    """One answer, kept since `stored_at` (monotonic seconds) for `ttl` whole seconds.

    `wire` holds the message as upstream wrote it, TTLs included; `flags` is the header's second
    word for replies out of the cache. `frequency` counts uses for eviction, up to a small bound;
    `hits` counts for prefetch, the last at `counted_at`. `refresh_at` is when a refresh that
    failed `failures` times in a row may be tried again. `octets` is what it weighs. `owner` is
    who keeps it, None once it is gone. The rest is the owner's affair: `is_in_main`, `before` and
    `after` are its place there, `expiry_set` those that are of no use as soon as it is.
    """

    __slots__ = (
        "after",
        "before",
        "counted_at",
        "ede",
        "expiry_set",
        "failures",
        "flags",
        "frequency",
        "hits",
        "is_compressed",
        "is_in_main",
        "is_refreshing",
        "key",
        "kind",
        "octets",
        "owner",
        "rcode",
        "refresh_at",
        "stored_at",
        "ttl",
        "ttl_offsets",
        "wire",
    )

    def __init__(self, key: bytes, answer: Answer, flags: int, ttl: int, now: float) -> None:
        self.key = key
        self.renew(answer, flags, ttl, now)
        self.frequency = 0
        self.hits = 0
        self.counted_at = 0.0
        self.is_in_main = False
        self.before: Entry | None = None
        self.after: Entry | None = None
        self.owner: Owner | None = None
        self.expiry_set: set[Entry] | None = None

    def renew(self, answer: Answer, flags: int, ttl: int, now: float) -> None:
        """Replace the answer by a newer one to the same question; the counts of uses stay."""
        self.wire = wire = answer.wire
        self.ttl_offsets = ttl_offsets = answer.ttl_offsets
        self.flags = flags
        self.ttl = ttl
        self.stored_at = now
        self.kind = answer.kind
        self.rcode = answer.rcode
        self.ede = ede = answer.ede
        self.is_compressed = answer.is_compressed
        self.is_refreshing = False
        self.refresh_at = 0.0
        self.failures = 0
        self.octets = (
            ENTRY_OVERHEAD_OCTETS + len(self.key) + len(wire) + OFFSET_OCTETS * len(ttl_offsets)
        )
        for _, text in ede:
            self.octets += ERROR_OCTETS + len(text)

    def release(self) -> None:
        """Free the message: the entry is evicted, and others may still refer to it."""
        self.wire = b""
        self.ttl_offsets = ()
        self.ede = ()

    def note_uses(self, times: int) -> None:
        """Count uses for eviction."""
        self.frequency = min(self.frequency + times, MAX_FREQUENCY)

    def remaining_ttl(self, now: float) -> int:
        """Whole seconds left; 0 or below once expired. CoreDNS floors the age likewise."""
        return self.ttl - int(now - self.stored_at)

    def told_ttl(self) -> int:
        """The lowest TTL as upstream told it, in seconds; 0 where there are no records."""
        ttls = [int.from_bytes(self.wire[at : at + 4], "big") for at in self.ttl_offsets]
        return min(ttls, default=0)

    def changes_at(self, now: float) -> float:
        """When `remaining_ttl` will be lower than at `now`; monotonic seconds."""
        return self.stored_at + int(now - self.stored_at) + 1

    @property
    def is_denial(self) -> bool:
        """Whether this is a negative answer: NODATA or NXDOMAIN."""
        return self.kind is _NODATA or self.kind is _NXDOMAIN

    @property
    def is_kept(self) -> bool:
        """Whether it is still in the cache."""
        return self.owner is not None


def is_denial(kind: Kind) -> bool:
    """Whether answers of this kind are negative: NODATA or NXDOMAIN."""
    return kind is _NODATA or kind is _NXDOMAIN
