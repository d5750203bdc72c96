"""Reading begins and ends, on either event loop, and takes more at a time where much waits."""

import asyncio
import contextlib
import errno
import socket
from time import monotonic

import pytest
import uvloop

from nodecache.cache import Budget
from nodecache.server.journal import JournalEntry
from nodecache.server.replies import ReplyBudget
from nodecache.server.udp import UdpListener, WildcardUdpListener
from tests.server.test_handler import Door
from tests.server.zone_harness import ADDRESS
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


class OneIsGone(socket.socket):
    """A socket from which nothing can be sent to `gone`."""

    gone: object = None

    def sendto(self, data: bytes, address: object) -> int:
        if address == self.gone:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return super().sendto(data, address)


def test_a_client_that_is_gone_costs_the_others_nothing_when_the_queue_is_drained():
    with OneIsGone(type=socket.SOCK_DGRAM) as udp, contextlib.ExitStack() as opened:
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        clients = [opened.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(3)]
        for client in clients:
            client.connect(udp.getsockname())
        door = Door()
        door.harness.loop.now = monotonic()
        door.harness.keep(ADDRESS)
        listener = UdpListener(udp, door.handler, ReplyBudget(Budget()))
        for _ in range(2):  # the second one has the reply in the table
            clients[0].send(query())
            listener.drain()
        udp.gone = clients[1].getsockname()
        for client in clients[1:]:
            client.send(query())
        listener.drain()
        clients[2].setblocking(False)
        assert clients[2].recv(512)


def test_a_socket_that_notes_nothing_takes_nothing_over():
    """Whoever took a worker over could write any label, and the next one died of a reply without a way back."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        listener = WildcardUdpListener(udp, Door().handler, ReplyBudget(Budget()))
        label = "{}:{}".format(*udp.getsockname())
        assert not listener.take_over(
            JournalEntry(0.0, label, "127.0.0.1", 53, query("a.other. A"))
        )


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
