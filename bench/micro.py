"""The steps of a query on their own, in this process: wire and cache, without a socket.

Each figure is the best of several short runs: what the step costs when nothing disturbs it.
"""

import gc
import time
import timeit
from collections.abc import Callable

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from bench.context import Bench
from bench.table import markdown_table
from bench.traffic import service_name
from nodecache.cache import Budget, Cache
from nodecache.wire import (
    Answer,
    Flag,
    FrameBuffer,
    Query,
    framed,
    read_answer,
    read_query,
    reply_to,
    upstream_query,
)

RUN_SECONDS = 0.05
RUNS = 7
NANOSECONDS = 1e9
FULL_ENTRIES = 500_000
PUTS = 100_000
UDP_LIMIT = 1232
NAME = service_name(17)

Step = Callable[[], object]


def report(_: Bench) -> str:
    """One row a step, and what the collector does to a large cache."""
    steps = _wire_steps() | _cache_steps()
    rows = [[name, f"{_nanoseconds(step):,.0f}"] for name, step in steps.items()]
    return "\n".join(
        [
            "## Steps in this process",
            "",
            markdown_table(["step", "ns"], rows),
            f"## The collector at {FULL_ENTRIES:,} entries",
            "",
            markdown_table(["what", "ms"], _collector_rows()),
        ]
    )


def _nanoseconds(step: Step) -> float:
    timer = timeit.Timer(step)
    count, seconds = timer.autorange()
    count = max(1, int(count * RUN_SECONDS / seconds))
    return min(timer.repeat(RUNS, count)) / count * NANOSECONDS


def query_packet(name: str = NAME, *, has_edns: bool = False) -> bytes:
    return dns.message.make_query(name, "A", use_edns=0 if has_edns else False).to_wire()


def answer_packet(query_packet: bytes, records: int) -> bytes:
    query = dns.message.from_wire(query_packet)
    answer = dns.message.make_response(query, recursion_available=True)
    texts = [f"192.0.2.{number}" for number in range(records)]
    owner = query.question[0].name
    rrset = dns.rrset.from_text_list(owner, 30, dns.rdataclass.IN, dns.rdatatype.A, texts)
    answer.answer.append(rrset)
    return answer.to_wire()


def _wire_steps() -> dict[str, Step]:
    plain = query_packet()
    edns = query_packet(has_edns=True)
    cookie = edns[:-2] + b"\0\x0c\0\x0a\0\x0801234567"
    query = read_query(plain)
    one, ten = (answer_packet(plain, records) for records in (1, 10))
    answer, flags = read_answer(one), int(Flag.QR)
    stream = framed(one) * 20
    return {
        "read_query": lambda: read_query(plain),
        "read_query, EDNS": lambda: read_query(edns),
        "read_query, EDNS with a cookie": lambda: read_query(cookie),
        "upstream_query": lambda: upstream_query(query, 17),
        "read_answer, 1 record": lambda: read_answer(one),
        "read_answer, 10 records": lambda: read_answer(ten),
        "reply_to, 1 record": lambda: reply_to(query, answer, flags, 17, UDP_LIMIT),
        "FrameBuffer.feed, 20 messages": lambda: FrameBuffer().feed(stream),
    }


def _cache_steps() -> dict[str, Step]:
    query, answer = _pair(NAME)
    small, full = Cache(Budget(), 9984, 9984), Cache(Budget(), 1000, 1000)
    small.put(query.key, answer, 3600, 0.0)
    keys = _keys(50_000)
    place = iter(range(1 << 40))
    return {
        "Cache.get, found": lambda: small.get(query.key, 1.0),
        "Cache.get, not found": lambda: small.get(b"\0", 1.0),
        "Cache.put, renewing": lambda: small.put(query.key, answer, 3600, 0.0),
        "Cache.put, new, evicting": lambda: full.put(
            keys[next(place) % len(keys)], answer, 3600, 0.0
        ),
    }


def _pair(name: str) -> tuple[Query, Answer]:
    packet = query_packet(name)
    return read_query(packet), read_answer(answer_packet(packet, 1))


def _keys(count: int) -> list[bytes]:
    tail = read_query(query_packet()).key[-5:]
    return [f"host-{number:07d}.new.cluster.local".encode() + tail for number in range(count)]


def _collector_rows() -> list[list[str]]:
    """The longest pause while the cache fills, then while new names replace old ones."""
    _, answer = _pair(NAME)
    cache = Cache(Budget(), FULL_ENTRIES, 1)
    keys = _keys(FULL_ENTRIES + PUTS)
    pauses = _Pauses()
    gc.callbacks.append(pauses)

    def longest_pause(of: Step) -> str:
        pauses.longest = 0.0
        of()
        return f"{pauses.longest * 1000:.1f}"

    def put_all(some: list[bytes]) -> None:
        for key in some:
            cache.put(key, answer, 3600, 0.0)

    filling = longest_pause(lambda: put_all(keys[:FULL_ENTRIES]))
    replacing = longest_pause(lambda: put_all(keys[FULL_ENTRIES:]))
    whole = longest_pause(gc.collect)
    gc.callbacks.remove(pauses)
    return [
        ["longest pause while it fills, the collector as Python has it", filling],
        [f"the same while {PUTS:,} new names replace old ones", replacing],
        ["a whole collection", whole],
    ]


class _Pauses:
    """A callback of the collector that times it."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.longest = max(self.longest, time.perf_counter() - self._began)
