"""Names and clients of queries, sampled while somebody watches: one of so many, its name and outcome.

The rest of the time nothing of this is on a query's way. A sample begins where a query is read and ends
where its reply is sent; one that is answered in the turn in which it was read was not waited for.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from nodecache.host.probe import QUESTION as PROBE
from nodecache.server.dns_name import text_of
from nodecache.wire import MalformedMessage
from nodecache.wire.constants import HEADER_SIZE
from nodecache.wire.names import question_name_end

from .sketch import Sketch

CAPACITY = 256
MEASURES = ("queries", "misses", "nxdomains", "failures")
_STEPS = (1, 4, 16, 64)
_MAX_SAMPLES_PER_SECOND = 500
_MAX_WAITING = 1024
_UNANSWERED_SECONDS = 10.0  # resolvers have given up by then
_NXDOMAIN = 3
_RCODE_MASK = 15


class Sample:
    """A query that was drawn, until its reply is sent."""

    __slots__ = ("at", "client", "has_waited", "name", "weight")

    def __init__(self, name: str, client: str, weight: int, at: float) -> None:
        self.name = name
        self.client = client
        self.weight = weight
        self.at = at
        self.has_waited = False

    def wait(self) -> None:
        """The turn in which it was read is over."""
        self.has_waited = True


class Sampler:
    """Draws one query of each `step` in a row, at a random place, and counts what becomes of it.

    `left` is how many are read until the next one is drawn. `largest_step` tells how exact counts are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, draw: Callable[[int], int]) -> None:
        self.left = 1
        self.step = self.largest_step = 1
        self.samples = 0
        self.names = {measure: Sketch(CAPACITY) for measure in MEASURES}
        self.clients = {measure: Sketch(CAPACITY) for measure in MEASURES}
        self._loop = loop
        self._draw = draw
        self._rest = 0  # of the row in which one was drawn
        self.waiting: dict[Any, Sample] = {}  # by the way back of their replies

    def begin(self, packet: bytes, address: Any) -> Sample | None:
        """A query is drawn; None where it has no name, or is the keeper's probe."""
        self._draw_next()
        if packet[HEADER_SIZE : HEADER_SIZE + len(PROBE)] == PROBE:
            return None
        try:
            end = question_name_end(packet, HEADER_SIZE)
        except MalformedMessage:
            return None
        self.samples += 1
        name = text_of(packet[HEADER_SIZE:end].lower())
        client = str(address[0]).removeprefix("::ffff:")
        return Sample(name, client, self.step, self._loop.time())

    def begin_waiting(self, key: Any, sample: Sample) -> None:
        """Its reply will be sent from another place, under this key."""
        self._loop.call_soon(sample.wait)
        if len(self.waiting) < _MAX_WAITING:
            self.waiting[key] = sample

    def sent(self, key: Any, reply: bytes) -> None:
        """A reply is sent; perhaps one that is waited for."""
        if (sample := self.waiting.pop(key, None)) is not None:
            self.end(sample, reply[3] & _RCODE_MASK)

    def end(self, sample: Sample, rcode: int | None) -> None:
        """Count it; without an rcode there was no reply."""
        self._count(sample, "queries")
        if sample.has_waited:
            self._count(sample, "misses")
        if rcode == _NXDOMAIN:
            self._count(sample, "nxdomains")
        elif rcode != 0:
            self._count(sample, "failures")

    def tick(self, queries_per_second: float) -> None:
        """Choose the step by how busy it is, and let go of what was never answered."""
        self.step = next(
            (each for each in _STEPS if queries_per_second / each <= _MAX_SAMPLES_PER_SECOND),
            _STEPS[-1],
        )
        self.largest_step = max(self.largest_step, self.step)
        now = self._loop.time()
        old = [k for k, each in self.waiting.items() if now - each.at > _UNANSWERED_SECONDS]
        for key in old:
            self.end(self.waiting.pop(key), None)

    def uncertainty(self, count: int) -> int:
        """By how much a count may be off for being sampled, nineteen times of twenty."""
        return round(2 * math.sqrt((self.largest_step - 1) * count))

    def _count(self, sample: Sample, measure: str) -> None:
        self.names[measure].add(sample.name, sample.weight)
        self.clients[measure].add(sample.client, sample.weight)

    def _draw_next(self) -> None:
        place = self._draw(self.step) + 1
        self.left = self._rest + place
        self._rest = self.step - place
