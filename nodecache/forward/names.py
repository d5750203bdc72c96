"""Names, and questions for them, as far as forwarding needs them."""

from struct import Struct
from typing import Final

from nodecache.wire import CLASS_IN

_HEADER: Final = Struct("!6H")
_QUESTION_END: Final = Struct("!2H")


def is_within(qname: bytes, suffix: bytes) -> bool:
    """Whether `qname`, on the wire and in lower case, is `suffix` or below it."""
    if suffix == b"\0":
        return True
    offset = 0
    while qname[offset]:
        if len(qname) - offset == len(suffix):
            return qname.endswith(suffix)
        offset += qname[offset] + 1
    return False


def covers(qname: bytes, from_zone: bytes, except_zones: tuple[bytes, ...]) -> bool:
    """Whether a `forward FROM` with `except` takes `qname`; FROM itself is always taken."""
    if not is_within(qname, from_zone):
        return False
    return qname == from_zone or not any(is_within(qname, zone) for zone in except_zones)


def plain_query(message_id: int, qname: bytes, qtype: int, flags: int) -> bytes:
    """A query without EDNS for `qname`, which is a valid name in wire format."""
    header = _HEADER.pack(message_id, flags, 1, 0, 0, 0)
    return header + qname + _QUESTION_END.pack(qtype, CLASS_IN)
