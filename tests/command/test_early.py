import socket

import pytest

from nodecache.command.early import bind_early, is_served
from nodecache.config.flags import parse_flags
from nodecache.config.plan import Place
from nodecache.keeper.active_config import InForce
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import close_all, open_sockets
from tests.helpers.agent import HOST, free_port


@pytest.fixture
def port():
    return free_port()


def test_the_local_addresses_are_bound_at_the_dns_port(port):
    early = bind_early(parse_flags(["-localip", f"{HOST},169.254.20.10", "-p", str(port)]))
    try:
        assert list(early) == [ListenAddress(HOST, port), ListenAddress("169.254.20.10", port)]
        with (
            socket.create_connection((HOST, port), 1),
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            udp.sendto(b"waits", (HOST, port))
            assert early[ListenAddress(HOST, port)].udp.recv(100) == b"waits"
    finally:
        close_all(early.values())


def test_without_local_addresses_nothing_is_bound():
    assert bind_early(parse_flags(["-setupinterface=false", "-setupiptables=false"])) == {}


def test_a_port_that_is_taken_is_left_for_the_corefile_to_complain_of(port):
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, port))
        assert bind_early(parse_flags(["-localip", HOST, "-p", str(port)])) == {}


def test_an_agent_at_the_door_is_seen_in_the_kernels_list():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind("\0nodecache-test/seen")
        assert is_served("nodecache-test/seen")
        assert not is_served("nodecache-test/see")
    assert not is_served("nodecache-test/seen")


def test_where_the_list_cannot_be_read_nobody_is_robbed_of_queries(tmp_path):
    assert is_served("any", tmp_path / "none")


class Planned:
    """A configuration that asks for some addresses."""

    def __init__(self, *addresses):
        self.places = tuple(Place(address, ".", 0) for address in addresses)


def test_what_was_bound_early_is_used_and_what_nobody_asks_for_is_closed(port):
    wanted, unwanted = ListenAddress(HOST, port), ListenAddress(HOST, free_port())
    early = {address: open_sockets(address) for address in (wanted, unwanted)}
    served = InForce(Planned(wanted))
    served.open(early, {})
    assert served.sockets == {wanted: early[wanted]}
    assert early[unwanted].udp.fileno() == -1
    served.close()


def test_what_is_lent_goes_before_what_was_bound_early(port):
    address = ListenAddress(HOST, port)
    early, lent = ({address: open_sockets(address)} for _ in range(2))
    served = InForce(Planned(address))
    served.open(early, lent)
    assert served.sockets == lent
    assert early[address].tcp.fileno() == -1
    served.close()
