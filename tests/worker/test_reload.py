"""What comes over the channel when the worker has no room for the descriptors it was sent."""

import errno
import os
import pickle
import socket

import pytest

from nodecache.process.listen import ListenAddress
from nodecache.process.memory_file import to_descriptor
from nodecache.process.messages import Message
from nodecache.worker.agent import received_configuration

ADDRESS = ListenAddress("127.0.0.1", 53)


def sent(*lent: int) -> Message:
    descriptor = to_descriptor(pickle.dumps(("a configuration", [ADDRESS])))
    return Message("reload", {}, (descriptor, *lent))


def duplicates(count: int) -> list[int]:
    with socket.socket(type=socket.SOCK_DGRAM) as each:
        return [os.dup(each.fileno()) for _ in range(count)]


def test_a_configuration_comes_with_two_sockets_an_address():
    config, sockets = received_configuration(sent(*duplicates(2)))
    assert config == "a configuration"
    assert list(sockets) == [ADDRESS]
    sockets[ADDRESS].close()


@pytest.mark.parametrize("arrived", [0, 1])
def test_sockets_that_were_lost_on_the_way_are_an_error_and_the_others_are_closed(arrived):
    lent = duplicates(arrived)
    with pytest.raises(OSError, match="Too many open files") as raised:
        received_configuration(sent(*lent))
    assert raised.value.errno == errno.EMFILE
    for each in lent:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(each)
