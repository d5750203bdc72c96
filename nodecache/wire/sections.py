"""The records of a message, section by section: where each begins and ends, and what it is."""

from struct import Struct
from typing import Final

from .constants import HEADER_SIZE, MAX_TTL, Rdtype
from .errors import MalformedMessage
from .names import no_places, question_name_end, read_name_end
from .rdata import CHECKED, check_rdata

FIXED_SIZE: Final = 10  # type, class, TTL and data size, behind the owner name: RFC 1035 §4.1.3
TTL_PLACE: Final = 4  # in these
_FIXED: Final = Struct("!HHIH")
_TTL: Final = Struct("!I")
_COUNTS: Final = Struct("!HHHH")
_OPT: Final = int(Rdtype.OPT)
_TO_QUESTION: Final = b"\xc0\x0c"  # a pointer to the question's name: RFC 1035 §4.1.4

Record = tuple[int, int, int, int, int, int]
"""Type, class, TTL in seconds, and the offsets of its owner name, of its type, and of its end."""


def read_additionals(
    packet: bytes, offset: int, count: int, places: dict[int, int]
) -> tuple[list[Record], int]:
    """As `read_records`, but there may be fewer than `count`: the message may end before.

    Servers that drop additional records for room forget to count them down; CoreDNS and unbound
    take such a message for what it holds.
    """
    records: list[Record] = []
    while len(records) < count and offset < len(packet):
        (record,), offset = read_records(packet, offset, 1, places)
        records.append(record)
    return records, offset


def read_records(
    packet: bytes, offset: int, count: int, places: dict[int, int]
) -> tuple[list[Record], int]:
    """`count` records from `offset` on, and the offset behind them; `places` as in `names`."""
    records: list[Record] = []
    size = len(packet)
    for _ in range(count):
        owner = offset
        if packet[owner : owner + 2] == _TO_QUESTION:  # the question's name, as nearly always
            fixed = owner + 2
        else:
            fixed = read_name_end(packet, owner, places)
        rdata = fixed + FIXED_SIZE
        if rdata > size:
            raise MalformedMessage("record is cut off")
        fields: tuple[int, int, int, int] = _FIXED.unpack_from(packet, fixed)
        rdtype, rdclass, ttl, rdata_size = fields
        offset = rdata + rdata_size
        if offset > size:
            raise MalformedMessage("record data runs past the end")
        if rdtype in CHECKED:
            check_rdata(packet, rdtype, rdata, offset, places)
        if ttl > MAX_TTL:
            ttl = 0
        records.append((rdtype, rdclass, ttl, owner, fixed, offset))
    return records, offset


def aged(packet: bytes, seconds: int) -> bytes:
    """The response with the TTL of each record lower by `seconds`, and no lower than 0."""
    counts: tuple[int, int, int, int] = _COUNTS.unpack_from(packet, 4)
    questions, answers, authorities, additionals = counts
    if not seconds or not questions:
        return packet
    name_end = question_name_end(packet, HEADER_SIZE)
    count = answers + authorities + additionals
    records, _ = read_additionals(packet, name_end + 4, count, no_places(name_end))
    wire = bytearray(packet)
    for rdtype, _, ttl, _, fixed, _ in records:
        if rdtype != _OPT:
            _TTL.pack_into(wire, fixed + TTL_PLACE, max(ttl - seconds, 0))
    return bytes(wire)
