"""Names as they stand in a message: lengths, labels and compression pointers."""

from .constants import MAX_LABEL_SIZE, MAX_NAME_SIZE, POINTER_BITS
from .errors import MalformedMessage


def question_name_end(packet: bytes, start: int) -> int:
    """Offset just past the uncompressed name at `start`: a question has nothing to point at."""
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


def read_name_end(packet: bytes, start: int, sizes: dict[int, int]) -> int:
    """Offset just past the name at `start`, which may end in a compression pointer.

    `sizes` maps the offset of each label seen so far in this message to the octets that the
    name from there on takes when written out. A pointer may only lead to such a place, which
    makes forward pointers, loops and pointers into other data impossible in one look-up
    (RFC 1035 §4.1.4: "a prior occurrence of the same name"; RFC 9267 §2 for why so strict).
    """
    offset = start
    labels: list[int] = []
    try:
        while (label_size := packet[offset]) and label_size <= MAX_LABEL_SIZE:
            labels.append(offset)
            offset += label_size + 1
        if label_size == 0:
            rest, end = 1, offset + 1
        elif label_size >= POINTER_BITS:
            target = (label_size & ~POINTER_BITS) << 8 | packet[offset + 1]
            rest, end = sizes[target], offset + 2
        else:
            raise MalformedMessage("label type is neither a length nor a pointer")
    except IndexError:
        raise MalformedMessage("name runs past the end") from None
    except KeyError:
        raise MalformedMessage("compression pointer does not lead to an earlier name") from None
    if offset - start + rest > MAX_NAME_SIZE:
        raise MalformedMessage("name is longer than 255 octets")
    for label in labels:
        sizes[label] = offset - label + rest
    if label_size == 0:
        sizes[offset] = 1
    return end


def expanded_name(packet: bytes, start: int) -> bytes:
    """The name at `start`, its pointers followed; the message was read by `read_answer` before."""
    parts: list[bytes] = []
    offset = start
    while label_size := packet[offset]:
        if label_size >= POINTER_BITS:
            offset = (label_size & ~POINTER_BITS) << 8 | packet[offset + 1]
            continue
        parts.append(packet[offset : offset + label_size + 1])
        offset += label_size + 1
    return b"".join(parts) + b"\0"
