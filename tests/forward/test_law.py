"""The law of the package: every query ends exactly once, by its deadline, whatever happens."""

import contextlib
import gc
import logging
import random
from collections.abc import Iterator

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodecache.forward import (
    Destinations,
    Endpoint,
    Forwarder,
    Settings,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.forward.names import plain_query
from nodecache.wire import Rcode, read_query
from tests.forward.fakes import A, Stage, empty_response, qtype_of
from tests.scenarios.simulated import SimulatedWorld

HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
TWO_TICKS = 0.021


class Errors(logging.Handler):
    """What went wrong inside: it is logged, and may not stop the clock."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Chaos:
    """Upstreams that answer, lie, hang up, go silent and come back, as a seed says."""

    def __init__(self, seed: int, options: dict, count: int) -> None:
        self.random = random.Random(seed)
        options = dict(options)
        self.world = SimulatedWorld()
        self.upstreams = UpstreamRegistry(self.world)
        upstream = UpstreamSettings(
            force_tcp=options.pop("force_tcp"), max_fails=options.pop("max_fails")
        )
        endpoints = [Endpoint(host) for host in HOSTS[:count]]
        self.forwarder = Forwarder(
            Settings(upstream=upstream, **options), self.upstreams, Destinations(endpoints)
        )
        self.ended: dict[int, float] = {}
        self.deadlines: dict[int, float] = {}
        self.cancelled: set[int] = set()
        self.asks = []
        self.errors = Errors()
        self._seen = 0

    def run(self, steps: int) -> None:
        log = logging.getLogger("plugin/forward")
        log.addHandler(self.errors)
        try:
            self._run(steps)
        finally:
            log.removeHandler(self.errors)
        assert not self.errors.lines

    def _run(self, steps: int) -> None:
        for _ in range(steps):
            self.random.choice(
                [
                    self.ask,
                    self.ask,
                    self.ask,
                    self.answer,
                    self.answer,
                    self.answer,
                    self.upset,
                    self.wait,
                    self.wait,
                    self.cancel,
                ]
            )()
            self.world.settle()
        for host in HOSTS:
            self.world.machine(host).mood = "alive"
        self.world.advance(6)

    def ask(self) -> None:
        number = len(self.asks)
        message = dns.message.make_query(f"n{number}.example.", "A", id=1)
        deadline = self.world.now + self.random.choice([0.05, 0.5, 2.0, 5.0])

        def done(outcome) -> None:
            assert number not in self.ended, "told twice"
            assert number not in self.cancelled, "told although nobody waits"
            self.ended[number] = self.world.now

        self.deadlines[number] = deadline
        transport = self.random.choice(["udp", "tcp"])
        query = read_query(message.to_wire())
        self.asks.append(self.forwarder.ask(query, deadline, done, self.world.now, transport))
        assert number not in self.ended, "told before `ask` returned"

    def answer(self) -> None:
        """Answer some of what left, well or badly."""
        for outgoing in self.world.sent[self._seen :]:
            if self.random.random() < 0.7:
                self.reply(outgoing)
        self._seen = len(self.world.sent)

    def reply(self, outgoing) -> None:
        query = dns.message.from_wire(outgoing.packet)
        response = dns.message.make_response(query)
        kind = self.random.choice(["good"] * 6 + ["servfail", "cut", "junk", "id", "half", "twice"])
        if kind == "servfail":
            response.set_rcode(Rcode.SERVFAIL)
        elif kind == "cut":
            response.flags |= dns.flags.TC
        elif kind == "id":
            response.id ^= 1
        packet = response.to_wire()
        if kind == "junk":
            packet = self.random.randbytes(self.random.randrange(40))
        elif kind == "half":
            packet = packet[: self.random.randrange(len(packet))]
        outgoing.answer(packet)
        if kind == "twice":
            outgoing.answer(packet)

    def upset(self) -> None:
        """Something happens to a machine, or to one of its connections."""
        machine = self.world.machine(self.random.choice(HOSTS))
        machine.mood = self.random.choice(["alive", "alive", "dead", "refusing"])
        for stream in machine.streams[-3:]:
            what = self.random.choice(["nothing", "end", "reset", "cut"])
            if what == "cut":
                stream.is_cut_off = True
            elif what != "nothing":
                stream.end(None if what == "end" else ConnectionResetError(104, "reset"))
        for outgoing in self.world.sent[-3:]:
            way = outgoing.way
            if outgoing.transport == "UDP" and not way.is_closed and self.random.random() < 0.3:
                way.receiver.refused(OSError(113, "No route to host"), self.world.now)

    def wait(self) -> None:
        self.world.advance(self.random.choice([0.001, 0.01, 0.05, 0.3, 1.0, 12.0]))

    def cancel(self) -> None:
        if self.asks:
            number = self.random.randrange(len(self.asks))
            if number not in self.ended:
                self.cancelled.add(number)
                self.asks[number].cancel()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 3),
    options=st.fixed_dictionaries(
        {
            "policy": st.sampled_from(["random", "round_robin", "sequential"]),
            "force_tcp": st.booleans(),
            "fails_fast": st.booleans(),
            "max_fails": st.integers(0, 2),
            "max_connect_attempts": st.sampled_from([None, 0, 1]),
        }
    ),
)
def test_every_query_ends_once_by_its_deadline(seed, count, options):
    chaos = Chaos(seed, options, count)
    chaos.run(80)
    for number, deadline in chaos.deadlines.items():
        if number not in chaos.cancelled:
            assert chaos.ended[number] <= deadline + TWO_TICKS
    assert chaos.forwarder.in_flight == 0
    chaos.world.advance(40)
    ways = [each.way for each in chaos.world.sent if qtype_of(each.packet) == A]
    assert all(way.is_closed for way in ways)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_left_when_all_is_closed(seed):
    chaos = Chaos(seed, {"policy": "random", "force_tcp": seed == 0, "max_fails": 2}, 2)
    chaos.run(200)
    chaos.forwarder.close()
    chaos.world.advance(15)
    chaos.upstreams.close()
    assert chaos.world.is_quiet
    assert not any(s.is_open for m in chaos.world.machines.values() for s in m.streams)


@contextlib.contextmanager
def garbage() -> Iterator[set[str]]:
    """The kinds of what is left to the garbage collector meanwhile; known at the end."""
    kinds: set[str] = set()
    gc.collect()
    gc.disable()
    try:
        yield kinds
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds |= {type(each).__name__ for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


OF_A_QUERY = {"CallbackRequest", "LaterAttempt", "Query", "Resolution", "RetryState"}


@pytest.mark.parametrize("seed", range(3))
def test_no_query_waits_for_the_garbage_collector(seed):
    """It never looks at what has lived for a moment: each query that was asked again stayed for good."""
    chaos = Chaos(seed, {"policy": "random", "force_tcp": seed == 0, "max_fails": 2}, 2)
    with garbage() as left:
        chaos.run(200)
        chaos.asks.clear()
    assert not left & OF_A_QUERY


def test_no_query_waits_for_it_because_its_answer_cannot_be_read():
    """The error held the frames that it went through, and these held it."""
    stage = Stage(upstream=UpstreamSettings(force_tcp=True))
    with garbage() as left:
        for _ in range(5):
            stage.ask()
            (outgoing,) = stage.sent()[-1:]
            packet = bytearray(empty_response(outgoing.packet))
            packet[7] = 3  # answers, of which there is none
            outgoing.answer(bytes(packet))
            stage.world.advance(6)
    assert not left & OF_A_QUERY


def test_who_cancels_a_query_waits_for_it_neither():
    """The callback is the asker's, who knows the query."""

    class Asker:
        def __init__(self, stage: Stage) -> None:
            query, now = read_query(plain_query(1, b"\0", A, 0)), stage.world.now
            self.request = stage.forwarder.ask(query, now + 5, self.hear, now)

        def hear(self, outcome: object) -> None:
            pass

    stage = Stage()
    with garbage() as left:
        Asker(stage).request.cancel()
        stage.world.advance(10)
    assert "Asker" not in left
