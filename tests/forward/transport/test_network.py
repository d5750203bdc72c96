"""Real sockets on loopback, on both event loops."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable

import pytest
import uvloop

from nodecache.forward import Endpoint, Network
from nodecache.forward.runtime import Stream
from tests.helpers.agent import free_port
from tests.patience import PATIENCE_SECONDS

LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


class Told:
    """A receiver for streams and datagrams: everything it is told, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.events: list[tuple] = []
        self._loop = loop
        self._changed = asyncio.Event()

    def opened(self, now: float) -> None:
        self._note("opened")

    def received(self, data: bytes, now: float) -> None:
        self._note("received", data)

    def closed(self, error: Exception | None, now: float) -> None:
        self._note("closed", error)

    def refused(self, error: OSError, now: float) -> None:
        self._note("refused", error)

    def _note(self, *event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_so():
                await self._changed.wait()
                self._changed.clear()

    async def until_told(self, kind: str) -> tuple:
        await self.until(lambda: any(event[0] == kind for event in self.events))
        return next(event for event in self.events if event[0] == kind)

    @property
    def octets(self) -> bytes:
        return b"".join(event[1] for event in self.events if event[0] == "received")


def run(new_loop, test) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(test())


def listener() -> tuple[socket.socket, Endpoint]:
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, Endpoint("127.0.0.1", listening.getsockname()[1])


async def opened() -> tuple[socket.socket, Told, Stream]:
    """Who listens, who is told, and a stream that is open."""
    loop = asyncio.get_running_loop()
    listening, endpoint = listener()
    told = Told(loop)
    stream = Network(loop).open_stream(endpoint, told)
    await told.until_told("opened")
    return listening, told, stream


@LOOPS
def test_a_stream_carries_octets_both_ways_and_ends(new_loop):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        listening, endpoint = listener()
        told = Told(loop)
        stream = Network(loop).open_stream(endpoint, told)
        assert told.events == []
        stream.write(b"early ")
        await told.until_told("opened")
        assert stream.local.startswith("127.0.0.1:")
        stream.write(b"bird")
        peer, _ = listening.accept()
        await asyncio.to_thread(_read, peer, 10)
        assert stream.is_acknowledged()
        peer.sendall(b"worm")
        await told.until(lambda: told.octets == b"worm")
        peer.close()
        assert await told.until_told("closed") == ("closed", None)
        stream.write(b"nobody")
        stream.close()
        listening.close()

    run(new_loop, test)


@LOOPS
def test_more_than_the_kernel_takes_at_once_arrives_whole(new_loop):
    async def test() -> None:
        listening, _, stream = await opened()
        peer, _ = listening.accept()
        data = bytes(range(256)) * 40_000
        stream.write(data[:9_000_000])
        begin = await asyncio.to_thread(_read, peer, 8_500_000)
        stream.write(data[9_000_000:])
        assert begin + await asyncio.to_thread(_read, peer, len(data) - len(begin)) == data
        stream.close()
        peer.close()
        listening.close()

    run(new_loop, test)


@LOOPS
def test_a_server_that_reads_nothing_is_given_up_after_some_megabytes(new_loop):
    async def test() -> None:
        listening, told, stream = await opened()
        for _ in range(1000):
            stream.write(bytes(100_000))
            await asyncio.sleep(0)
            if "closed" in [event[0] for event in told.events]:
                break
        _, error = await told.until_told("closed")
        assert "does not read" in str(error)
        listening.close()

    run(new_loop, test)


@LOOPS
def test_a_refused_connection_is_told_after_the_call(new_loop):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        listening, endpoint = listener()
        listening.close()
        told = Told(loop)
        Network(loop).open_stream(endpoint, told)
        assert told.events == []
        _, error = await told.until_told("closed")
        assert isinstance(error, ConnectionRefusedError)

    run(new_loop, test)


@LOOPS
def test_no_way_at_all_is_told_after_the_call(new_loop):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        told = Told(loop)
        Network(loop).open_stream(Endpoint("192.0.2.1"), told, None, "203.0.113.1")
        assert told.events == []
        _, error = await told.until_told("closed")
        assert isinstance(error, OSError)

    run(new_loop, test)


@LOOPS
def test_nothing_is_told_after_close(new_loop):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        listening, endpoint = listener()
        told = Told(loop)
        stream = Network(loop).open_stream(endpoint, told)
        stream.close()
        other = Told(loop)
        last = Network(loop).open_stream(endpoint, other)
        await other.until_told("opened")
        last.close()
        assert told.events == []
        listening.close()

    run(new_loop, test)


@LOOPS
@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_what_is_closed_keeps_no_receiver_alive(new_loop, kind):
    """Both know each other: with a cycle, only a garbage collector would free them."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        listening, endpoint = listener()
        told = Told(loop)
        gone = weakref.ref(told)
        network = Network(loop)
        if kind == "stream":
            told.end = network.open_stream(endpoint, told)
            await told.until_told("opened")
        else:
            told.end = network.open_datagram(endpoint, told)
        gc.collect()
        gc.disable()
        try:
            told.end.close()
            del told
            await asyncio.sleep(0)
            assert gone() is None
        finally:
            gc.enable()
        listening.close()

    run(new_loop, test)


@LOOPS
def test_a_datagram_comes_only_from_where_it_was_sent(new_loop):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        server, stranger = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        server.bind(("127.0.0.1", 0))
        told = Told(loop)
        endpoint = Endpoint("127.0.0.1", server.getsockname()[1])
        datagram = Network(loop).open_datagram(endpoint, told)
        assert datagram.send(b"question") is None
        packet, address = await asyncio.to_thread(server.recvfrom, 100)
        assert packet == b"question"
        assert datagram.local == f"{address[0]}:{address[1]}"
        stranger.sendto(b"forged", address)
        server.sendto(b"answer", address)
        await told.until_told("received")
        assert told.octets == b"answer"
        datagram.close()
        datagram.close()
        server.close()
        stranger.close()

    run(new_loop, test)


@LOOPS
@pytest.mark.parametrize("size", [4097, 65_507])
def test_a_datagram_of_any_size_comes_whole(new_loop, size):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        told = Told(loop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.bind(("127.0.0.1", 0))
            datagram = Network(loop).open_datagram(Endpoint(*upstream.getsockname()), told)
            datagram.send(b"?")
            upstream.settimeout(PATIENCE_SECONDS)
            _, asker = upstream.recvfrom(16)
            upstream.sendto(b"x" * size, asker)
            await told.until_told("received")
            datagram.close()
        assert len(told.octets) == size

    run(new_loop, test)


@LOOPS
def test_a_port_where_nobody_listens_is_told(new_loop):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        endpoint = Endpoint("127.0.0.1", free_port())
        told = Told(loop)
        datagram = Network(loop).open_datagram(endpoint, told)
        datagram.send(b"question")
        _, error = await told.until_told("refused")
        assert isinstance(error, ConnectionRefusedError)
        datagram.close()

    run(new_loop, test)


@LOOPS
@pytest.mark.parametrize("is_told_by", ["reading", "sending"])
def test_a_port_that_nobody_had_for_a_moment_is_heard_again(new_loop, is_told_by):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        address = ("127.0.0.1", free_port())
        told = Told(loop)
        datagram = Network(loop).open_datagram(Endpoint(*address), told)
        assert datagram.send(b"question") is None
        if is_told_by == "reading":
            await told.until_told("refused")
        else:
            assert isinstance(datagram.send(b"question"), ConnectionRefusedError)
            await asyncio.sleep(0)
        with socket.socket(type=socket.SOCK_DGRAM) as back:
            back.bind(address)
            for _ in range(3):  # the first may only tell what became of the one before
                datagram.send(b"question")
                await asyncio.sleep(0)
            _, client = back.recvfrom(100)
            back.sendto(b"answer", client)
            await told.until_told("received")
        datagram.close()

    run(new_loop, test)


def test_ports_are_drawn_at_random():
    async def test() -> None:
        loop = asyncio.get_running_loop()
        network, told = Network(loop), Told(loop)
        opened = [network.open_datagram(Endpoint("127.0.0.1"), told) for _ in range(8)]
        ports = {int(datagram.local.rpartition(":")[2]) for datagram in opened}
        for datagram in opened:
            datagram.close()
        assert len(ports) == 8
        assert max(ports) - min(ports) > 8

    run(asyncio.new_event_loop, test)


@pytest.mark.parametrize(
    ("host", "port", "listens", "is_so"),
    [
        pytest.param("169.254.20.10", 53, ("169.254.20.10", 53), True, id="our address"),
        pytest.param("169.254.20.10", 5353, ("169.254.20.10", 53), False, id="another port"),
        pytest.param("127.0.0.1", 53, ("0.0.0.0", 53), True, id="wildcard, local address"),
        pytest.param("::1", 53, ("::", 53), True, id="wildcard, IPv6"),
        pytest.param("192.0.2.53", 53, ("", 53), False, id="wildcard, address of others"),
    ],
)
def test_our_own_address_is_known(host, port, listens, is_so):
    network = Network(None)
    assert network.is_own(Endpoint(host, port), frozenset({listens})) is is_so


def _read(peer: socket.socket, size: int) -> bytes:
    peer.settimeout(PATIENCE_SECONDS)
    data = b""
    while len(data) < size and (part := peer.recv(1 << 20)):
        data += part
    return data
