"""Reading begins and ends, on either event loop."""

import asyncio
import contextlib
import socket

import pytest
import uvloop

from nodecache.cache import Budget
from nodecache.server.replies import ReplyBudget
from nodecache.server.udp import UdpListener
from tests.server.test_handler import Door


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
