"""Record data: the few types whose octets hold names or have one size.

RFC 3597 §4 lists which types may be compressed; a server that reads them must be able to
follow the pointers, so these are checked. All other data is opaque and passed on as it is.
"""

from .constants import Rdtype
from .errors import MalformedMessage
from .names import read_name_end

_FIXED_SIZE = {Rdtype.A: 4, Rdtype.AAAA: 16}

# type → (octets before the names, number of names, octets after them)
_NAMES: dict[int, tuple[int, int, int]] = {
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
    Rdtype.RP: (0, 2, 0),
    Rdtype.AFSDB: (2, 1, 0),
    Rdtype.RT: (2, 1, 0),
    Rdtype.PX: (2, 2, 0),
    Rdtype.SRV: (6, 1, 0),
    Rdtype.DNAME: (0, 1, 0),
}


def check_rdata(packet: bytes, rdtype: int, start: int, end: int, sizes: dict[int, int]) -> None:
    """Refuse data of a known type whose octets from `start` to `end` cannot be it."""
    if rdtype in _FIXED_SIZE:
        if end - start != _FIXED_SIZE[rdtype]:  # type: ignore[index]
            raise MalformedMessage("address record has the wrong size")
    elif shape := _NAMES.get(rdtype):
        before, names, after = shape
        offset = start + before
        for _ in range(names):
            offset = read_name_end(packet, offset, sizes)
        if offset + after != end:
            raise MalformedMessage("record data does not fill its size")


# RFC 3597 §4: only names in data that RFC 1035 defines may be written with pointers.
_COMPRESSIBLE = frozenset(
    {
        Rdtype.NS,
        Rdtype.MD,
        Rdtype.MF,
        Rdtype.CNAME,
        Rdtype.SOA,
        Rdtype.MB,
        Rdtype.MG,
        Rdtype.MR,
        Rdtype.PTR,
        Rdtype.MINFO,
        Rdtype.MX,
    }
)


def is_compressible(rdtype: int) -> bool:
    """Whether names in `rdtype`'s data may be written with pointers; all must be read."""
    return rdtype in _COMPRESSIBLE


def name_offsets(packet: bytes, rdtype: int, start: int) -> tuple[int, int]:
    """Where the names of `rdtype`'s data begin (an offset), and how many there are."""
    before, names, _ = _NAMES.get(rdtype, (0, 0, 0))
    return start + before, names
