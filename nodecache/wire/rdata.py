"""Record data: the types whose octets hold names that may be compressed, or have one size.

RFC 3597 §4 has two lists: what RFC 1035 defines may be sent compressed; a few later types were
sent so by somebody, and are to be read with their pointers, but written without. Later types may
not be sent so at all (RFC 4034 §3.1.7, RFC 9460 §2.2); where somebody does, the pointer is good
only in that message, so it is written out too. All other data is opaque and passed on as it is.
"""

from typing import Final

from .constants import CLASS_IN, MAX_LABEL_SIZE, Rdtype
from .errors import MalformedMessage
from .names import end_of_compressed, read_name_end

_A: Final = int(Rdtype.A)
_AAAA: Final = int(Rdtype.AAAA)
_NAPTR: Final = int(Rdtype.NAPTR)
_RRSIG: Final = int(Rdtype.RRSIG)
_ADDRESS_SIZES: Final = {_A: 4, _AAAA: 16}
_RRSIG_MIN_SIZE: Final = 19  # eighteen octets and a name: RFC 4034 §3.1
_IN: Final = CLASS_IN.to_bytes(2, "big")
_IN_TO_DATA: Final = 8  # class, TTL and the data's size lie between: RFC 1035 §4.1.3
_NAPTR_STRINGS: Final = 3  # flags, services, regular expression: RFC 3403 §4.1
_ANY_SIZE: Final = -1

# type → (octets before the names, number of names, octets after them)
_COMPRESSIBLE: Final[dict[int, tuple[int, int, int]]] = {
    Rdtype.NS: (0, 1, 0),
    Rdtype.MD: (0, 1, 0),
    Rdtype.MF: (0, 1, 0),
    Rdtype.CNAME: (0, 1, 0),
    Rdtype.SOA: (0, 2, 20),
    Rdtype.MB: (0, 1, 0),
    Rdtype.MG: (0, 1, 0),
    Rdtype.MR: (0, 1, 0),
    Rdtype.PTR: (0, 1, 0),
    Rdtype.MINFO: (0, 2, 0),
    Rdtype.MX: (2, 1, 0),
}
_READ_ONLY: Final[dict[int, tuple[int, int, int]]] = {
    Rdtype.RP: (0, 2, 0),
    Rdtype.AFSDB: (2, 1, 0),
    Rdtype.RT: (2, 1, 0),
    Rdtype.SIG: (18, 1, _ANY_SIZE),
    Rdtype.PX: (2, 2, 0),
    Rdtype.NXT: (0, 1, _ANY_SIZE),
    Rdtype.SRV: (6, 1, 0),
    Rdtype.NAPTR: (4, 1, 0),  # and its strings in between
    Rdtype.DNAME: (0, 1, 0),
}
# type → octets before the name that may hold no pointer; otherwise opaque
_NEVER_COMPRESSED: Final[dict[int, int]] = {
    Rdtype.KX: 2,
    Rdtype.RRSIG: 18,
    Rdtype.NSEC: 0,
    Rdtype.SVCB: 2,
    Rdtype.HTTPS: 2,
}
# Plain ints as keys: an enum member's comparison is slow.
_LAYOUTS: Final = {int(rdtype): layout for rdtype, layout in (_COMPRESSIBLE | _READ_ONLY).items()}
_NAME_PLACES: Final = {int(rdtype): before for rdtype, before in _NEVER_COMPRESSED.items()}
COMPRESSIBLE: Final = frozenset(map(int, _COMPRESSIBLE))
"""The types whose names may be written as pointers."""
WRITTEN_OUT: Final = frozenset(map(int, _READ_ONLY)) | frozenset(_NAME_PLACES)
"""The types whose names may not, though some are sent so."""

# type → whether there is anything to check; a look-up that most records end at.
CHECKED: Final = frozenset(_LAYOUTS) | {_A, _AAAA, _RRSIG}


def check_rdata(packet: bytes, rdtype: int, start: int, end: int, places: dict[int, int]) -> None:
    """Check the data of a `CHECKED` type from `start` to `end`. Raises MalformedMessage.

    `places` as for `read_name_end`.
    """
    size = _ADDRESS_SIZES.get(rdtype)
    if size is not None:
        # Only in IN: CHAOS has addresses of its own kind.
        if end - start != size and packet.startswith(_IN, start - _IN_TO_DATA):
            raise MalformedMessage("address record has the wrong size")
    elif rdtype == _RRSIG:
        if end - start < _RRSIG_MIN_SIZE:
            raise MalformedMessage("RRSIG record is cut off")
    else:
        _check_names(packet, rdtype, start, end, places)


def _check_names(packet: bytes, rdtype: int, start: int, end: int, places: dict[int, int]) -> None:
    before, names, after = _LAYOUTS[rdtype]
    offset = _past_strings(packet, start + before, end) if rdtype == _NAPTR else start + before
    for _ in range(names):
        offset = read_name_end(packet, offset, places)
    if offset + after != end and (offset > end or after != _ANY_SIZE):
        raise MalformedMessage("record data does not fill its size")


def _past_strings(packet: bytes, offset: int, end: int) -> int:
    """Offset just past a NAPTR's strings."""
    for _ in range(_NAPTR_STRINGS):
        if offset >= end:
            raise MalformedMessage("NAPTR record is cut off")
        offset += packet[offset] + 1
    return offset


def name_offsets(packet: bytes, rdtype: int, start: int, end: int) -> tuple[int, int]:
    """The offset of the first name in `rdtype`'s data, and how many names follow each other.

    For data that may hold pointers and passed `check_rdata` before; no names in other types.
    """
    place = _NAME_PLACES.get(rdtype)
    if place is not None:
        place += start
        return (place, 1) if end_of_compressed(packet, place, end) else (start, 0)
    before, names, _ = _LAYOUTS.get(rdtype, (0, 0, 0))
    if rdtype == _NAPTR:
        return _past_strings(packet, start + before, end), names
    return start + before, names


def has_pointer(packet: bytes, rdtype: int, start: int, end: int) -> bool:
    """Whether data of a `WRITTEN_OUT` type, from `start` to `end`, holds a pointer, which it should not."""
    offset, names = name_offsets(packet, rdtype, start, end)
    for _ in range(names):
        while label_size := packet[offset]:
            if label_size > MAX_LABEL_SIZE:
                return True
            offset += label_size + 1
        offset += 1
    return False
