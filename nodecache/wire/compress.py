"""Making a message shorter: names compressed again, then records left out from the end.

A cold path: only for replies that do not fit what the client can take. The message was read by
`read_answer` before, so nothing here can run past its end.
"""

from struct import Struct

from .constants import HEADER_SIZE, POINTER_BITS, POINTER_MASK, Flag
from .names import expanded_name
from .rdata import is_compressible, name_offsets

_COUNTS = Struct("!4H")
_RECORD = Struct("!HHIH")
_RECORD_SIZE = 10
_U16 = Struct("!H")


class _Writer:
    """A message being written, with the places of the names in it."""

    def __init__(self, start: bytes) -> None:
        self.message = bytearray(start)
        self._places: dict[bytes, int] = {}

    def name(self, name: bytes) -> None:
        """Write an expanded name, pointing at what equals its end: RFC 1035 §4.1.4."""
        offset = 0
        while label_size := name[offset]:
            rest = name[offset:]
            place = self._places.get(rest)
            if place is not None:
                self.message += _U16.pack(POINTER_BITS << 8 | place)
                return
            if len(self.message) <= POINTER_MASK:
                self._places[rest] = len(self.message)
            self.message += name[offset : offset + label_size + 1]
            offset += label_size + 1
        self.message.append(0)


def compressed(message: bytes) -> bytes:
    """`message` with every name compressed that RFC 3597 §4 allows to be."""
    writer = _Writer(message[:HEADER_SIZE])
    writer.name(expanded_name(message, HEADER_SIZE))
    offset = _skip_name(message, HEADER_SIZE)
    writer.message += message[offset : offset + 4]
    offset += 4
    for _ in range(sum(_COUNTS.unpack_from(message, 4)[1:])):
        offset = _copy_record(message, offset, writer)
    return bytes(writer.message)


def _copy_record(message: bytes, offset: int, writer: _Writer) -> int:
    """Write the record at `offset` again; the offset just past it."""
    writer.name(expanded_name(message, offset))
    offset = _skip_name(message, offset)
    rdtype, _, _, rdata_size = _RECORD.unpack_from(message, offset)
    fixed = len(writer.message)
    writer.message += message[offset : offset + _RECORD_SIZE]
    offset += _RECORD_SIZE
    end = offset + rdata_size
    start, names = name_offsets(message, rdtype, offset)
    writer.message += message[offset:start]
    for _ in range(names):
        name = expanded_name(message, start)
        if is_compressible(rdtype):
            writer.name(name)
        else:
            writer.message += name
        start = _skip_name(message, start)
    writer.message += message[start:end]
    _U16.pack_into(writer.message, fixed + 8, len(writer.message) - fixed - _RECORD_SIZE)
    return end


def cut_to(message: bytes, limit: int) -> bytearray:
    """`message` cut at the last record border within `limit` octets, with TC if any was cut.

    Records go from the end: additional first, then authority, then answer (as CoreDNS's
    library does), so a client that ignores TC has the best part. Never shorter than the question.
    """
    counts = list(_COUNTS.unpack_from(message, 4))
    offset = _skip_name(message, HEADER_SIZE) + 4
    kept = [1, 0, 0, 0]
    for section in (1, 2, 3):
        for _ in range(counts[section]):
            after = _skip_name(message, offset)
            after += _RECORD_SIZE + _U16.unpack_from(message, after + 8)[0]
            if after > limit:
                return _shortened(message, offset, kept)
            kept[section] += 1
            offset = after
    return bytearray(message)


def _shortened(message: bytes, end: int, counts: list[int]) -> bytearray:
    cut = bytearray(message[:end])
    _COUNTS.pack_into(cut, 4, *counts)
    cut[2] |= Flag.TC >> 8
    return cut


def _skip_name(message: bytes, offset: int) -> int:
    while label_size := message[offset]:
        if label_size >= POINTER_BITS:
            return offset + 2
        offset += label_size + 1
    return offset + 1
