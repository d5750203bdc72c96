"""What a scenario plays against: the upstream side alone, or a whole server block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import dns.message

from nodecache.corefile import parse
from nodecache.forward import Endpoint, Failure, Forwarder, Upstreams
from nodecache.forwarding import open_forwarders
from nodecache.wire import Answer, Query, empty_reply, read_query
from tests.scenarios.simulated import SimulatedWorld

OWN_ADDRESS = ("169.254.20.10", 53)


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
        self._upstreams = Upstreams(world)
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
        if self._upstreams.sighted(query):
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
        return sum(getattr(upstream.counts, name) for upstream in self._upstreams.all())

    def close(self) -> None:
        for forwarder in self._forwarders:
            forwarder.close()
        self._upstreams.close()
        self._world.settle()
        assert self._world.is_quiet, "a timer still runs"


class ZoneSubject(ForwardSubject):
    """A whole server block; made by the agent's own assembly."""


_SIGHTED = Failure(2, 22, b"loop", "loop")


def corefile(config: str) -> str:
    """The text of a server block around `forward` lines: `FROM TO… { OPTION; OPTION … }`."""
    lines = config.replace("{", "{\n").replace("}", "\n}").replace(";", "\n")
    return f". {{\nforward {lines.replace('forward:', 'forward')}\n}}\n"


def _message(query: Query, outcome: Answer | Failure) -> dns.message.Message:
    """The outcome as a client would see it."""
    if isinstance(outcome, Failure):
        ede = ((outcome.ede_code, outcome.ede_text),)
        return dns.message.from_wire(bytes(empty_reply(query, outcome.rcode, ede)))
    return dns.message.from_wire(outcome.wire)
