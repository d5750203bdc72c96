"""Making a message shorter: names compressed again, then records left out from the end.

A cold path: only for replies that do not fit what the client can take. The message was read by
`read_answer` before, so nothing here can run past its end.
"""

from bisect import bisect_right
from collections.abc import Set as AbstractSet
from struct import Struct

from .constants import HEADER_SIZE, POINTER_BITS, POINTER_MASK, Flag
from .names import expanded_name
from .rdata import COMPRESSIBLE, name_offsets
from .sections import FIXED_SIZE, TTL_PLACE

_COUNTS_PLACE = 4
_COUNTS = Struct("!4H")
_FIXED = Struct("!HHIH")
_U16 = Struct("!H")
_SIZE_PLACE = 8  # of the data's size in a record, behind its owner name
_TTL_TO_DATA = FIXED_SIZE - TTL_PLACE
_TTL_TO_SIZE = _SIZE_PLACE - TTL_PLACE


def compressed(message: bytes) -> bytes:
    """`message` with every name compressed that RFC 3597 §4 allows to be."""
    return rewritten(message)[0]


def rewritten(
    message: bytes, without: AbstractSet[int] = frozenset()
) -> tuple[bytes, tuple[int, ...]]:
    """`message` compressed, less the records of some types; and the offsets of its TTLs."""
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
    """A message being written again, with the places of the names in it."""

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
            if rdtype in COMPRESSIBLE:
                start = self.copy_name(start)
            else:
                out += expanded_name(message, start, self._known)
                start = _name_end(message, start)
        out += message[start:end]
        # Fits: a name written out here stands elsewhere in the message too.
        _U16.pack_into(out, fixed + _SIZE_PLACE, len(out) - fixed - FIXED_SIZE)

    def copy_name(self, offset: int) -> int:
        """Write the name at `offset`, pointing at what equals its end; the offset behind it."""
        out, places = self.out, self._places
        name = expanded_name(self._message, offset, self._known)
        at = 0
        while label_size := name[at]:
            rest = name[at:]
            place = places.get(rest)
            if place is not None:
                out += _U16.pack(POINTER_BITS << 8 | place)
                break
            if len(out) <= POINTER_MASK:
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
    """`message` cut at the last record border within `limit` octets, with TC if any was cut.

    Records go from the end: additional first, then authority, then answer (as CoreDNS's
    library does), so a client that ignores TC has the best part. Never shorter than the question.
    """
    kept = bisect_right(ttl_offsets, limit)
    if kept and _record_end(message, ttl_offsets[kept - 1]) > limit:
        kept -= 1
    if kept == len(ttl_offsets):
        return message, ttl_offsets
    end = (
        _record_end(message, ttl_offsets[kept - 1]) if kept else _name_end(message, HEADER_SIZE) + 4
    )
    cut = bytearray(message[:end])
    cut[2] |= Flag.TC >> 8
    left = kept
    counts = [1]
    for count in _COUNTS.unpack_from(message, _COUNTS_PLACE)[1:]:
        counts.append(min(count, left))
        left -= counts[-1]
    _COUNTS.pack_into(cut, _COUNTS_PLACE, *counts)
    return bytes(cut), ttl_offsets[:kept]


def _record_end(message: bytes, ttl_offset: int) -> int:
    size: int = _U16.unpack_from(message, ttl_offset + _TTL_TO_SIZE)[0]
    return ttl_offset + _TTL_TO_DATA + size
