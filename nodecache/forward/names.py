"""Names, and questions for them, as far as forwarding needs them."""

from struct import Struct
from typing import Final

from nodecache.wire import CLASS_IN, is_within

_HEADER: Final = Struct("!6H")
_QUESTION_END: Final = Struct("!2H")


def covers(qname: bytes, from_zone: bytes, except_zones: frozenset[bytes]) -> bool:
    """Whether a `forward FROM` with `except` takes `qname`; FROM itself is always taken."""
    if not is_within(qname, (from_zone,)):
        return False
    return qname == from_zone or not is_within(qname, except_zones)


def plain_query(message_id: int, qname: bytes, qtype: int, flags: int) -> bytes:
    """A query without EDNS for `qname`, which is a valid name in wire format."""
    header = _HEADER.pack(message_id, flags, 1, 0, 0, 0)
    return header + qname + _QUESTION_END.pack(qtype, CLASS_IN)
