"""An upstream's message that was read: its octets, and what was found out about them."""

from enum import Enum
from typing import Final

from mypy_extensions import mypyc_attr

from .constants import HEADER_SIZE, Flag
from .options import ExtendedErrors

_HALF_OF_TIME: Final = 1 << 31  # serial number arithmetic: RFC 1982 §3.2
_ALL_OF_TIME: Final = 1 << 32

FORWARD: Final = "forward"
"""Who writes nearly all answers: the directive's name, as metrics tell it."""


class Kind(Enum):
    """The kind of an answer, which decides whether and how long it is cached."""

    POSITIVE = "positive"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    REFERRAL = "referral"
    SERVFAIL = "servfail"
    OTHER = "other"  # never kept: other rcodes, negative answers without SOA, open CNAME chains


@mypyc_attr(acyclic=True)
class Answer:
    """One whole message from an upstream, or made by a directive.

    `wire` is the message with its OPT and TSIG taken out, `flags` its header's second word; the TTLs
    stand at `ttl_offsets`, in seconds. `lowest_ttl` is None where there are no records. `soa_ttl` is the lower of the
    SOA's TTL and minimum (RFC 2308 §5) where the authority section holds one. `signed_until`
    and `signed_from` bound the RRSIGs' common validity (seconds since 1970, modulo 2**32), where
    there are any. `ede` are the upstream's Extended DNS Errors, code and text (RFC 8914).
    `is_compressed` says that compressing its names again would gain nothing.
    """

    # No dataclass, as all that is made for a query: compiled, its constructor would cost tenfold.
    __slots__ = (
        "ede",
        "flags",
        "is_compressed",
        "kind",
        "lowest_ttl",
        "question_end",
        "rcode",
        "signed_from",
        "signed_until",
        "soa_ttl",
        "ttl_offsets",
        "wire",
        "written_by",
    )

    def __init__(
        self,
        wire: bytes,
        question_end: int,
        rcode: int,
        kind: Kind,
        ttl_offsets: tuple[int, ...] = (),
        lowest_ttl: int | None = None,
        soa_ttl: int | None = None,
        *,
        ede: ExtendedErrors = (),
        written_by: str = FORWARD,
        is_compressed: bool = True,
    ) -> None:
        self.wire = wire
        self.flags = wire[2] << 8 | wire[3]
        self.question_end = question_end
        self.rcode = rcode
        self.kind = kind
        self.ttl_offsets = ttl_offsets
        self.lowest_ttl = lowest_ttl
        self.soa_ttl = soa_ttl
        self.signed_from: int | None = None
        self.signed_until: int | None = None
        self.ede = ede
        self.written_by = written_by
        self.is_compressed = is_compressed

    def with_wire(self, wire: bytes, ttl_offsets: tuple[int, ...] | None = None) -> "Answer":
        """The same answer with other octets; its TTLs at the same offsets, or at `ttl_offsets`."""
        other = Answer(
            wire,
            self.question_end,
            self.rcode,
            self.kind,
            self.ttl_offsets if ttl_offsets is None else ttl_offsets,
            self.lowest_ttl,
            self.soa_ttl,
            ede=self.ede,
            written_by=self.written_by,
            is_compressed=self.is_compressed,
        )
        other.signed_from = self.signed_from
        other.signed_until = self.signed_until
        return other

    @property
    def is_truncated(self) -> bool:
        """Whether the answer did not fit (TC)."""
        return bool(self.wire[2] & Flag.TC >> 8)

    @property
    def has_answers(self) -> bool:
        """Whether the answer section has any record."""
        return self.wire[6:8] != b"\0\0"

    @property
    def question(self) -> bytes:
        """Name, type and class as upstream wrote them."""
        return self.wire[HEADER_SIZE : self.question_end]

    def is_signed_at(self, wall_clock: float) -> bool:
        """Whether every signature holds at `wall_clock` (seconds since 1970); RFC 4034 §3.1.5."""
        if self.signed_from is None or self.signed_until is None:
            return True
        now = int(wall_clock) % _ALL_OF_TIME
        return not is_later(self.signed_from, now) and not is_later(now, self.signed_until)

    def seconds_signed(self, wall_clock: float) -> int:
        """For how many seconds from `wall_clock` on every signature holds; 0 where one does not, or none is there."""
        if self.signed_until is None or not self.is_signed_at(wall_clock):
            return 0
        return (self.signed_until - int(wall_clock)) % _ALL_OF_TIME


def is_later(time: int, other: int) -> bool:
    """Whether one 32-bit time comes after another, each at its nearest: RFC 1982 §3.2."""
    return 0 < (time - other) % _ALL_OF_TIME < _HALF_OF_TIME
