"""What stands in a TSIG record: RFC 8945 §4.2. Nothing is verified here, nobody signs to us."""

from struct import Struct
from typing import Final

from .constants import CLASS_ANY
from .errors import MalformedMessage
from .names import question_name_end

_TIME_AND_FUDGE_SIZE: Final = 8
_ID_AND_ERROR_SIZE: Final = 4
_U16: Final = Struct("!H")


def check_tsig(packet: bytes, rdclass: int, start: int, end: int) -> None:
    """Refuse a class or data, from `start` to `end`, that is no TSIG's: FORMERR, says §5.2."""
    if rdclass != CLASS_ANY:
        raise MalformedMessage("TSIG record is not of class ANY")
    offset = question_name_end(packet, start) + _TIME_AND_FUDGE_SIZE
    offset = _past(packet, offset, end) + _ID_AND_ERROR_SIZE  # the MAC
    if _past(packet, offset, end) != end:  # other data
        raise MalformedMessage("TSIG record does not fill its size")


def _past(packet: bytes, offset: int, end: int) -> int:
    """Offset just past what stands behind its size."""
    if offset + _U16.size > end:
        raise MalformedMessage("TSIG record is cut off")
    size: int = _U16.unpack_from(packet, offset)[0]
    return offset + _U16.size + size
