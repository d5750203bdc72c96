"""Messages on a stream: two octets of length before each (RFC 1035 §4.2.2, RFC 7766 §8)."""

import sys
from itertools import repeat
from typing import Final

_PREFIX_SIZE: Final = 2


def framed(message: bytes) -> bytes:
    """`message` behind its length prefix."""
    return len(message).to_bytes(2, "big") + message


class FrameBuffer:
    """Collects the octets of a stream, and splits them into messages."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def __len__(self) -> int:
        """Octets that are not taken yet."""
        return len(self._kept)

    @property
    def has_message(self) -> bool:
        """Whether a whole message can be taken."""
        kept = self._kept
        return len(kept) >= _PREFIX_SIZE and len(kept) >= _PREFIX_SIZE + (kept[0] << 8 | kept[1])

    @property
    def is_within_one(self) -> bool:
        """Whether a length prefix, or a message behind it, has begun and is not complete."""
        return len(self._kept) not in {0, _PREFIX_SIZE}

    def add(self, data: bytes) -> None:
        """Append octets, to be taken by `feed`."""
        self._kept += data

    def feed(self, data: bytes, max_count: int = sys.maxsize) -> list[bytes]:
        """The messages that `data` completes, in order, without their length prefixes; at most `max_count`."""
        if self._kept:
            data = self._kept + data
        messages = []
        offset = 0
        available = len(data)
        for _ in repeat(None, max_count):
            if offset + _PREFIX_SIZE > available:
                break
            end = offset + _PREFIX_SIZE + (data[offset] << 8 | data[offset + 1])
            if end > available:
                break
            messages.append(data[offset + _PREFIX_SIZE : end])
            offset = end
        self._kept = data[offset:]
        return messages
