"""Addresses in answers, and the servers of a service: SRV records and the addresses beside them (RFC 2782).

The law of this module: no socket, no clock. Octets were read by `read_answer` before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from struct import Struct

from nodecache.wire import CLASS_IN, Answer, Rdtype, expanded_name

_TYPE_AND_CLASS = Struct("!2H")  # before the TTL: RFC 1035 §4.1.3
_DATA_SIZE = Struct("!H")
_TTL_TO_DATA = 6  # TTL and the data's size
_PORT = Struct("!H")
_PORT_PLACE, _TARGET_PLACE = 4, 6  # behind priority and weight
_ADDRESS_TYPES = (Rdtype.A, Rdtype.AAAA)

FoundAddresses = dict[int, tuple[str, ...]]
"""The addresses of one name, by type."""


@dataclass(frozen=True, slots=True)
class ServiceRecords:
    """The servers in one answer. Names are in wire format and lower case."""

    ports: dict[bytes, int] = field(default_factory=dict)
    """The port of each SRV record's target."""
    addresses: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    """The addresses of each name, from any section."""


def read_services(answer: Answer) -> ServiceRecords:
    """The targets of an answer's SRV records, and all addresses in it."""
    found = ServiceRecords()
    wire = answer.wire
    for owner_at, rdtype, start, end in _records(answer):
        if rdtype == Rdtype.SRV:
            target = expanded_name(wire, start + _TARGET_PLACE).lower()
            if port := _PORT.unpack_from(wire, start + _PORT_PLACE)[0]:
                found.ports[target] = port
        elif rdtype in _ADDRESS_TYPES:
            owner = expanded_name(wire, owner_at).lower()
            address = str(ip_address(wire[start:end]))
            found.addresses[owner] = (*found.addresses.get(owner, ()), address)
    return found


def addresses_in(answer: Answer, rdtype: int) -> tuple[str, ...]:
    """The addresses of type `rdtype` in the answer section, in order."""
    wire = answer.wire
    count = wire[6] << 8 | wire[7]
    return tuple(
        str(ip_address(wire[start:end]))
        for _, found, start, end in _records(answer, count)
        if found == rdtype
    )


def _records(answer: Answer, count: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """Offset of the owner, type, offsets of the data's beginning and end, of the first `count` records.

    Of those of class IN: in another class the same types have other data.
    """
    wire, owner_at = answer.wire, answer.question_end
    for ttl_offset in answer.ttl_offsets[:count]:
        start = ttl_offset + _TTL_TO_DATA
        end = start + _DATA_SIZE.unpack_from(wire, start - _DATA_SIZE.size)[0]
        rdtype, rdclass = _TYPE_AND_CLASS.unpack_from(wire, ttl_offset - _TYPE_AND_CLASS.size)
        if rdclass == CLASS_IN:
            yield owner_at, rdtype, start, end
        owner_at = end
