"""Whatever octets and descriptors a peer sends: nothing is raised, nothing leaks, the keeper lives."""

import array
import contextlib
import json
import logging
import os
import socket
import threading
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodecache.keeper.handover import Handover
from nodecache.keeper.handover_messages import FORMS, PROTOCOL, Claim
from nodecache.keeper.handover_socket import HandoverSocket
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import close_all

ADDRESS = ListenAddress("127.0.0.1", 5353)
NAME = f"nodecache-test/fuzz-{os.getpid()}"

_texts = st.text(max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=8,
)
_addresses = st.lists(
    st.just(["127.0.0.1", 5353]) | st.lists(_json, max_size=3) | _json, max_size=3
)
_fields = st.fixed_dictionaries(
    {"kind": st.sampled_from([*FORMS.of, "news"]) | _json},
    optional={
        "protocol": st.just(PROTOCOL) | _json,
        "version": _json,
        "addresses": _addresses | _json,
        "pages": st.lists(_texts, max_size=3) | _json,
        "makes_rules": st.booleans() | _json,
        "why": _json,
    },
)
_octets = st.binary(max_size=200) | _fields.map(lambda each: json.dumps(each).encode())
_kinds = st.lists(st.sampled_from(["file", "pipe", "unix", "udp", "tcp"]), max_size=5)
_messages = st.lists(st.tuples(_octets, _kinds), max_size=6)


class KeeperActions:
    """A keeper that has nothing to lend and does nothing; what it is asked to do is not counted."""

    def lend(self):
        return [], []

    def claim(self):
        return Claim(frozenset(), frozenset(), makes_rules=True)

    def release_node(self, claim):
        """Let go."""

    def receive_cache(self, descriptors):
        """Take a cache; a copy, it is closed by who called."""

    def take_over(self):
        """Hold up the node."""

    def take_back(self):
        """Hold up the node again."""


def open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def send(peer, octets, kinds):
    """A message with a descriptor of each of these kinds; they are the receiver's alone then."""
    with contextlib.ExitStack() as ours:
        files = [ours.enter_context(contextlib.closing(made(kind))) for kind in kinds]
        rights = array.array("i", [each.fileno() for each in files])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if files else []
        with contextlib.suppress(OSError):  # hung up on
            peer.sendmsg([octets], ancillary)


def made(kind):
    if kind == "file":
        return open(os.devnull, "rb")  # noqa: PTH123 - a descriptor
    if kind == "pipe":
        reader, writer = os.pipe()
        os.close(writer)
        return open(reader, "rb")  # noqa: PTH123
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)


def settled(door):
    for _ in range(12):
        door.turn(monotonic())


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Each of thousands of refusals is a line."""

    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages=_messages, is_greeted=st.booleans())
def test_who_serves_lives_on_whatever_a_successor_says(messages, is_greeted):
    handover = Handover(KeeperActions())
    door = HandoverSocket(NAME, handover)
    settled(door)
    before = open_files()
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.connect(f"\0{NAME}")
    if is_greeted:
        send(peer, json.dumps({"kind": "hello", "protocol": PROTOCOL, "version": ""}).encode(), [])
    for octets, kinds in messages:
        send(peer, octets, kinds)
        settled(door)
    peer.close()
    settled(door)
    if not handover.has_node:  # it was asked to let go, properly
        handover.node_released()
        settled(door)
    assert handover.has_node
    assert open_files() == before
    door.close_in_child()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reply=_octets.filter(len), kinds=_kinds, messages=_messages)
def test_who_arrives_serves_in_the_end_whatever_its_predecessor_says(reply, kinds, messages):
    before = open_files()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(f"\0{NAME}")
    server.listen()
    peers = []

    def answer():
        peers.append(server.accept()[0])
        peers[0].recv(1000)
        send(peers[0], reply, kinds)

    answering = threading.Thread(target=answer)
    answering.start()
    handover = Handover(KeeperActions())
    door = HandoverSocket(NAME, handover)
    lent = door.request([ADDRESS])
    answering.join()
    handover.ready(monotonic())
    for octets, sent in messages:
        send(peers[0], octets, sent)
        settled(door)
    peers[0].close()
    settled(door)
    server.close()
    assert handover.has_node
    close_all(lent.values())
    door.close_in_child()
    assert open_files() == before
