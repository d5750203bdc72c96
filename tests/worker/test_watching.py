"""Queries are sampled while somebody watches, and listeners are as they were when nobody does."""

import asyncio
import random
import socket

import pytest

from nodecache.host import probe
from nodecache.server.handler import Handler
from nodecache.worker.control_request import Request
from nodecache.worker.sampling import MEASURES, Sampler
from nodecache.worker.toplist import Top, quantiles
from nodecache.worker.watching import SampledHandler, SampledListeners, SampledSocket
from tests.patience import PATIENCE_SECONDS
from tests.wire.messages import query
from tests.worker.test_serving import RUNNING, Running, config

CLIENT = ("10.244.1.7", 40_000)


def reply_to(packet: bytes, rcode: int) -> bytes:
    return packet[:2] + bytes([0x81, 0x80 | rcode]) + packet[4:]


def counts(sketches: dict, key: str) -> tuple[int, ...]:
    return tuple(sketches[measure].count(key) for measure in MEASURES)


@pytest.fixture
def pair():
    """A listener's socket, and a client's, on loopback."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.setblocking(False)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(server.getsockname())
    client.settimeout(PATIENCE_SECONDS)
    with server, client:
        yield server, client


def sampler(step: int = 1) -> Sampler:
    made = Sampler(asyncio.get_running_loop(), random.Random(1).randrange)
    made.step = step
    return made


def test_a_reply_at_once_is_no_miss_and_a_later_one_is(pair):
    server, client = pair

    async def run():
        counted = sampler()
        with SampledSocket(server, counted) as sampled:
            for is_late, rcode in ((False, 0), (True, 3), (True, 2)):
                client.send(query("A.example. A"))
                packet, address = sampled.recvfrom(512)
                if is_late:
                    await asyncio.sleep(0)
                sampled.sendto(reply_to(packet, rcode), address)
                assert client.recv(512)[:2] == packet[:2]
        return counted

    counted = asyncio.run(run())
    assert counts(counted.names, "a.example.") == (3, 2, 1, 1)
    assert counts(counted.clients, "127.0.0.1") == (3, 2, 1, 1)
    assert server.fileno() > 0  # it stays open


def test_a_query_that_gets_no_reply_is_a_failure_in_the_end(monkeypatch):
    async def run():
        counted = sampler()
        sample = counted.begin(query("a.example. A"), CLIENT)
        counted.begin_waiting("key", sample)
        await asyncio.sleep(0)
        counted.tick(1.0)
        assert counts(counted.names, "a.example.") == (0, 0, 0, 0)
        sample.at -= 11
        counted.tick(1.0)
        return counted

    assert counts(asyncio.run(run()).names, "a.example.") == (1, 1, 0, 1)


def test_one_of_each_step_in_a_row_is_drawn():
    async def run():
        counted = sampler()
        counted.tick(1e6)
        assert counted.step == 64
        drawn = []
        for number in range(64 * 100):
            counted.left -= 1
            if counted.left <= 0:
                drawn.append(number)
                counted.begin(query("a.example. A"), CLIENT)
        return drawn[1:]  # the first one came before the first row

    rows = [(number - 1) // 64 for number in asyncio.run(run())]
    assert rows == list(range(100))[: len(rows)]
    assert len(rows) >= 99


def test_what_is_not_a_query_is_passed_over():
    async def run():
        counted = sampler()
        return [counted.begin(packet, CLIENT) for packet in (b"", b"x" * 12, b"\xff" * 40)]

    assert asyncio.run(run()) == [None, None, None]


def test_the_keepers_own_probe_is_no_client_of_anybodys():
    async def run():
        return sampler().begin(probe.query(7), CLIENT)

    assert asyncio.run(run()) is None


@pytest.mark.parametrize(
    ("rate", "step"), [(0, 1), (500, 1), (501, 4), (8_000, 16), (8_001, 64), (1e9, 64)]
)
def test_the_busier_the_fewer_are_drawn(rate, step):
    async def run():
        counted = sampler()
        counted.tick(rate)
        return counted.step

    assert asyncio.run(run()) == step


def test_listeners_are_as_they_were_when_nobody_watches_any_more():
    async def run():
        running = Running(asyncio.get_running_loop())
        await running.change_to(config(RUNNING))
        (listener,) = running.serving.listeners.values()
        before = listener.udp.socket, listener.tcp.handler
        number = listener.udp.socket.fileno()
        top = Top(running.serving)
        lines = [top.lines(Request(command="top", seconds=0.1)) for _ in range(2)]
        told = [await anext(each) for each in lines]
        assert isinstance(listener.udp.socket, SampledSocket)
        assert listener.udp.socket.fileno() == number
        assert isinstance(listener.tcp.handler, SampledHandler)
        await lines[0].aclose()
        assert isinstance(listener.udp.socket, SampledSocket)
        await lines[1].aclose()
        assert (listener.udp.socket, listener.tcp.handler) == before
        assert isinstance(listener.tcp.handler, Handler)
        running.serving.close()
        return told

    first, _ = asyncio.run(run())
    assert first["queries_per_second"] == 0
    assert first["hit_share"] is None
    assert (first["names"], first["clients"]) == ([], [])


def test_a_listener_that_goes_while_it_is_watched_leaves_no_descriptor():
    async def run():
        running = Running(asyncio.get_running_loop())
        await running.change_to(config(RUNNING))
        watch = SampledListeners(running.serving, sampler())
        watch.cover()
        (listener,) = running.serving.listeners.values()
        sampled = listener.udp.socket
        running.serving.listeners.clear()
        watch.cover()
        assert socket.socket.fileno(sampled) == -1
        assert not isinstance(listener.udp.socket, SampledSocket)
        watch.end()
        listener.close()
        running.serving.close()

    asyncio.run(run())


def test_nobody_is_bound_any_more_to_an_address_that_goes_while_it_is_watched():
    """Queries for it belong to another agent, or to kube-dns, and nobody would have read them."""

    async def run():
        running = Running(asyncio.get_running_loop())
        await running.change_to(config(RUNNING))
        watch = SampledListeners(running.serving, sampler())
        watch.cover()
        (address,) = running.serving.listeners
        running.serving.pause([address])
        with socket.socket(type=socket.SOCK_DGRAM) as another:
            another.bind((address.host, address.port))
        watch.end()
        running.serving.close()

    asyncio.run(run())


def test_quantiles_are_the_bounds_below_which_replies_were_sent():
    buckets = [90, 5, 4, *[0] * 13, 1]
    assert quantiles(buckets) == {"p50": 0.25, "p95": 0.5, "p99": 1.0}
    assert quantiles([*[0] * 16, 1]) == {"p50": None, "p95": None, "p99": None}
    assert quantiles([0] * 17) == {}
