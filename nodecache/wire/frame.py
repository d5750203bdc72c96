"""Messages on a stream: two octets of length before each (RFC 1035 §4.2.2, RFC 7766 §8)."""

_PREFIX_SIZE = 2


def framed(message: bytes | bytearray) -> bytes:
    """`message` behind its length prefix."""
    return len(message).to_bytes(2, "big") + message


class FrameBuffer:
    """Octets of a stream that do not yet make a whole message."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def __len__(self) -> int:
        """Octets waiting for the rest of their message."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order, without their prefixes."""
        if self._kept:
            data = self._kept + data
        messages = []
        offset = 0
        available = len(data)
        while offset + _PREFIX_SIZE <= available:
            end = offset + _PREFIX_SIZE + (data[offset] << 8 | data[offset + 1])
            if end > available:
                break
            messages.append(data[offset + _PREFIX_SIZE : end])
            offset = end
        self._kept = data[offset:]
        return messages
