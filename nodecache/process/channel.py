"""What keeper and worker tell each other, over one Unix socket pair.

Each datagram is a small JSON object; what is larger (a configuration) and what is no text at all
(sockets) travels beside it as file descriptors.
"""

import array
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_MOST_OCTETS = 65_536
_MOST_DESCRIPTORS = 253  # linux: SCM_MAX_FD


@dataclass(frozen=True, slots=True)
class Message:
    """One datagram: its fields, and the descriptors that came with it, now the receiver's."""

    fields: dict[str, Any]
    descriptors: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """What the message is about."""
        return str(self.fields.get("kind", ""))


class Channel:
    """One end of the pair. Never blocks."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._socket.fileno()

    def send(self, kind: str, descriptors: Sequence[int] = (), **fields: Any) -> bool:
        """Send a message; False where the other end is gone or does not read."""
        text = json.dumps({"kind": kind, **fields}).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self._socket.sendmsg([text], rights if descriptors else [])
        except OSError:
            return False
        return True

    def receive(self) -> Message | None:
        """The next message. BlockingIOError: none yet; None: the other end is gone."""
        try:
            text, ancillary, _, _ = self._socket.recvmsg(
                _MOST_OCTETS, socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return None
        if not text:
            return None
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return Message(json.loads(text), tuple(descriptors))

    def close(self) -> None:
        """Give the end up."""
        self._socket.close()


def channel_pair() -> tuple[Channel, Channel]:
    """Two connected ends that keep the borders of messages."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), Channel(theirs)


def to_descriptor(content: bytes) -> int:
    """A descriptor from which `content` can be read, to be sent and closed."""
    descriptor = os.memfd_create("nodecache", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def from_descriptor(descriptor: int) -> bytes:
    """What the other end put into a descriptor; closes it."""
    with open(descriptor, "rb") as file:
        return file.read()
