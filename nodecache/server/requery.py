"""The same client's query, about something else."""

from nodecache.wire import HEADER_SIZE, Query

_TYPE_AND_CLASS = 4
_FLAGS_OCTET = 1  # of a key, its last


def with_question(
    query: Query,
    name: bytes | None = None,
    rdtype: int | None = None,
    rdclass: int | None = None,
) -> Query:
    """`query` with another name (whole, on the wire), type or class; all else as the client sent it."""
    qname = query.question[:-_TYPE_AND_CLASS] if name is None else name
    qtype = query.qtype if rdtype is None else rdtype
    qclass = query.rdclass if rdclass is None else rdclass
    kind = qtype.to_bytes(2, "big") + qclass.to_bytes(2, "big")
    packet = query.packet
    other = query.copy()
    other.packet = packet[:HEADER_SIZE] + qname + kind + packet[query.question_end :]
    other.question_end = HEADER_SIZE + len(qname) + _TYPE_AND_CLASS
    # Length octets are at most 63: lowering letters leaves them alone.
    other.key = qname.lower() + kind + query.key[-_FLAGS_OCTET:]
    other.qtype = qtype
    other.rdclass = qclass
    return other
