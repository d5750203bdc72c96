import os
import socket

import pytest

from nodecache.process.channel import channel_pair, from_descriptor, to_descriptor


@pytest.fixture
def pair():
    ours, theirs = channel_pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_message_arrives_with_its_fields(pair):
    ours, theirs = pair
    assert ours.send("vitals", fields={"repairs": 2})
    message = theirs.receive()
    assert message.kind == "vitals"
    assert message.fields["fields"] == {"repairs": 2}


def test_messages_keep_their_borders(pair):
    ours, theirs = pair
    for kind in ("ready", "alive", "alive"):
        ours.send(kind)
    assert [theirs.receive().kind for _ in range(3)] == ["ready", "alive", "alive"]


def test_nothing_said_is_not_the_end(pair):
    _, theirs = pair
    with pytest.raises(BlockingIOError):
        theirs.receive()


def test_the_other_ends_death_is_told(pair):
    ours, theirs = pair
    ours.close()
    assert theirs.receive() is None
    assert not theirs.send("alive")


def test_a_socket_and_a_large_text_travel_beside_a_message(pair):
    ours, theirs = pair
    text = b"x" * 1_000_000
    descriptor = to_descriptor(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        ours.send("reload", [descriptor, udp.fileno()])
        os.close(descriptor)
        sent, lent = theirs.receive().descriptors
        with socket.socket(fileno=lent) as copy:
            assert copy.getsockname() == udp.getsockname()
    assert from_descriptor(sent) == text
