"""One kept answer."""

from typing import TYPE_CHECKING, Final

from nodecache.wire import Answer, ExtendedErrors, Kind

if TYPE_CHECKING:
    from .segment import Segment

# What an entry weighs beside its octets: the object itself, the heads of its byte strings, its
# places in the table and in an expiry bucket; and what a TTL's offset weighs, a number in a tuple.
# tests/cache/test_entry.py measures both.
ENTRY_OVERHEAD_OCTETS: Final = 560
OFFSET_OCTETS: Final = 40
ERROR_OCTETS: Final = 160

# Members of an enum cost a look-up each time.
_POSITIVE: Final = Kind.POSITIVE
_NODATA: Final = Kind.NODATA
_NXDOMAIN: Final = Kind.NXDOMAIN

MOST_ASKED: Final = 3  # S3-FIFO needs to tell four grades apart, no more


class Entry:
    """One answer, kept since `stored_at` (monotonic seconds) for `ttl` whole seconds.

    `wire` holds the message as upstream wrote it, TTLs included; `flags` is the header's second
    word for replies out of the cache. `asked` grades how often it was wanted, for eviction;
    `hits` counts for prefetch, the last at `counted_at`. `refresh_at` is when a refresh that
    failed `failures` times in a row may be tried again. `octets` is what it weighs. `segment` is
    where it stands, None once it is gone; `is_in_main`, `before` and `after` are its place there,
    and `due_among` the segment's note of those that are of no use as soon as it is.
    """

    __slots__ = (
        "after",
        "asked",
        "before",
        "counted_at",
        "due_among",
        "ede",
        "failures",
        "flags",
        "hits",
        "is_compressed",
        "is_in_main",
        "is_refreshing",
        "key",
        "kind",
        "octets",
        "rcode",
        "refresh_at",
        "segment",
        "stored_at",
        "ttl",
        "ttl_offsets",
        "wire",
    )

    def __init__(
        self,
        key: bytes,
        wire: bytes,
        ttl_offsets: tuple[int, ...],
        flags: int,
        ttl: int,
        now: float,
        kind: Kind = _POSITIVE,
        rcode: int = 0,
    ) -> None:
        """Keep an answer that tells no errors; `describe` tells what else there may be to it."""
        self.key = key
        self.wire = wire
        self.ttl_offsets = ttl_offsets
        self.flags = flags
        self.ttl = ttl
        self.stored_at = now
        self.kind = kind
        self.rcode = rcode
        self.ede: ExtendedErrors = ()
        self.is_compressed = True
        self.octets = (
            ENTRY_OVERHEAD_OCTETS + len(key) + len(wire) + OFFSET_OCTETS * len(ttl_offsets)
        )
        self.asked = self.hits = self.failures = 0
        self.counted_at = self.refresh_at = 0.0
        self.is_in_main = self.is_refreshing = False
        self.before: Entry | None = None
        self.after: Entry | None = None
        self.segment: Segment | None = None
        self.due_among: set[Entry] | None = None

    def describe(self, answer: Answer) -> None:
        """Note what else there is to know of the answer it holds."""
        self.kind = answer.kind
        self.rcode = answer.rcode
        self.ede = answer.ede
        self.is_compressed = answer.is_compressed
        for _, text in answer.ede:
            self.octets += ERROR_OCTETS + len(text)

    def release(self) -> None:
        """Hold no octets any more: it is evicted, and whoever still knows it keeps none of them."""
        self.wire = b""
        self.ttl_offsets = ()
        self.ede = ()

    def note_asked(self, times: int) -> None:
        """Grade the entry up: somebody wanted it again."""
        self.asked = min(self.asked + times, MOST_ASKED)

    def remaining_ttl(self, now: float) -> int:
        """Whole seconds left; 0 or below once expired. CoreDNS floors the age likewise."""
        return self.ttl - int(now - self.stored_at)

    def changes_at(self, now: float) -> float:
        """When `remaining_ttl` will next say something else than at `now`."""
        return self.stored_at + int(now - self.stored_at) + 1

    @property
    def is_denial(self) -> bool:
        """Whether this is a negative answer: NODATA or NXDOMAIN."""
        return self.kind is _NODATA or self.kind is _NXDOMAIN

    def renew(self, answer: Answer, flags: int, ttl: int, now: float) -> None:
        """Take a newer answer to the same question; how often it is asked stays known."""
        self.wire = wire = answer.wire
        self.ttl_offsets = ttl_offsets = answer.ttl_offsets
        self.flags = flags
        self.ttl = ttl
        self.stored_at = now
        self.is_refreshing = False
        self.refresh_at = 0.0
        self.failures = 0
        self.octets = (
            ENTRY_OVERHEAD_OCTETS + len(self.key) + len(wire) + OFFSET_OCTETS * len(ttl_offsets)
        )
        self.describe(answer)


def is_denial(kind: Kind) -> bool:
    """Whether answers of this kind are negative: NODATA or NXDOMAIN."""
    return kind is _NODATA or kind is _NXDOMAIN
