import array
import contextlib
import os
import socket
import struct

import pytest

from nodecache.process.channel import channel_pair
from nodecache.process.memory_file import open_sealed, to_descriptor
from nodecache.process.messages import Form, LostDescriptors, MalformedControlMessage, MessageForms
from nodecache.process.protocol import FROM_KEEPER, FROM_WORKER
from nodecache.process.vitals import KeeperVitals


@pytest.fixture
def pair():
    """The keeper's end and the worker's."""
    ours, theirs = channel_pair(FROM_KEEPER, FROM_WORKER)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def spoken_to():
    """An end, and the bare socket of somebody who says anything."""
    ours, theirs = channel_pair(FROM_KEEPER, FROM_WORKER)
    stranger = socket.socket(fileno=os.dup(theirs.fileno()))
    theirs.close()
    with stranger:
        yield ours, stranger
    ours.close()


def descriptors_of_ours():
    return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are what is wanted


def with_descriptors(descriptors):
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]


def test_a_message_arrives_with_its_fields(pair):
    ours, theirs = pair
    vitals = KeeperVitals(repairs={"link": 2})
    assert ours.send("vitals", vitals=vitals.to_fields(), reload_failures=1)
    message = theirs.receive()
    assert message.kind == "vitals"
    assert message.fields["reload_failures"] == 1
    assert KeeperVitals.from_fields(message.fields["vitals"]) == vitals


def test_messages_keep_their_borders(pair):
    ours, theirs = pair
    for kind in ("ready", "alive", "alive"):
        theirs.send(kind)
    assert [ours.receive().kind for _ in range(3)] == ["ready", "alive", "alive"]


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
        ours.send("reload", [descriptor, udp.fileno(), udp.fileno()])
        os.close(descriptor)
        sent, *lent = theirs.receive().descriptors
        for each in lent:
            with socket.socket(fileno=each) as copy:
                assert copy.getsockname() == udp.getsockname()
    with open_sealed(sent, len(text)) as file:
        assert file.read() == text


@pytest.mark.parametrize(
    "octets",
    [
        b"x",
        b"\xff\xfe",
        b"[1]",
        b"null",
        b"{}",
        b"[" * 16_000,
        b'{"kind":' + b"1" * 5_000 + b"}",
        b'{"kind":["alive"]}',
        b'{"kind":"reload"}',  # the keeper's word
        b'{"kind":"alive","more":1}',
        b'{"kind":"refused"}',
        b'{"kind":"refused","why":7}',
        b'{"kind":"refused","why":"' + b"x" * 1_001 + b'"}',
        b'{"kind":"cache"}',
        b'{"kind":"alive"}' + b" " * 16_384,
    ],
    ids=lambda octets: ascii(octets[:30]),
)
def test_what_is_of_no_form_is_one_kind_of_error(spoken_to, octets):
    ours, stranger = spoken_to
    stranger.send(octets)
    with pytest.raises(MalformedControlMessage) as raised:
        ours.receive()
    assert len(str(raised.value)) < 300
    stranger.send(b'{"kind":"alive"}')
    assert ours.receive().kind == "alive"


def test_a_reason_is_one_printable_line(spoken_to):
    ours, stranger = spoken_to
    stranger.send(rb'{"kind":"refused","why":"a\n[INFO] nodecache serves\u001b[2J \ud800 \u00e9"}')
    assert ours.receive().fields["why"] == "a?[INFO] nodecache serves?[2J ? é"


@pytest.mark.parametrize("octets", [b'{"kind":"alive"}', b"x", b""], ids=["alive", "x", "empty"])
@pytest.mark.parametrize("count", [1, 2, 253])
def test_descriptors_that_nobody_asked_for_are_closed(spoken_to, octets, count):
    ours, stranger = spoken_to
    before = descriptors_of_ours()
    with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor
        stranger.sendmsg([octets], with_descriptors([file.fileno()] * count))
    if octets:
        with pytest.raises(MalformedControlMessage):
            ours.receive()
    else:
        assert ours.receive() is None
    assert descriptors_of_ours() == before


def test_a_socket_that_lingers_does_not_hold_up_who_is_sent_it(spoken_to):
    """close(2) would wait for the octets that nobody reads: half a minute here."""
    ours, stranger = spoken_to
    with socket.create_server(("127.0.0.1", 0)) as server:
        sent = socket.create_connection(server.getsockname())
        reader, _ = server.accept()
        sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
        sent.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sent.send(b"x" * 65_536)
        stranger.sendmsg([b"x"], with_descriptors([sent.fileno()]))
        sent.close()
        with reader, pytest.raises(MalformedControlMessage):
            ours.receive()


def test_what_is_queued_at_the_end_is_closed_too(spoken_to):
    ours, stranger = spoken_to
    before = descriptors_of_ours()
    with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor
        for _ in range(20):
            stranger.sendmsg([b"x"], with_descriptors([file.fileno()] * 10))
    ours.send("stop")  # unread by who ends: that is told before what is queued
    stranger.close()
    ours.drain()
    assert len(descriptors_of_ours()) == len(before) - 1


def test_descriptors_that_found_no_room_are_told_with_what_they_came_with(monkeypatch):
    monkeypatch.setattr("nodecache.process.channel._ANCILLARY_OCTETS", socket.CMSG_SPACE(4))
    forms = MessageForms(of={"sockets": Form(descriptors=range(1, 254))}, max_octets=100)
    ours, theirs = channel_pair(forms, forms)
    before = descriptors_of_ours()
    with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor
        ours.send("sockets", [file.fileno()] * 5)
    with pytest.raises(LostDescriptors) as raised:
        theirs.receive()
    assert raised.value.kind == "sockets"
    assert descriptors_of_ours() == before
    ours.close()
    theirs.close()
