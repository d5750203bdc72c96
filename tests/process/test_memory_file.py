import os
import socket

import pytest

from nodecache.process.memory_file import check_sealed, new_memory_file, open_sealed, to_descriptor
from nodecache.process.messages import MalformedControlMessage


def test_a_sealed_file_is_read_whole_wherever_others_move_its_offset():
    descriptor = to_descriptor(b"x" * 200_000)
    other = os.dup(descriptor)
    with open_sealed(descriptor, 200_000) as file:
        read = file.read(70_000)
        os.lseek(other, 0, os.SEEK_SET)
        read += file.read()
    os.close(other)
    assert read == b"x" * 200_000


def test_a_sealed_file_cannot_be_changed():
    descriptor = to_descriptor(b"some")
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"more", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def _a_pipe():
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end


def _a_socket():
    return socket.socket().detach()


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (_a_pipe, "no memory file"),
        (_a_socket, "no memory file"),
        (lambda: os.open(__file__, os.O_RDONLY), "no memory file"),
        (new_memory_file, "not sealed"),
        (lambda: to_descriptor(b"x" * 101), "101 octets"),
    ],
    ids=["pipe", "socket", "file", "unsealed", "large"],
)
def test_whatever_else_a_descriptor_may_be_is_told_and_closed(made, what):
    descriptor = made()
    with pytest.raises(MalformedControlMessage, match=what):
        check_sealed(descriptor, 100)
    with pytest.raises(MalformedControlMessage, match=what):
        open_sealed(descriptor, 100)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)
