"""One kept answer."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nodecache.wire import Answer, ExtendedErrors, Kind

if TYPE_CHECKING:
    from .segment import Segment

# What an entry weighs beside its octets: the object itself, the heads of its byte strings, its
# places in the table and in an expiry bucket; and what a TTL's offset weighs, a number in a tuple.
# tests/cache/test_entry.py measures both.
ENTRY_OVERHEAD_OCTETS = 560
OFFSET_OCTETS = 40
ERROR_OCTETS = 160

_NODATA, _NXDOMAIN = Kind.NODATA, Kind.NXDOMAIN  # members of an enum cost a look-up each time

MOST_ASKED = 3  # S3-FIFO needs to tell four grades apart, no more


@dataclass(slots=True, eq=False)
class Entry:
    """One answer, kept since `stored_at` (monotonic seconds) for `ttl` whole seconds.

    `wire` holds the message as upstream wrote it, TTLs included; `flags` is the header's second
    word for replies out of the cache. `asked` grades how often it was wanted, for eviction;
    `hits` counts for prefetch, the last at `counted_at`. `refresh_at` is when a refresh that
    failed `failures` times in a row may be tried again. `octets` is what it weighs.
    """

    key: bytes
    wire: bytes
    ttl_offsets: tuple[int, ...]
    flags: int
    rcode: int
    kind: Kind
    ttl: int
    stored_at: float
    ede: ExtendedErrors = ()
    is_compressed: bool = True
    asked: int = 0
    hits: int = 0
    counted_at: float = 0.0
    is_refreshing: bool = False
    refresh_at: float = 0.0
    failures: int = 0
    octets: int = field(init=False, default=0)
    segment: "Segment | None" = None
    """Where it stands; None once it is gone."""
    is_in_main: bool = False
    before: "Entry | None" = None
    after: "Entry | None" = None
    due_among: "set[Entry] | None" = None
    """Those that are of no use as soon as it is: a note of the segment's expiry."""

    def __post_init__(self) -> None:
        self.octets = (
            ENTRY_OVERHEAD_OCTETS
            + len(self.key)
            + len(self.wire)
            + OFFSET_OCTETS * len(self.ttl_offsets)
        )
        for _, text in self.ede:
            self.octets += ERROR_OCTETS + len(text)

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
        self.wire, self.ttl_offsets, self.ede = answer.wire, answer.ttl_offsets, answer.ede
        self.is_compressed = answer.is_compressed
        self.flags, self.rcode, self.kind = flags, answer.rcode, answer.kind
        self.ttl, self.stored_at = ttl, now
        self.is_refreshing, self.refresh_at, self.failures = False, 0.0, 0
        self.__post_init__()


def is_denial(kind: Kind) -> bool:
    """Whether answers of this kind are negative: NODATA or NXDOMAIN."""
    return kind is _NODATA or kind is _NXDOMAIN
