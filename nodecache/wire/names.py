"""Names in a message: lengths, labels and compression pointers.

A pointer may lead to any place before the name it ends, as long as a name can be read there that
stays before it too: RFC 1035 §4.1.4 asks for "a prior occurrence of the same name". Forward
pointers and loops are impossible by that alone (RFC 9267 §2 has the servers that forgot). Places
inside the data of records are allowed because CoreDNS's library points into those of types that
it does not compress itself (SVCB, NSEC, NAPTR). Octets that are no name may be read as one too, as
every library does; but a reply has another header and other TTLs, so such names have to be
written out (`has_stray_pointer`).
"""

from collections.abc import Container
from typing import Final

from .constants import HEADER_SIZE, MAX_LABEL_SIZE, MAX_NAME_SIZE, POINTER_BITS
from .errors import MalformedMessage

# What is noted of an offset at which a name begins: the octets of the uncompressed name plus, in
# steps of this, the number of pointers in it.
_POINTER_STEP: Final = 512
_OCTETS: Final = _POINTER_STEP - 1
_MAX_POINTERS: Final = 126  # as miekg/dns; more would make long chains slow to follow
_MAX_FORBIDDEN_POINTERS: Final = 16  # where there should be none: nothing is noted there on the way
_POINTER_BASE: Final = POINTER_BITS << 8

# Keys of what is noted besides the offsets of names.
_QUESTION_NAME_END: Final = -1
_STRAY_POINTER: Final = -2
_MAX_NOTED: Final = _MAX_POINTERS * _POINTER_STEP + _OCTETS


def no_places(name_end: int) -> dict[int, int]:
    """An empty `places` for a message whose question name ends at `name_end`."""
    return {_QUESTION_NAME_END: name_end}


def has_stray_pointer(places: dict[int, int]) -> bool:
    """Whether a pointer of the message points to octets that were not read as a name themselves."""
    return _STRAY_POINTER in places


def is_within(name: bytes, zones: Container[bytes]) -> bool:
    """Whether a name is one of `zones` or below one; all in lower case and not compressed."""
    while name not in zones:
        if len(name) == 1:
            return False
        name = name[name[0] + 1 :]
    return True


def question_name_end(packet: bytes, start: int) -> int:
    """Offset just past the name at `start`, which must be uncompressed. Raises MalformedMessage."""
    offset = start
    try:
        while label_size := packet[offset]:
            if label_size > MAX_LABEL_SIZE:
                raise MalformedMessage("question name holds a compression pointer")
            offset += label_size + 1
    except IndexError:
        raise MalformedMessage("question name runs past the end") from None
    if offset + 1 - start > MAX_NAME_SIZE:
        raise MalformedMessage("question name is longer than 255 octets")
    return offset + 1


def read_name_end(packet: bytes, start: int, places: dict[int, int]) -> int:
    """Offset just past the name at `start`, which may end in a compression pointer.

    `places` has the offsets at which names of this message begin, so that a pointer costs one
    look-up; new ones are added. The names of a message must be read in their order. Raises MalformedMessage.
    """
    offset = start
    labels: list[int] = []
    try:
        while (label_size := packet[offset]) and label_size <= MAX_LABEL_SIZE:
            labels.append(offset)
            offset += label_size + 1
        if label_size:
            target = pointer_target(packet, offset)
            rest = _POINTER_STEP + (
                places.get(target) or _read_place(packet, target, start, places)
            )
            end = offset + 2
        else:
            rest, end = 1, offset + 1
    except IndexError:
        raise MalformedMessage("name runs past the end") from None
    if labels:
        if offset - start + (rest & _OCTETS) > MAX_NAME_SIZE:
            raise MalformedMessage("name is longer than 255 octets")
        for label in labels:
            places[label] = offset - label + rest
    if rest > _MAX_NOTED:
        raise MalformedMessage("name has too many compression pointers")
    return end


def pointer_target(packet: bytes, pointer: int) -> int:
    """The offset in the compression pointer at `pointer`, unchecked."""
    target = (packet[pointer] << 8 | packet[pointer + 1]) - _POINTER_BASE
    if target < 0:
        raise MalformedMessage("label type is neither a length nor a pointer")
    return target


def _read_place(packet: bytes, start: int, limit: int, places: dict[int, int]) -> int:
    """Read the name at an offset that is not in `places`, up to `limit`; returns what is noted there.

    All offsets that are passed are noted, so that no octet of a message is read twice.
    """
    question_name_end = places.get(_QUESTION_NAME_END, 0)
    passed: list[tuple[int, int]] = []
    stretch = offset = start  # a stretch is what lies between two pointers
    read = 0
    while True:
        if offset >= limit or read & _OCTETS > MAX_NAME_SIZE or read > _MAX_NOTED:
            raise MalformedMessage("compression pointer does not lead to an earlier name")
        if not HEADER_SIZE <= offset < question_name_end:
            places[_STRAY_POINTER] = 1
        rest = places.get(offset)
        if rest is not None:
            break
        passed.append((offset, read))
        label_size = packet[offset]
        if label_size == 0:
            rest = 1
            break
        if label_size <= MAX_LABEL_SIZE:
            offset += label_size + 1
            read += label_size + 1
        else:
            offset = pointer_target(packet, offset)
            limit, stretch = stretch, offset
            read += _POINTER_STEP
    noted = read + rest
    if noted & _OCTETS > MAX_NAME_SIZE:
        raise MalformedMessage("name is longer than 255 octets")
    for place, before in passed:
        places[place] = noted - before
    return noted


def end_of_compressed(packet: bytes, start: int, end: int) -> int:
    """Offset just past the name at `start` if it ends before `end` in a valid pointer, else 0.

    For data that should have no pointers and may be anything. Each pointer must point further back
    than the one before it, and their number is bounded.
    """
    offset = limit = start
    size = name_end = pointers = 0
    while offset < len(packet) and size < MAX_NAME_SIZE and pointers <= _MAX_FORBIDDEN_POINTERS:
        label_size = packet[offset]
        if label_size == 0:
            return name_end if name_end <= end else 0
        if label_size <= MAX_LABEL_SIZE:
            offset += label_size + 1
            size += label_size + 1
            continue
        if label_size < POINTER_BITS or offset + 2 > len(packet):
            break
        pointers += 1
        name_end = name_end or offset + 2
        offset = pointer_target(packet, offset)
        if not HEADER_SIZE <= offset < limit:
            break
        limit = offset
    return 0


def expanded_name(packet: bytes, start: int, known: dict[int, bytes] | None = None) -> bytes:
    """The uncompressed name at `start` of a message that was read by `read_answer` before.

    `known` caches the names at the offsets pointed to, for callers that expand many.
    """
    parts: list[bytes] = []
    offset = start
    while label_size := packet[offset]:
        if label_size < POINTER_BITS:
            parts.append(packet[offset : offset + label_size + 1])
            offset += label_size + 1
            continue
        offset = pointer_target(packet, offset)
        if known is not None:
            rest = known.get(offset)
            if rest is None:
                rest = known[offset] = expanded_name(packet, offset, known)
            return b"".join(parts) + rest
    return b"".join(parts) + b"\0"
