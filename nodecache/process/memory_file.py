"""Octets on their way to another process, in a memory file that nobody can change any more.

The file is sealed (memfd_create(2), F_ADD_SEALS in fcntl(2)): what was checked stays as it was, and
a reader never waits. Where a descriptor comes from a process that reads what strangers send, it
may be anything: `check_sealed` tells.
"""

import fcntl
import io
import os
import stat

from .messages import MalformedControlMessage

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_BUFFER_OCTETS = 65_536


def new_memory_file() -> int:
    """The descriptor of an empty one, to be written and sealed."""
    return os.memfd_create("nodecache", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(descriptor: int) -> None:
    """Let it be changed no more. OSError where somebody has mapped it to write."""
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)


def to_descriptor(content: bytes) -> int:
    """A sealed file with `content`, to be sent and closed."""
    descriptor = new_memory_file()
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    seal(descriptor)
    return descriptor


def check_sealed(descriptor: int, max_octets: int) -> None:
    """Raise MalformedControlMessage where it is no sealed memory file of up to so many octets."""
    try:
        told = os.fstat(descriptor)
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError as error:
        raise MalformedControlMessage("a descriptor of no memory file") from error
    if not stat.S_ISREG(told.st_mode) or seals & _SEALS != _SEALS:
        raise MalformedControlMessage("a memory file that is not sealed")
    if told.st_size > max_octets:
        raise MalformedControlMessage(f"a memory file of {told.st_size} octets")


class _Whole(io.RawIOBase):
    """Reads from the start, wherever others who have the file open move its offset to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = os.preadv(self._descriptor, [buffer], self._offset)
        self._offset += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_sealed(descriptor: int, max_octets: int) -> io.BufferedReader:
    """Read a sealed file; closing it closes the descriptor. Raises MalformedControlMessage."""
    try:
        check_sealed(descriptor, max_octets)
    except MalformedControlMessage:
        os.close(descriptor)
        raise
    return io.BufferedReader(_Whole(descriptor), _BUFFER_OCTETS)
