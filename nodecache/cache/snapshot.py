"""The cache as octets, for the agent that takes over from this one.

What is written is what cannot be known from the answer itself: the key, the message as upstream
wrote it, when it came (monotonic seconds, the same for every process of the node) and how often it
is used. The reader reads the message as if a stranger had sent it: offsets, kind and TTL
are found out anew.

    nodecache cache 1↵                                          the form, and its version
    Z  digest of the block (32 octets)                          whose answers follow
    E  stored_at, frequency, sizes of key and message; both         one answer
    .                                                           all is told
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from nodecache.wire import Answer, MalformedMessage, read_answer

from .entry import Entry

FORM: Final = b"nodecache cache 1\n"
DIGEST_SIZE: Final = 32
_ENTRY: Final = Struct("=dBHH")
_ZONE: Final = b"Z"
_ANSWER: Final = b"E"
_END: Final = b"."
_HEADER_SIZE: Final = 12


class MalformedCache(Exception):
    """Octets that `zone_head` and `packed` do not write; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """One answer of another agent's cache, from the block with `digest`; checked."""

    digest: bytes
    key: bytes
    answer: Answer
    stored_at: float
    frequency: int


def zone_head(digest: bytes) -> bytes:
    """The octets before the answers of a block."""
    return _ZONE + digest


def packed(entry: Entry) -> bytes:
    """One entry as octets; b"" for one with Extended DNS Errors, which are not in its message."""
    if entry.ede:
        return b""
    head = _ENTRY.pack(entry.stored_at, entry.frequency, len(entry.key), len(entry.wire))
    return _ANSWER + head + entry.key + entry.wire


def end() -> bytes:
    """The octets after the last answer."""
    return _END


def unpacked(read: Callable[[int], bytes]) -> Iterator[SnapshotEntry | None]:
    """Every answer that `read` (so many octets, fewer at the end) gives; None for one passed over.

    Raises MalformedCache where the form is broken: what came before stands for itself.
    """
    if read(len(FORM)) != FORM:
        raise MalformedCache("another form, or another version of it")
    digest = b""
    while (mark := read(1)) != _END:
        if mark == _ZONE:
            digest = _exactly(read, DIGEST_SIZE)
        elif mark == _ANSWER and digest:
            stored_at, frequency, key_size, size = _ENTRY.unpack(_exactly(read, _ENTRY.size))
            key, wire = _exactly(read, key_size), _exactly(read, size)
            answer = _checked(key, wire)
            yield (
                SnapshotEntry(digest, key, answer, stored_at, frequency)
                if answer is not None
                else None
            )
        else:
            raise MalformedCache("cut off" if not mark else f"no mark: {mark!r}")


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    octets = read(size)
    if len(octets) != size:
        raise MalformedCache("cut off")
    return octets


def _checked(key: bytes, wire: bytes) -> Answer | None:
    """The answer, if it is one and its question is that of the key; else None."""
    try:
        answer = read_answer(wire)
    except MalformedMessage:
        return None
    name_end = answer.question_end - 4
    asked = wire[_HEADER_SIZE:name_end].lower() + wire[name_end : answer.question_end]
    is_its = key[:-1] == asked and key[-1] <= _MAX_FLAGS
    return answer if is_its and answer.wire == wire else None


_MAX_FLAGS: Final = 3  # DO and CD
