"""Whether an answer answers: the chain of CNAMEs from the question's name to the data asked for.

RFC 1034 §3.6.2 has a query go on at the name a CNAME leads to, for every type but CNAME itself. An
answer that stops on the way denies the rest (with a SOA), or is no answer at all. RFC 2181 §10.1:
an alias has one canonical name, so a chain that forks, or comes back to itself, answers nothing.
"""

from collections.abc import Sequence
from typing import Final

from .constants import CLASS_ANY, HEADER_SIZE, POINTER_BITS, Rdtype
from .names import expanded_name, pointer_target
from .sections import FIXED_SIZE, Record

_CNAME: Final = int(Rdtype.CNAME)
_RRSIG: Final = int(Rdtype.RRSIG)
_ANY: Final = int(Rdtype.ANY)


def is_answered(packet: bytes, qtype: int, rdclass: int, records: Sequence[Record]) -> bool:
    """Whether `records`, the answer section of a message read, hold what its question asks for."""
    if _is_in_order(packet, qtype, rdclass, records):
        return True
    if rdclass != CLASS_ANY:
        records = [record for record in records if record[1] == rdclass]
    return _is_anywhere(packet, qtype, records)


def _is_in_order(packet: bytes, qtype: int, rdclass: int, records: Sequence[Record]) -> bool:
    """Whether the records are a chain in order, each owner a pointer or the octets of the name before it.

    True for nearly all answers; False leaves it open.
    """
    place = HEADER_SIZE
    is_found = False
    for rdtype, of_class, _, owner, fixed, _ in records:
        if of_class != rdclass:
            return False
        if rdtype == qtype:
            if not _is_at(packet, owner, fixed, place):
                return False
            is_found = True
        elif rdtype == _CNAME:
            target = _place(packet, fixed + FIXED_SIZE)
            # A chain that goes on behind comes back to no name it has passed.
            if is_found or target <= place or not _is_at(packet, owner, fixed, place):
                return False
            place = target
        elif rdtype != _RRSIG:
            return False
    return is_found and qtype != _CNAME


def _is_at(packet: bytes, owner: int, owner_end: int, place: int) -> bool:
    """Whether the owner's name is the one at `place`, by pointer or by octets."""
    if _place(packet, owner) == place:
        return True
    return packet[owner:owner_end] == packet[place : place + owner_end - owner]


def _place(packet: bytes, offset: int) -> int:
    """The offset that the name at `offset` points to, if it is only a pointer; else `offset`."""
    return pointer_target(packet, offset) if packet[offset] >= POINTER_BITS else offset


def _is_anywhere(packet: bytes, qtype: int, records: Sequence[Record]) -> bool:
    """Whether the chain is there in any order, its names written in any way."""
    known: dict[int, bytes] = {}
    targets: dict[bytes, set[bytes]] = {}
    holders: set[bytes] = set()
    for rdtype, _, _, owner, fixed, _ in records:
        name = expanded_name(packet, owner, known).lower()
        if rdtype == _CNAME:
            target = expanded_name(packet, fixed + FIXED_SIZE, known).lower()
            targets.setdefault(name, set()).add(target)
        if qtype in (rdtype, _ANY):
            holders.add(name)
    qname = expanded_name(packet, HEADER_SIZE).lower()
    if qtype == _CNAME:
        return len(targets.get(qname, ())) == 1
    return (qname if qtype == _ANY else _chain_end(qname, targets)) in holders


def _chain_end(name: bytes, targets: dict[bytes, set[bytes]]) -> bytes | None:
    """The name that the chain from `name` ends at; None where it forks or comes back."""
    for _ in range(len(targets) + 1):
        following = targets.get(name)
        if following is None:
            return name
        if len(following) > 1:
            return None
        (name,) = following
    return None
