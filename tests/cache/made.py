"""Answers and entries for tests of the cache."""

import struct

from nodecache.cache import Entry
from nodecache.wire import Answer, Flag, Kind, read_query
from tests.wire.messages import query

START = 1000.0
_RCODES = {Kind.NXDOMAIN: 3, Kind.SERVFAIL: 2, Kind.OTHER: 5}


def key_of(name: str = "a.example.", rdtype: str = "A", **edns: object) -> bytes:
    """The key under which an answer to this question is kept."""
    return read_query(query(f"{name} {rdtype}", **edns)).key


def answer(
    kind: Kind = Kind.POSITIVE,
    *,
    lowest_ttl: int | None = 30,
    soa_ttl: int | None = None,
    rcode: int | None = None,
    flags: int = Flag.QR | Flag.RD | Flag.RA,
    octets: int = 100,
    **fields: object,
) -> Answer:
    """An answer of some kind; its octets are not those of a message."""
    told = _RCODES.get(kind, 0) if rcode is None else rcode
    header = struct.pack("!6H", 0, flags | told & 15, 1, int(kind is Kind.POSITIVE), 0, 0)
    wire = header + b"x" * (octets - len(header))
    return Answer(wire, 30, told, kind, (36,), lowest_ttl, soa_ttl, **fields)


def entry(
    name: bytes = b"a", *, ttl: int = 30, octets: int = 100, stored_at: float = START
) -> Entry:
    made = answer(octets=octets)
    return Entry(name, made, made.flags, ttl, stored_at)
