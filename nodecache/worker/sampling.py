"""Samples names, clients and outcomes of queries while somebody reads `top`.

A sample begins when a query is read and ends when its reply is sent. One that is answered in the turn
of the loop in which it was read did not wait for an upstream.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from nodecache.host.probe import QUESTION as PROBE
from nodecache.wire import MalformedMessage, text_of
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
    """A sampled query, until its reply is sent."""

    __slots__ = ("at", "client", "has_waited", "name", "weight")

    def __init__(self, name: str, client: str, weight: int, at: float) -> None:
        self.name = name
        self.client = client
        self.weight = weight
        self.at = at
        self.has_waited = False

    def wait(self) -> None:
        """Note that it was not answered in the turn in which it was read."""
        self.has_waited = True


class Sampler:
    """Samples one query of each `step` in a row, at a random place, and counts its outcome.

    `left` is how many are read until the next one is sampled. `largest_step` bounds the error of counts.
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
        """Begin a sample; None if the packet has no name, or is the keeper's probe."""
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
        """A reply is sent: end its sample, if it has one."""
        if (sample := self.waiting.pop(key, None)) is not None:
            self.end(sample, reply[3] & _RCODE_MASK)

    def end(self, sample: Sample, rcode: int | None) -> None:
        """Count a sample; without `rcode` there was no reply."""
        self._count(sample, "queries")
        if sample.has_waited:
            self._count(sample, "misses")
        if rcode == _NXDOMAIN:
            self._count(sample, "nxdomains")
        elif rcode != 0:
            self._count(sample, "failures")

    def tick(self, queries_per_second: float) -> None:
        """Choose the step by the rate of queries, and drop samples that were never answered."""
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
        """The error of a sampled count that is not exceeded 19 times of 20 (two standard errors)."""
        return round(2 * math.sqrt((self.largest_step - 1) * count))

    def _count(self, sample: Sample, measure: str) -> None:
        self.names[measure].add(sample.name, sample.weight)
        self.clients[measure].add(sample.client, sample.weight)

    def _draw_next(self) -> None:
        place = self._draw(self.step) + 1
        self.left = self._rest + place
        self._rest = self.step - place
