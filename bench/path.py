"""A query's whole way through the server in this process: everything but the system calls.

The upstream is a stream that has every answer ready, so that a figure hangs on nobody else: the
best of several short runs is what the code costs, also on a busy machine.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from bench.build import COMPILED
from bench.context import Bench
from bench.micro import answer_packet, query_packet
from bench.table import markdown_table
from bench.traffic import case_names, hit_names, new_names
from nodecache.cache import Budget
from nodecache.corefile import parse
from nodecache.forward import Endpoint, UpstreamRegistry
from nodecache.server import Handler, InflightLimiter, ServerCounts, ZoneBinding, Zones
from nodecache.wire import framed
from nodecache.worker.agent import COLLECT_AT
from nodecache.worker.assembly import WorkerContext, build

BATCH = 20  # queries a turn of the loop, as under load
QUERIES = 20_000
RUNS = 5
MICROSECONDS = 1e6
COOKIE = b"\0\x0c\0\x0a\0\x08abcdefgh"
SOA = (
    b"\7cluster\5local\0\0\6\0\1\0\0\0\x05\0\x44"
    b"\2ns\3dns\7cluster\5local\0\x0ahostmaster\7cluster\5local\0"
    b"\0\0\0\1\0\0\x1c\x20\0\0\7\x08\0\1\x51\x80\0\0\0\x05"
)
COREFILE = """.:53 {
    errors
    cache {
        success 9984 3600
        denial 9984 3600
    }
    bind 127.0.0.1
    forward . 192.0.2.53 {
        force_tcp
    }
    prometheus
}
"""


@dataclass(slots=True)
class ReadyStream:
    """A connection whose other side has answered before it is asked."""

    receiver: Any
    answers: dict[bytes, bytes]
    local: str = "192.0.2.1:1024"
    asked: bytes = b""

    def write(self, data: bytes) -> None:
        self.asked += data

    def deliver(self, now: float) -> None:
        """Answer what was asked since, all at once."""
        data, self.asked = self.asked, b""
        parts, offset = [], 0
        while offset < len(data):
            end = offset + 2 + int.from_bytes(data[offset : offset + 2], "big")
            answer = self.answers[data[offset + 14 : end]]
            parts.append(framed(data[offset + 2 : offset + 4] + answer))
            offset = end
        if parts:
            self.receiver.received(b"".join(parts), now)

    def is_acknowledged(self) -> bool:
        return True

    def close(self) -> None:
        self.asked = b""


@dataclass(slots=True)
class ReadyRuntime:
    """Implements `nodecache.forward.Runtime`; time stands still, nothing is ever late."""

    answers: dict[bytes, bytes]
    streams: list[ReadyStream] = field(default_factory=list)
    soon: list[Callable[[], None]] = field(default_factory=list)

    def clock(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_later(self, *_: object) -> "ReadyRuntime":
        return self

    def cancel(self) -> None:
        """Nothing was to happen anyway."""

    def open_stream(self, _: Endpoint, receiver: Any, *__: object) -> ReadyStream:
        stream = ReadyStream(receiver, self.answers)
        self.streams.append(stream)
        self.soon.append(lambda: receiver.opened(monotonic()))
        return stream

    def open_datagram(self, endpoint: Endpoint, receiver: Any, *_: object) -> Any:
        raise OSError(endpoint, receiver)

    def is_own(self, *_: object) -> bool:
        return False

    def turn(self) -> None:
        """What a turn of the event loop does."""
        while self.soon or any(stream.asked for stream in self.streams):
            due, self.soon = self.soon, []
            for callback in due:
                callback()
            for stream in self.streams:
                stream.deliver(monotonic())


class Sink:
    """A way back to clients that only counts."""

    name = "udp"
    local = ("127.0.0.1", 53)
    sent = 0

    def send(self, *_: object) -> None:
        self.sent += 1

    def forget(self, *_: object) -> None:
        """Nothing to forget."""

    def note(self, *_: object) -> int:
        """No place is kept: there is no next worker."""
        return -1

    def unnote(self, *_: object) -> None:
        """Nothing was noted."""


@dataclass(slots=True)
class Server:
    """A handler with one zone, before an upstream that has every answer ready."""

    handler: Handler
    runtime: ReadyRuntime
    sink: Sink

    def ask(self, packets: list[bytes]) -> float:
        """Microseconds a query, for all of these in batches."""
        handle, sink, turn = self.handler.handle, self.sink, self.runtime.turn
        began = process_time()
        for at in range(0, len(packets), BATCH):
            now = monotonic()
            for packet in packets[at : at + BATCH]:
                handle(packet, sink, ("127.0.0.1", 4096), now)
            turn()
        seconds = process_time() - began
        assert sink.sent == len(packets), "a query was not answered"
        sink.sent = 0
        return seconds / len(packets) * MICROSECONDS


def open_server(answers: dict[bytes, bytes], loop: asyncio.AbstractEventLoop) -> Server:
    """A server made from COREFILE; `answers` by the octets of question and what follows it."""
    runtime = ReadyRuntime(answers)
    context = WorkerContext(loop, UpstreamRegistry(runtime), Budget(), InflightLimiter())
    (block,) = parse(COREFILE, "Corefile", env={}, default_port=53, read=None).blocks
    served = ZoneBinding(build(block, context).zone, ServerCounts("dns://127.0.0.1:53", "."))
    dropped = ServerCounts("dns://127.0.0.1:53", "dropped")
    return Server(Handler(Zones([(b"\0", served)]), dropped), runtime, Sink())


def one_address(packet: bytes) -> bytes:
    """An answer, without the id: an address."""
    return answer_packet(packet, 1)[2:]


def denied(packet: bytes) -> bytes:
    """An answer, without the id: there is no such name, as kube-dns says it."""
    return b"\x85\x83\0\1\0\0\0\1\0\0" + packet[12:] + SOA


def alias(packet: bytes) -> bytes:
    """An answer, without the id: another name, and its address."""
    aliased = b"\xc0\x0c\0\5\0\1\0\0\0\x1e\0\7\4real\xc0" + bytes([12 + packet[12] + 1])
    place = len(packet) + len(aliased) - 7
    address = bytes((0xC0, place)) + b"\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1"
    return b"\x81\x80\0\1\0\2\0\0\0\0" + packet[12:] + aliased + address


def answers_to(
    names: list[str], answer: Callable[[bytes], bytes] = one_address
) -> dict[bytes, bytes]:
    """Ready answers, without the id, by the question's octets."""
    packets = packets_of(names)
    return {packet[12:]: answer(packet) for packet in packets}


def packets_of(names: list[str]) -> list[bytes]:
    return [query_packet(name) for name in names]


def with_cookie(packet: bytes) -> bytes:
    """The query with an OPT that holds a client cookie."""
    return packet[:11] + b"\1" + packet[12:] + b"\0\0\x29\x04\xd0\0\0\0\0" + COOKIE


def report(_: Bench) -> str:
    """One row a case; a column for the sources, and one for what `make compiled` made of them."""
    forms = {"interpreted": costs()}
    if COMPILED.is_dir():
        forms["compiled"] = _compiled_costs()
    rows = [
        [name, *(f"{form[name]:.1f}" for form in forms.values())] for name in forms["interpreted"]
    ]
    title = "## A query's way through the server, without system calls: µs"
    return f"{title}\n\n" + markdown_table(["query", *forms], rows)


def costs() -> dict[str, float]:
    """Microseconds a query, by what is asked, of the code that this process has imported."""
    loop = asyncio.new_event_loop()
    gc.set_threshold(*COLLECT_AT)
    try:
        return _costs(loop)
    finally:
        loop.close()


def _compiled_costs() -> dict[str, float]:
    """The same of the compiled code, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", "import json, bench.path; print(json.dumps(bench.path.costs()))"],
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": f"{COMPILED}:{Path.cwd()}"},
        stdout=subprocess.PIPE,
        check=True,
    )
    told: dict[str, float] = json.loads(run.stdout)
    return told


def _costs(loop: asyncio.AbstractEventLoop) -> dict[str, float]:
    known = hit_names()
    ready = answers_to(known)
    server = open_server(ready, loop)
    server.ask(packets_of(known))
    hits = packets_of(known) * (QUERIES // len(known))
    case = packets_of(case_names(QUERIES))
    cookie = [with_cookie(packet) for packet in hits]
    return {
        "hit, not in the reply table": best(lambda: server.ask(hits)),
        "hit in random case": best(lambda: server.ask(case)),
        "hit with a cookie": best(lambda: server.ask(cookie)),
        "miss": _miss(loop, one_address),
        "miss, there is no such name": _miss(loop, denied),
        "miss, an alias": _miss(loop, alias),
    }


def _miss(loop: asyncio.AbstractEventLoop, answer: Callable[[bytes], bytes]) -> float:
    names = new_names(QUERIES)
    packets, ready = packets_of(names), answers_to(names, answer)
    return best(lambda: open_server(ready, loop).ask(packets))


def best(run: Callable[[], float]) -> float:
    """The least of several runs."""
    return min(run() for _ in range(RUNS))
