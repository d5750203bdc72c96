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
