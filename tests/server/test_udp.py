"""Reading begins and ends, on either event loop, and takes more at a time where much waits."""

import asyncio
import contextlib
import socket

import pytest
import uvloop

from nodecache.cache import Budget
from nodecache.server.replies import ReplyBudget
from nodecache.server.udp import UdpListener
from tests.server.test_handler import Door
from tests.wire.messages import query


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_listener_begins_to_read_and_stops(make_loop):
    with (
        contextlib.closing(make_loop()) as loop,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        listener = UdpListener(udp, Door().handler, ReplyBudget(Budget()))
        listener.start(loop)
        listener.stop()
        listener.stop()


def test_queries_that_wait_are_taken_in_batches_however_far_apart_the_wake_ups_are():
    """Other work fills the loop's turns: the scrapes of fifty, or clients that flood by TCP."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        client.connect(udp.getsockname())
        client.setblocking(False)
        listener = UdpListener(udp, Door().handler, ReplyBudget(Budget()))
        for _ in range(150):
            client.send(query("a.other. A"))
        for _ in range(20):
            listener._ended_at = 0.0
            listener._readable()
        replies = 0
        with contextlib.suppress(BlockingIOError):
            while client.recv(512):
                replies += 1
        assert replies == 150
