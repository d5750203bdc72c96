"""A forwarder in a simulated world, for tests of its parts."""

from collections.abc import Sequence

from nodecache.forward import (
    Destinations,
    Endpoint,
    Failure,
    Forwarder,
    Settings,
    Upstream,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.forward.probe import probe_query
from nodecache.wire import HEADER_SIZE, Answer, Flag, Rdtype, read_query
from tests.scenarios.simulated import Outgoing, SimulatedWorld

A = Rdtype.A


class Stage:
    """One forwarder, what it sends, and what comes of each query."""

    def __init__(
        self,
        *hosts: str,
        settings: Settings | None = None,
        upstream: UpstreamSettings | None = None,
    ) -> None:
        self.world = SimulatedWorld()
        self.upstreams = UpstreamRegistry(self.world)
        settings = settings or Settings(upstream=upstream or UpstreamSettings())
        endpoints = [Endpoint(host) for host in hosts or ("10.0.0.1",)]
        self.forwarder = Forwarder(settings, self.upstreams, Destinations(endpoints))
        self.outcomes: list[Answer | Failure] = []
        self._asked = 0
        self._sorted = 0
        self._by_qtype: dict[int, list[Outgoing]] = {}

    @property
    def upstream(self) -> Upstream:
        return self.forwarder.upstreams[0]

    def ask(self, transport: str = "udp", seconds: float = 5.0):
        """Ask for a new name."""
        self._asked += 1
        packet = probe_query(1, f"n{self._asked}.example.", A, Flag.RD)
        now = self.world.now
        ask = self.forwarder.ask(
            read_query(packet), now + seconds, self.outcomes.append, now, transport
        )
        self.world.settle()
        return ask

    def sent(self, qtype: int = A) -> list[Outgoing]:
        """What left, of one type, in order."""
        for outgoing in self.world.sent[self._sorted :]:
            self._by_qtype.setdefault(qtype_of(outgoing.packet), []).append(outgoing)
        self._sorted = len(self.world.sent)
        return self._by_qtype.setdefault(qtype, [])

    def answer(self, outgoing: Sequence[Outgoing], rcode: int = 0) -> None:
        """Answer without records: dnspython would take most of a test's time."""
        for each in outgoing:
            each.answer(empty_response(each.packet, rcode))


def qtype_of(packet: bytes) -> int:
    end = packet.index(b"\0", HEADER_SIZE) + 1
    return packet[end] << 8 | packet[end + 1]


def empty_response(packet: bytes, rcode: int = 0) -> bytes:
    end = packet.index(b"\0", HEADER_SIZE) + 5
    header = packet[:2] + bytes((0x81, 0x80 | rcode)) + b"\0\1\0\0\0\0\0\0"
    return header + packet[HEADER_SIZE:end]
