"""Shortens a message: compresses its names, then leaves out records from the end.

A cold path: only for replies that do not fit what the client can take. The message was read by
`read_answer` before, so nothing here can run past its end.
"""

from bisect import bisect_right
from collections.abc import Set as AbstractSet
from struct import Struct
from typing import Final

from .constants import (
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    POINTER_BITS,
    POINTER_MASK,
    Flag,
    Rdtype,
)
from .errors import MalformedMessage
from .names import expanded_name
from .rdata import COMPRESSIBLE, name_offsets
from .sections import FIXED_SIZE, TTL_PLACE

_COUNTS_PLACE: Final = 4
_COUNTS: Final = Struct("!4H")
_FIXED: Final = Struct("!HHIH")
_U16: Final = Struct("!H")
_SIZE_PLACE: Final = 8  # of the data's size in a record, behind its owner name
_TTL_TO_DATA: Final = FIXED_SIZE - TTL_PLACE
_TTL_TO_SIZE: Final = _SIZE_PLACE - TTL_PLACE
_NAME_SERVERS: Final = frozenset((int(Rdtype.NS), int(Rdtype.RRSIG)))


def compressed(message: bytes) -> bytes:
    """`message` with every name compressed that RFC 3597 §4 allows; cut if it is too long for a message even so."""
    wire, ttl_offsets = rewritten(message)
    return cut_to(wire, ttl_offsets, MAX_MESSAGE_SIZE)[0]


def rewritten(
    message: bytes, without: AbstractSet[int] = frozenset()
) -> tuple[bytes, tuple[int, ...]]:
    """`message` compressed, without the records of some types; and the offsets of its TTLs."""
    writer = _Writer(message)
    counts = list(_COUNTS.unpack_from(message, _COUNTS_PLACE))
    offset = writer.copy_name(HEADER_SIZE)
    writer.out += message[offset : offset + 4]
    offset += 4
    for section in (1, 2, 3):
        for _ in range(counts[section]):
            end = _name_end(message, offset)
            rdtype, _, _, rdata_size = _FIXED.unpack_from(message, end)
            end += FIXED_SIZE + rdata_size
            if rdtype in without:
                counts[section] -= 1
            else:
                writer.copy_record(offset, rdtype, end)
            offset = end
    _COUNTS.pack_into(writer.out, _COUNTS_PLACE, *counts)
    return bytes(writer.out), tuple(writer.ttl_offsets)


class _Writer:
    """A message that is written again, with the offsets of the names in it."""

    def __init__(self, message: bytes) -> None:
        self.out = bytearray(message[:HEADER_SIZE])
        self.ttl_offsets: list[int] = []
        self._message = message
        self._known: dict[int, bytes] = {}
        self._places: dict[bytes, int] = {}

    def copy_record(self, offset: int, rdtype: int, end: int) -> None:
        """Write the record from `offset` to `end` again."""
        message, out = self._message, self.out
        offset = self.copy_name(offset)
        fixed = len(out)
        self.ttl_offsets.append(fixed + TTL_PLACE)
        out += message[offset : offset + FIXED_SIZE]
        offset += FIXED_SIZE
        start, names = name_offsets(message, rdtype, offset, end)
        out += message[offset:start]
        for _ in range(names):
            start = self.copy_name(start, may_point=rdtype in COMPRESSIBLE)
        out += message[start:end]
        size = len(out) - fixed - FIXED_SIZE
        if size > MAX_MESSAGE_SIZE:  # a name written out, of octets that the data has itself
            raise MalformedMessage("record data is too long with its names written out")
        _U16.pack_into(out, fixed + _SIZE_PLACE, size)

    def copy_name(self, offset: int, *, may_point: bool = True) -> int:
        """Write the name at `offset`, its end as a pointer if it was written before; returns the offset behind it.

        A name that may not be compressed is written out, and later ones may point at it, as in CoreDNS's
        library: the addresses of a headless Service's pods point at the targets of its SRV records.
        """
        out, places = self.out, self._places
        name = expanded_name(self._message, offset, self._known)
        at = 0
        while label_size := name[at]:
            rest = name[at:]
            place = places.get(rest)
            if place is not None and may_point:
                out += _U16.pack(POINTER_BITS << 8 | place)
                break
            if place is None and len(out) <= POINTER_MASK:
                places[rest] = len(out)
            out += name[at : at + label_size + 1]
            at += label_size + 1
        else:
            out.append(0)
        return _name_end(self._message, offset)


def _name_end(message: bytes, offset: int) -> int:
    while label_size := message[offset]:
        if label_size >= POINTER_BITS:
            return offset + 2
        offset += label_size + 1
    return offset + 1


def cut_to(
    message: bytes, ttl_offsets: tuple[int, ...], limit: int
) -> tuple[bytes, tuple[int, ...]]:
    """`message` cut after the last record within `limit` octets, and the offsets of its TTLs.

    Additional records are left out first, then authority, then answers, as in CoreDNS's library: a
    client that ignores TC has the most useful part. With TC unless only additional records or name
    servers beside an answer are missing. Never shorter than the question.
    """
    kept = bisect_right(ttl_offsets, limit)
    if kept and _record_end(message, ttl_offsets[kept - 1]) > limit:
        kept -= 1
    if kept == len(ttl_offsets):
        return message, ttl_offsets
    counts = _COUNTS.unpack_from(message, _COUNTS_PLACE)[1:]
    wanted = counts[0] + counts[1]
    # Additional records beside an answer are an extra, and go by whole sets without TC: RFC 2181 §9. So are the
    # zone's name servers, which go with their signatures (RFC 4035 §3.1.1); unbound leaves them out, too. What proves
    # something is none. Without an answer they are what a referral leads on with: RFC 9471 §3.
    if answers := counts[0]:
        authority = ttl_offsets[answers:wanted]
        if kept < wanted and all(_type(message, offset) in _NAME_SERVERS for offset in authority):
            wanted, kept = answers, min(kept, answers)
    is_missed = kept < wanted or not answers
    if not is_missed:
        kept = _without_parts_of_sets(message, ttl_offsets, wanted, kept)
    cut = bytearray(message[: _end_of(message, ttl_offsets, kept)])
    if is_missed:
        cut[2] |= Flag.TC >> 8
    left = [1]
    for count in counts:
        left.append(min(count, kept))
        kept -= left[-1]
    _COUNTS.pack_into(cut, _COUNTS_PLACE, *left)
    return bytes(cut), ttl_offsets[: sum(left) - 1]


def _without_parts_of_sets(
    message: bytes, ttl_offsets: tuple[int, ...], first: int, kept: int
) -> int:
    """How many of the first `kept` records stay, so that every RRset from `first` on is whole."""
    sets = [
        _owner_type_class(message, _end_of(message, ttl_offsets, index), ttl_offsets[index])
        for index in range(first, len(ttl_offsets))
    ]
    begins: dict[tuple[bytes, bytes], int] = {}
    for index, rrset in enumerate(sets):
        begins.setdefault(rrset, index)
    cut, index = kept - first, len(sets)
    while index > cut:
        index -= 1
        cut = min(cut, begins[sets[index]])
    return first + cut


def _type(message: bytes, ttl_offset: int) -> int:
    rdtype: int = _U16.unpack_from(message, ttl_offset - TTL_PLACE)[0]
    return rdtype


def _owner_type_class(message: bytes, owner: int, ttl_offset: int) -> tuple[bytes, bytes]:
    """What all records of one RRset have in common: RFC 2181 §5."""
    return expanded_name(message, owner).lower(), message[ttl_offset - TTL_PLACE : ttl_offset]


def _end_of(message: bytes, ttl_offsets: tuple[int, ...], count: int) -> int:
    """The offset behind the first `count` records; for 0, behind the question."""
    if count:
        return _record_end(message, ttl_offsets[count - 1])
    return _name_end(message, HEADER_SIZE) + 4


def _record_end(message: bytes, ttl_offset: int) -> int:
    size: int = _U16.unpack_from(message, ttl_offset + _TTL_TO_SIZE)[0]
    return ttl_offset + _TTL_TO_DATA + size
