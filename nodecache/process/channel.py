"""The channel between two of our processes: a Unix socket pair that keeps the borders of messages.

Each datagram is a small JSON object; what is larger (a configuration) and what is no text at all
(sockets) travels beside it as file descriptors. `messages.py` reads it. Descriptors that a message
does not have are closed before anybody sees them.
"""

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from .messages import Message, MessageForms, read_message

# All that the kernel may bring, whatever is expected: those it has no room for here it would close
# itself, and that may wait (see `close_descriptors`). SCM_MAX_FD is 253.
_ANCILLARY_OCTETS = socket.CMSG_SPACE(4 * 253)
_MAX_QUEUED = 10_000  # more than the buffer of a socket holds
_NO_LINGER = struct.pack("ii", 0, 0)


class Channel:
    """One end of the pair; the other one may say what `forms` holds. Never blocks."""

    def __init__(self, end: socket.socket, forms: MessageForms) -> None:
        self._socket = end
        self._forms = forms
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
        """The next message. BlockingIOError: none yet; None: the other end is gone.

        Raises MalformedControlMessage for what is none; its descriptors are closed.
        """
        try:
            octets, ancillary, flags, _ = self._socket.recvmsg(
                self._forms.max_octets + 1, _ANCILLARY_OCTETS, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return None
        descriptors = _descriptors_in(ancillary)
        if not octets:  # also what an empty datagram looks like
            close_descriptors(descriptors)
            return None
        are_lost = bool(flags & socket.MSG_CTRUNC)
        try:
            return read_message(octets, descriptors, self._forms, are_lost=are_lost)
        except ValueError:
            close_descriptors(descriptors)
            raise

    def drain(self) -> None:
        """Discard queued messages; the other end is dead."""
        for _ in range(_MAX_QUEUED):
            try:
                octets, ancillary, _, _ = self._socket.recvmsg(1, _ANCILLARY_OCTETS)
            except ConnectionError:  # told once, before what is queued
                continue
            except BlockingIOError:
                return
            close_descriptors(_descriptors_in(ancillary))
            if not octets:
                return

    def close(self) -> None:
        """Close our end."""
        self._socket.close()


def _descriptors_in(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return list(descriptors)


def close_descriptors(descriptors: Iterable[int]) -> None:
    """Close descriptors that a stranger may have sent, without waiting for anything.

    Closing a TCP socket with SO_LINGER waits for as long as that says (socket(7)), also where the
    socket does not block: its sender could stop the receiver.
    """
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            try:
                sent = socket.socket(fileno=descriptor)
            except OSError:  # no socket
                os.close(descriptor)
                continue
            with sent:
                sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def channel_pair(ours: MessageForms, theirs: MessageForms) -> tuple[Channel, Channel]:
    """Two connected ends; the owner of the first says what is in `ours`, of the second `theirs`."""
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(first, theirs), Channel(second, ours)
