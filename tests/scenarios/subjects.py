"""What a scenario plays against: the upstream side alone, or a whole server block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import dns.message

from nodecache.cache import Budget
from nodecache.corefile import parse
from nodecache.forward import Endpoint, Failure, Forwarder, UpstreamRegistry
from nodecache.server import (
    Handler,
    InflightLimiter,
    ServerCounts,
    ZoneBinding,
    Zones,
)
from nodecache.wire import Answer, Query, empty_reply, read_query, wire_of
from nodecache.worker.assembly import WorkerContext, build
from nodecache.worker.forwarding import open_forwarders
from tests.scenarios.simulated import SimulatedWorld

OWN_ADDRESS = ("169.254.20.10", 53)
WALL_CLOCK = 1_800_000_000.0  # early 2027, when the simulated clock was at 0


@dataclass
class Client:
    """One query's sender, and what it got."""

    cancel: Callable[[], None]
    replies: list[dns.message.Message] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Subject(Protocol):
    """What answers queries."""

    def ask(self, packet: bytes, transport: str, deadline: float) -> Client:
        """Send a query; `deadline` in seconds from now."""

    def set_upstreams(self, hosts: Sequence[str]) -> None:
        """Ask others from now on."""

    def count(self, name: str) -> int:
        """One of the forwarder's counts, or of its upstreams' together."""

    def close(self) -> None:
        """End."""


class ForwardSubject:
    """Forwarders as a server block has them; a config line for each `forward:`."""

    def __init__(self, config: str, world: SimulatedWorld) -> None:
        self._world = world
        self._upstreams = UpstreamRegistry(world)
        self._upstreams.listen_on(frozenset({OWN_ADDRESS}))
        block = parse(corefile(config), "scenario", env={}, default_port=53).blocks[0]
        self._forwarders = open_forwarders(block, self._upstreams)
        if block.loop:
            for forwarder in self._forwarders:
                forwarder.watch_for_loops(".")

    @property
    def forwarder(self) -> Forwarder:
        return self._forwarders[0]

    def ask(self, packet: bytes, transport: str, deadline: float) -> Client:
        query = read_query(packet)
        client = Client(cancel=lambda: None)
        if self._upstreams.is_loop_probe(query):
            client.replies.append(_message(query, _SIGHTED))
            return client
        forwarder = next(f for f in self._forwarders if f.covers(query))
        now = self._world.now

        def done(outcome: Answer | Failure) -> None:
            client.replies.append(_message(query, outcome))
            if isinstance(outcome, Failure):
                client.failures.append(outcome)

        ask = forwarder.ask(query, now + deadline, done, now, transport)
        assert not client.replies, "nothing may become of a query before `ask` returns"
        client.cancel = ask.cancel
        return client

    def set_upstreams(self, hosts: Sequence[str]) -> None:
        self.forwarder.set_upstreams([Endpoint(host) for host in hosts])

    def count(self, name: str) -> int:
        if hasattr(self.forwarder.counts, name):
            return getattr(self.forwarder.counts, name)
        return sum(getattr(counts, name) for counts in self._upstreams.counts())

    def close(self) -> None:
        for forwarder in self._forwarders:
            forwarder.close()
        self._upstreams.close()
        self._world.settle()
        assert self._world.is_quiet, "a timer still runs"


class ZoneSubject:
    """A whole server block with its cache, made by the agent's own assembly."""

    def __init__(self, config: str, world: SimulatedWorld) -> None:
        self._world = world
        self._upstreams = UpstreamRegistry(world)
        self._upstreams.listen_on(frozenset({OWN_ADDRESS}))
        block = parse(on_lines(config), "scenario", env={}, default_port=53).blocks[0]
        loop = SimulatedLoop(world)
        self._context = WorkerContext(loop, self._upstreams, Budget(), InflightLimiter())
        self._context.lookup = self._look_up
        self._built = build(block, self._context)
        zone = self._built.zone
        zone.clock, zone.wall_clock = world.clock, lambda: WALL_CLOCK + world.now
        counts = ServerCounts(f"dns://{OWN_ADDRESS[0]}:53", block.zone_names[0])
        zones = [(wire_of(name), ZoneBinding(zone, counts)) for name in block.zone_names]
        self._handler = Handler(Zones(zones), ServerCounts("", "dropped"))

    def ask(self, packet: bytes, transport: str, deadline: float) -> Client:
        """Send a query; its deadline is the zone's own."""
        client = Client(cancel=lambda: None)
        way_back = SimulatedTransport(transport, client)
        self._handler.handle(packet, way_back, ("10.244.1.7", 5353), self._world.now)
        return client

    def _look_up(self, query: Query, client: object, back: Callable[..., None]):
        return self._handler.look_up(query, client, back)

    def set_upstreams(self, hosts: Sequence[str]) -> None:
        self._built.forwarders[0].set_upstreams([Endpoint(host) for host in hosts])

    def count(self, name: str) -> int:
        counts = self._built.zone.cache.counts
        if hasattr(counts, name):
            return getattr(counts, name)
        if name == "coalesced":
            return self._context.limiter.coalesced
        return getattr(self._built.forwarders[0].counts, name)

    def close(self) -> None:
        self._built.zone.close()
        self._built.close(keeps_cache=False)
        self._upstreams.close()
        self._world.settle()
        assert self._world.is_quiet, "a timer still runs"


class SimulatedTransport:
    """A client's way back."""

    local = OWN_ADDRESS

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self._client = client

    def send(self, reply: bytes | bytearray, address: object) -> None:
        self._client.replies.append(dns.message.from_wire(bytes(reply)))

    def forget(self, address: object) -> None:
        pass

    def note(self, packet: bytes, address: object, received_at: float) -> int:
        return -1

    def unnote(self, slot: int) -> None:
        pass


class SimulatedLoop:
    """As much of an event loop as a zone asks for."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: object):
        return self._world.call_later(seconds, partial(callback, *arguments))


_SIGHTED = Failure(2, 22, b"loop", "loop")


def corefile(config: str) -> str:
    """The text of a server block around `forward` lines: `FROM TO… { OPTION; OPTION … }`."""
    return f". {{\nforward {on_lines(config).replace('forward:', 'forward')}\n}}\n"


def on_lines(config: str) -> str:
    """The config with its braces and semicolons where a Corefile wants lines to end."""
    return config.replace("{", "{\n").replace("}", "\n}\n").replace(";", "\n")


def _message(query: Query, outcome: Answer | Failure) -> dns.message.Message:
    """The outcome as a client would see it."""
    if isinstance(outcome, Failure):
        ede = ((outcome.ede_code, outcome.ede_text),)
        return dns.message.from_wire(bytes(empty_reply(query, outcome.rcode, ede)))
    return dns.message.from_wire(outcome.wire)
