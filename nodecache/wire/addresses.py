"""A fast reader for the most common answer: address records of the name that was asked."""

from struct import Struct
from typing import Final, NamedTuple

from .answer import Answer, Kind
from .constants import HEADER_SIZE, MAX_NAME_SIZE, MAX_TTL
from .sections import FIXED_SIZE

_POSITIVE: Final = Kind.POSITIVE  # members of an enum cost a look-up each time
_POINTER: Final = b"\xc0"  # to any of the first 256 octets
_TO_QUESTION: Final = b"\xc0\x0c"  # a pointer to the question's name: RFC 1035 §4.1.4


class AddressShape(NamedTuple):
    """The form of address records that have the question's name. Sizes in octets.

    `start` is the beginning of each, `record` its parts: beginning, TTL, size of the data.
    """

    start: bytes
    data_size: int
    size: int
    record: Struct


_SHAPES: Final = {
    b"\0\x01\0\x01": AddressShape(_TO_QUESTION + b"\0\x01\0\x01", 4, 16, Struct("!6sIH4x")),
    b"\0\x1c\0\x01": AddressShape(_TO_QUESTION + b"\0\x1c\0\x01", 16, 28, Struct("!6sIH16x")),
}
"""By the type and class asked for, as on the wire."""

_MAX_QUESTION_END: Final = HEADER_SIZE + MAX_NAME_SIZE + 4
_TTL_PLACE: Final = 6  # in such a record: name, type and class before it
# Where the TTL of a lone record stands, by the question's end: made once, not for each answer.
_ONE_OFFSET: Final = [(end + _TTL_PLACE,) for end in range(_MAX_QUESTION_END + 1)]
_ADDITIONALS_PLACE: Final = 10  # of their count, in the header
_BARE_OPT: Final = b"\x00\x00\x29"
_BARE_OPT_SIZE: Final = 11
_EXTENDED_RCODE_PLACE: Final = 5  # in an OPT record: RFC 6891 §6.1.3


def read_addresses(  # noqa: PLR0911 - whatever is not plain leaves at once
    packet: bytes, name_end: int, answers: int, additionals: int
) -> Answer | None:
    """Read a response of at least one address and no authority section, perhaps with an OPT.

    Header and question were read before, and say NOERROR. None if there is any octet else: then
    `read_answer` reads it.
    """
    question_end = name_end + 4
    shape = _SHAPES.get(packet[name_end:question_end])
    if shape is None:
        return None
    start, data_size, size, record = shape
    if packet[question_end : question_end + _TTL_PLACE] != start:
        if packet[question_end : question_end + 1] == _POINTER or name_end == HEADER_SIZE + 1:
            return None  # another place, or another type; or the root, shorter than a pointer
        packet = _with_pointers(packet, question_end, answers, data_size)
    end = question_end + answers * size
    if len(packet) != end or additionals:
        if additionals != 1 or not _is_bare_opt(packet, end):
            return None
        packet = packet[:_ADDITIONALS_PLACE] + b"\0\0" + packet[HEADER_SIZE:end]
    if answers == 1:
        head, ttl, told_size = record.unpack_from(packet, question_end)
        if head != start or told_size != data_size or ttl > MAX_TTL:
            return None
        return Answer(packet, question_end, 0, _POSITIVE, _ONE_OFFSET[question_end], ttl)
    ttls = [
        ttl
        for head, ttl, told_size in record.iter_unpack(packet[question_end:])
        if head == start and told_size == data_size and ttl <= MAX_TTL
    ]
    if len(ttls) != answers:
        return None
    offsets = tuple(range(question_end + _TTL_PLACE, end, size))
    return Answer(packet, question_end, 0, _POSITIVE, offsets, min(ttls))


def _is_bare_opt(packet: bytes, start: int) -> bool:
    """Whether `packet` ends in an OPT at `start` without options and extended rcode."""
    return (
        len(packet) == start + _BARE_OPT_SIZE
        and packet.startswith(_BARE_OPT, start)
        and packet.endswith(b"\0\0")
        and not packet[start + _EXTENDED_RCODE_PLACE]
    )


def _with_pointers(packet: bytes, question_end: int, answers: int, rdata_size: int) -> bytes:
    """`packet` with owners that repeat the question's name made pointers; unchanged if one does not.

    CoreDNS does not compress answers that fit. Fewer octets are cheaper to cache and to send,
    and a pointer takes the letter case of the client's question.
    """
    qname = packet[HEADER_SIZE : question_end - 4]
    size = len(qname) + FIXED_SIZE + rdata_size
    end = question_end + answers * size
    parts = [packet[:question_end]]
    for offset in range(question_end, end, size):
        if not packet.startswith(qname, offset):
            return packet
        parts += _TO_QUESTION, packet[offset + len(qname) : offset + size]
    parts.append(packet[end:])
    return b"".join(parts)
