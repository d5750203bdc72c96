"""Two keepers' doors, with real sockets in one process."""

import errno
import json
import os
import socket
import threading
from collections import deque
from time import monotonic

import pytest

from nodecache.config.flags import parse_flags
from nodecache.keeper.handover import Handover, Stage
from nodecache.keeper.handover_messages import PROTOCOL, Claim
from nodecache.keeper.handover_socket import HELLO_SECONDS, MAX_WAITING, HandoverSocket, name_of
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import close_all, open_sockets
from tests.helpers.agent import free_port
from tests.patience import PATIENCE_SECONDS

SEQPACKET = socket.SOCK_SEQPACKET
HELLO = json.dumps({"kind": "hello", "protocol": PROTOCOL, "version": "0"}).encode()


class KeeperActions:
    """A keeper that has sockets and does nothing with them."""

    def __init__(self, *addresses):
        self.sockets = {address: open_sockets(address) for address in addresses}
        self.deeds = deque()

    def lend(self):
        return list(self.sockets), [fd for pair in self.sockets.values() for fd in pair.descriptors]

    def claim(self):
        return Claim(frozenset(self.sockets), frozenset(), makes_rules=True)

    def release_node(self, claim):
        self.deeds.append(claim.addresses)

    def take_over(self):
        self.deeds.append("take over")

    def take_back(self):
        self.deeds.append("take back")


class Keeper:
    def __init__(self, name, *addresses):
        self.actions = KeeperActions(*addresses)
        self.handover = Handover(self.actions)
        self.door = HandoverSocket(name, self.handover)

    def turn(self):
        self.door.turn(monotonic())

    def close(self):
        self.door.close_in_child()
        close_all(self.actions.sockets.values())


@pytest.fixture
def name():
    return f"nodecache-test/{os.getpid()}"


@pytest.fixture
def address():
    return ListenAddress("127.0.0.1", free_port())


@pytest.fixture
def old(name, address):
    keeper = Keeper(name, address)
    keeper.turn()
    yield keeper
    keeper.close()


@pytest.fixture
def new(name):
    keeper = Keeper(name)
    yield keeper
    keeper.close()


def knock(old, new, wanted):
    """The call waits for an answer, so the one that serves turns meanwhile."""
    is_over = threading.Event()

    def serve():
        while not is_over.wait(0.005):
            old.turn()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        lent = new.door.request(wanted)
    finally:
        is_over.set()
        serving.join()
    new.actions.sockets |= lent
    return lent


def test_nobody_there_is_an_ordinary_start(new, address):
    assert new.door.request([address]) == {}
    assert new.handover.has_node


def test_the_sockets_come_over_and_the_node_follows(old, new, address):
    lent = knock(old, new, [address])
    udp, tcp = lent[address].udp, lent[address].tcp
    assert udp.getsockname() == tcp.getsockname() == ("127.0.0.1", address.port)
    assert not new.handover.ready(monotonic())
    old.turn()
    assert list(old.actions.deeds) == [frozenset({address})]
    old.handover.node_released()
    new.turn()
    assert new.handover.has_node
    assert list(new.actions.deeds) == ["take over"]
    assert new.handover.predecessor is not None


def test_an_address_that_is_not_wanted_stays_where_it_is(old, new, address):
    other = ListenAddress("127.0.0.1", free_port())
    assert knock(old, new, [other]) == {}
    old.turn()
    assert old.handover.successor is None
    assert new.handover.has_node


def test_only_the_one_that_serves_is_found(old, new, name, address):
    knock(old, new, [address])
    new.handover.ready(monotonic())
    old.turn()
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX, SEQPACKET) as client:
        client.connect(f"\0{name}")
    old.handover.node_released()
    new.turn()
    with socket.socket(socket.AF_UNIX, SEQPACKET) as client:
        client.connect(f"\0{name}")
        client.send(HELLO)
        new.turn()  # lets it in
        new.turn()
        assert new.handover.successor is not None


def test_the_end_of_a_keeper_is_heard(old, new, address):
    knock(old, new, [address])
    new.close()
    old.turn()
    assert old.handover.successor is None
    assert old.handover.stage is Stage.SERVING


@pytest.mark.parametrize(
    "octets", [b"", b"\xff", b"[]", b"7", b"{}", b'{"kind":"take"}', b"[" * 60_000]
)
def test_octets_that_are_no_message_are_hung_up_on(old, name, octets):
    with socket.socket(socket.AF_UNIX, SEQPACKET) as client:
        client.connect(f"\0{name}")
        old.turn()
        client.send(octets)
        client.shutdown(socket.SHUT_WR)
        for _ in range(3):
            old.turn()
    assert old.handover.successor is None
    assert old.handover.has_node


def test_an_agent_that_says_no_is_no_predecessor(new, name, address, caplog):
    with Another(name, b'{"kind":"no","why":"protocol 1 is not 2"}'):
        assert new.door.request([address]) == {}
    assert "protocol 1 is not 2" in caplog.text
    assert new.handover.has_node


@pytest.mark.parametrize(
    "reply",
    [
        b'{"kind":"sockets","protocol":2,"makes_rules":true,"addresses":[["127.0.0.1",53]]}',
        b'{"kind":"sockets","protocol":3,"makes_rules":true,"addresses":[]}',
        b'{"kind":"sockets","protocol":2}',
        b"no json",
        b"[" * 60_000,
        b"",
    ],
)
def test_sockets_that_are_not_what_was_said_are_not_taken(new, name, address, reply):
    with Another(name, reply):
        assert new.door.request([address]) == {}
    assert new.handover.has_node


class Another:
    """Something at the door that answers with `reply` whatever it is asked; b"" hangs up."""

    def __init__(self, name, reply):
        self._server = socket.socket(socket.AF_UNIX, SEQPACKET)
        self._server.bind(f"\0{name}")
        self._server.listen()
        self._reply = reply
        self._thread = threading.Thread(target=self._answer)

    def _answer(self):
        with self._server.accept()[0] as peer:
            peer.recv(1000)
            if self._reply:
                peer.send(self._reply)
                peer.recv(1000)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._thread.join()
        self._server.close()


def test_a_name_that_is_taken_is_free_once_its_owner_has_gone(old, name, address):
    other = Keeper(name)
    other.turn()
    assert other.door.next_wake() < float("inf")  # tries again
    old.close()
    other.door.turn(monotonic() + 2)
    assert other.door.next_wake() == float("inf")
    other.close()


def test_whose_name_has_gone_to_another_agent_can_tell(old, name, address):
    old.door.close()
    assert not old.door.is_taken()
    other = Keeper(name, ListenAddress("127.0.0.1", free_port()))
    other.turn()
    assert old.door.is_taken()
    other.close()
    assert not old.door.is_taken()


def test_without_a_descriptor_it_is_tried_again_and_nobody_is_taken_for_another_agent(
    name, address, monkeypatch
):
    def refuse(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    keeper = Keeper(name, address)
    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", refuse)
        keeper.door.turn(100.0)
        assert keeper.door.next_wake() == 101.0
        assert not keeper.door.is_taken()
    keeper.door.turn(101.0)
    assert keeper.door.next_wake() == float("inf")
    keeper.close()


def test_agents_of_other_addresses_ports_or_interfaces_have_other_names():
    arguments = [
        ["-localip", "169.254.20.10,10.96.0.10"],
        ["-localip", "169.254.20.10"],
        ["-localip", "169.254.20.10", "-p", "54"],
        ["-localip", "169.254.20.10", "-interfacename", "other"],
        ["-localip", "169.254.20.10", "-setupinterface=false"],
    ]
    names = {name_of(parse_flags(each), [ListenAddress("169.254.20.10", 53)]) for each in arguments}
    assert len(names) == len(arguments)


def test_the_order_of_addresses_and_the_corefile_do_not_change_the_name():
    one = parse_flags(["-localip", "169.254.20.10,10.96.0.10"])
    other = parse_flags(["-localip", "10.96.0.10,169.254.20.10"])
    assert name_of(one, []) == name_of(other, [ListenAddress("::1", 53)])


def test_without_local_addresses_what_is_listened_on_makes_the_name():
    flags = parse_flags(["-setupinterface=false", "-setupiptables=false"])
    assert name_of(flags, [ListenAddress("127.0.0.1", 1)]) != name_of(
        flags, [ListenAddress("127.0.0.1", 2)]
    )


def connected(name):
    client = socket.socket(socket.AF_UNIX, SEQPACKET)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(f"\0{name}")
    return client


def test_peers_that_say_nothing_are_no_successors_and_hold_up_nobody(old, new, name, address):
    silent = [connected(name) for _ in range(3)]
    for _ in silent:
        old.turn()
    assert old.handover.successor is None
    assert old.handover.may_stop(0.0)
    assert address in knock(old, new, [address])
    for each in silent:
        each.close()


def test_a_peer_is_given_so_long_to_say_hello(old, name):
    with connected(name) as client:
        old.turn()
        assert old.door.next_wake() <= monotonic() + HELLO_SECONDS
        old.door.turn(monotonic() + HELLO_SECONDS)
        assert client.recv(100) == b""
        assert old.door.next_wake() == float("inf")


def test_of_too_many_peers_the_oldest_gives_way(old, name):
    peers = []
    for _ in range(MAX_WAITING + 2):
        peers.append(connected(name))
        old.turn()
    assert [each.recv(100) for each in peers[:2]] == [b"", b""]
    peers[-1].send(HELLO)
    old.turn()
    assert b'"sockets"' in peers[-1].recv(65_536)
    for each in peers:
        each.close()


def test_without_a_descriptor_to_spare_the_door_is_closed_for_a_moment(old, name, monkeypatch):
    def refuse(_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with connected(name):
        with monkeypatch.context() as full:
            full.setattr(socket.socket, "accept", refuse)
            old.turn()
        assert monotonic() < old.door.next_wake() < float("inf")
        old.door.turn(monotonic() + 2)
    with connected(name) as client:
        client.send(HELLO)
        old.turn()
        old.turn()
        assert old.handover.successor is not None
