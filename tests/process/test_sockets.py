"""The listening sockets hold what comes while nobody reads, whatever the node's bounds are."""

import os
import socket
from pathlib import Path

import pytest

from nodecache.process import sockets
from nodecache.process.listen import ListenAddress

BOUND = int(Path("/proc/sys/net/core/rmem_max").read_text())
NOBODY = 65534


def receive_buffer() -> int:
    """Octets that the kernel keeps for the UDP socket of a listen address."""
    opened = sockets.open_sockets(ListenAddress("127.0.0.1", 0))
    try:
        return opened.udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    finally:
        opened.close()


@pytest.fixture
def wants_more_than_the_bound(monkeypatch):
    monkeypatch.setattr(sockets, "RECEIVE_OCTETS", BOUND + 4096)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: run the tests with sudo")
def test_with_cap_net_admin_the_bound_of_the_node_does_not_hold(wants_more_than_the_bound):
    assert receive_buffer() == 2 * (BOUND + 4096)


def test_without_it_as_much_as_the_node_permits(wants_more_than_the_bound):
    if os.geteuid() == 0:
        os.seteuid(NOBODY)  # the effective capabilities go with it
    try:
        assert receive_buffer() == 2 * BOUND
    finally:
        os.seteuid(os.getuid())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: run the tests with sudo")
@pytest.mark.parametrize(
    ("host", "option"),
    [
        pytest.param("127.0.0.1", (socket.IPPROTO_IP, 19), id="IPv4"),  # IP_TRANSPARENT
        pytest.param("::1", (socket.IPPROTO_IPV6, 75), id="IPv6"),
        pytest.param("", (socket.IPPROTO_IPV6, 75), id="both"),
    ],
)
def test_the_mark_is_set_whatever_another_process_has_made_of_it(host, option):
    pair = sockets.open_sockets(ListenAddress(host, 0))
    try:
        for is_on in (True, True, False):
            pair.mark(is_on=is_on)
            for each in (pair.udp, pair.tcp):
                assert each.getsockopt(*option) == is_on
                with each.dup() as theirs:
                    theirs.setsockopt(*option, not is_on)
    finally:
        pair.close()


@pytest.mark.parametrize("host", ["192.0.2.77", "2001:db8::77"])
def test_an_address_is_bound_before_the_host_has_it(host):
    pair = sockets.open_sockets(ListenAddress(host, 0))
    assert pair.udp.getsockname()[0] == pair.tcp.getsockname()[0] == host
    pair.close()
