"""An upstream that answers from records and can misbehave in every way an upstream can.

A behaviour is a function from one `Exchange` to the steps that follow it:

    with FakeUpstream("a.example. 30 IN A 192.0.2.1") as upstream:
        upstream.then(silent, cut_in_half)      # for the next two queries; then it obeys again
        upstream.behave = delayed(0.3)          # for all others
        …
        assert [asked.qname for asked in upstream.asked] == ["a.example."]

It runs in a thread with a loop of its own, so that tests may be plain functions.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from nodecache.demo.records import Records
from nodecache.demo.standin import bind_both, reply_to
from nodecache.wire import FrameBuffer, framed
from tests.patience import PATIENCE_SECONDS

_SOA_OF_ALL = ". 30 IN SOA ns. admin. 1 7200 1800 86400 5"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One query as it came in, and what an honest server would answer."""

    packet: bytes
    transport: str
    answer: bytes

    @property
    def message(self) -> dns.message.Message:
        return dns.message.from_wire(self.packet)

    @property
    def qname(self) -> str:
        return self.message.question[0].name.to_text()

    @property
    def qtype(self) -> str:
        return dns.rdatatype.to_text(self.message.question[0].rdtype)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message: a datagram, or a frame with its length prefix."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Send octets as they are, without a length prefix."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the TCP connection; nothing over UDP."""


Step = Send | Raw | Wait | Close
Behaviour = Callable[[Exchange], Iterable[Step]]


def obey(exchange: Exchange) -> Iterator[Step]:
    yield Send(exchange.answer)


def silent(exchange: Exchange) -> Iterator[Step]:
    yield from ()


def closed(exchange: Exchange) -> Iterator[Step]:
    yield Close()


def truncated(exchange: Exchange) -> Iterator[Step]:
    """TC and nothing else over UDP; all of it over TCP."""
    if exchange.transport == "tcp":
        yield Send(exchange.answer)
        return
    response = dns.message.make_response(exchange.message)
    response.flags |= dns.flags.TC
    yield Send(response.to_wire())


def wrong_id(exchange: Exchange) -> Iterator[Step]:
    yield Send(bytes([exchange.answer[0] ^ 0xFF]) + exchange.answer[1:])


def wrong_question(exchange: Exchange) -> Iterator[Step]:
    other = dns.message.make_query("forged.example.", exchange.qtype, id=exchange.message.id)
    yield Send(dns.message.make_response(other).to_wire())


def garbage(exchange: Exchange) -> Iterator[Step]:
    yield Send(exchange.answer[:2] + b"\xff" * 40)


def cut_in_half(exchange: Exchange) -> Iterator[Step]:
    """Half a datagram; half a frame and then the end of the connection."""
    if exchange.transport == "udp":
        yield Send(exchange.answer[: len(exchange.answer) // 2])
    else:
        yield Raw(framed(exchange.answer)[: len(exchange.answer) // 2])
        yield Close()


def delayed(seconds: float) -> Behaviour:
    def behave(exchange: Exchange) -> Iterator[Step]:
        yield Wait(seconds)
        yield Send(exchange.answer)

    return behave


def twice(exchange: Exchange) -> Iterator[Step]:
    yield Send(exchange.answer)
    yield Send(exchange.answer)


def saying(rcode: str) -> Behaviour:
    """An empty response with `rcode`."""

    def behave(exchange: Exchange) -> Iterator[Step]:
        response = dns.message.make_response(exchange.message, recursion_available=True)
        response.set_rcode(dns.rcode.from_text(rcode))
        yield Send(response.to_wire())

    return behave


class FakeUpstream:
    """Listens on UDP and TCP of one free port of `host` between `with` and its end."""

    def __init__(self, text: str = "", *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.behave: Behaviour = obey
        self.asked: list[Exchange] = []
        self.connections = 0
        self._records = Records(f"{_SOA_OF_ALL}\n{text}")
        self._next: deque[Behaviour] = deque()
        self._news = threading.Condition()
        self._tcp, self._udp = bind_both(host, port)
        self.port: int = self._tcp.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def learn(self, text: str) -> None:
        """Answer from other records from now on."""
        self._records = Records(f"{_SOA_OF_ALL}\n{text}")

    def then(self, *behaviours: Behaviour) -> None:
        """Behave so for the next queries, one each."""
        self._next.extend(behaviours)

    def wait_for(self, count: int) -> list[Exchange]:
        """Wait until `count` queries came in; those that came."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.asked) >= count, PATIENCE_SECONDS), (
                f"{len(self.asked)} of {count} queries came"
            )
            return list(self.asked)

    def hang_up(self) -> None:
        """Close every TCP connection now."""
        self._do(self._abort_all())

    def _do(self, work: "asyncio.coroutines.Coroutine[object, object, None]") -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._endpoint, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), sock=self._udp
        )
        self._server = await loop.create_server(lambda: _Stream(self), sock=self._tcp)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._endpoint.close()
        await self._abort_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _abort_all(self) -> None:
        for transport in self._open:
            transport.abort()

    def receive(self, packet: bytes, transport: str, act: Callable[[Step], None]) -> None:
        """Note one query and carry out what the behaviour says."""
        try:
            dns.message.from_wire(packet)
        except dns.exception.DNSException:
            return
        limit = 65535 if transport == "tcp" else None
        exchange = Exchange(packet, transport, reply_to(self._records, packet, limit) or b"")
        with self._news:
            self.asked.append(exchange)
            self._news.notify_all()
        behave = self._next.popleft() if self._next else self.behave
        task = self._loop.create_task(_carry_out(behave(exchange), act))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _carry_out(steps: Iterable[Step], act: Callable[[Step], None]) -> None:
    for step in steps:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        else:
            act(step)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, upstream: FakeUpstream) -> None:
        self._upstream = upstream

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        def act(step: Step) -> None:
            if isinstance(step, Send | Raw):
                octets = step.packet if isinstance(step, Send) else step.octets
                self._transport.sendto(octets, addr)

        self._upstream.receive(data, "udp", act)

    def error_received(self, exc: Exception) -> None:
        """The asker is gone; so be it."""


class _Stream(asyncio.Protocol):
    def __init__(self, upstream: FakeUpstream) -> None:
        self._upstream = upstream
        self._frames = FrameBuffer()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._upstream.connections += 1
        self._upstream._open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        for packet in self._frames.feed(data):
            self._upstream.receive(packet, "tcp", self._act)

    def _act(self, step: Step) -> None:
        with contextlib.suppress(OSError):
            if isinstance(step, Send):
                self._transport.write(framed(step.packet))
            elif isinstance(step, Raw):
                self._transport.write(step.octets)
            elif isinstance(step, Close):
                self._transport.close()
