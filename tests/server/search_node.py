"""A node whose pods search, before upstreams that hold their answers until they are told to give them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from nodecache.cache import Budget, Cache, Failures
from nodecache.server.counts import ServerCounts
from nodecache.server.handler import Handler
from nodecache.server.limiter import InflightLimiter
from nodecache.server.policy import ZoneOptions
from nodecache.server.replies import ZoneBinding
from nodecache.server.router import Zones
from nodecache.server.search_ahead import SearchAhead
from nodecache.server.zone import Zone
from nodecache.wire import wire_of
from tests.server.zone_harness import FakeLoop, FakeSource, Pod, Transport
from tests.wire.messages import parsed, query

SERVER = "dns://169.254.20.10:53"
SHOP = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "lab.example", "")
SOA = "{zone} 60 IN SOA ns.{zone} root.{zone} 1 7200 1800 86400 30"
STEPS = len(SHOP)


@dataclass
class Node:
    """A listen address with the zones of a stock Corefile, and pods that search."""

    without: Sequence[str] = ()
    limiter: InflightLimiter = field(default_factory=InflightLimiter)
    exists: Callable[[str], bool] = lambda qname: qname.endswith(".com.")

    def __post_init__(self) -> None:
        self.loop = FakeLoop()
        self.ahead = SearchAhead(self.limiter)
        self.zones: dict[str, Zone] = {}
        self.sources: dict[str, FakeSource] = {}
        self.counts: dict[str, ServerCounts] = {}
        self.transport = Transport()
        self._ports = count(1)
        bound = []
        for name in ("cluster.local.", "."):
            ahead = None if name in self.without else self.ahead
            source = self.sources[name] = FakeSource()
            zone = Zone(
                ZoneOptions(),
                Cache(Budget(), 1000, 1000, 3600.0),
                Failures(None),
                source,
                self.limiter,
                self.loop,
                search_ahead=ahead,
            )
            zone.clock = lambda: self.loop.now
            zone.wall_clock = lambda: 2000.0
            self.zones[name] = zone
            counts = self.counts[name] = ServerCounts(SERVER, name)
            bound.append((wire_of(name), ZoneBinding(zone, counts)))
        zones = Zones(bound)
        self.ahead.zones_at = {SERVER: zones}.get
        self.handler = Handler(zones, ServerCounts(SERVER, "dropped"))

    def ask(self, qname: str, qtype: str = "A", host: str = "pod", **edns: object) -> Pod:
        pod = Pod(self.transport, (host, next(self._ports)))
        packet = query(f"{qname} {qtype}", **edns)
        self.handler.handle(packet, self.transport, pod.address, self.loop.now)
        return pod

    def answer_all(self, seconds: float = 0.005) -> None:
        """Upstream answers everything that it owes by now."""
        self.loop.pass_time(seconds)
        for source in self.sources.values():
            for _ in range(len(source.open)):
                self._answer_oldest(source)

    def _answer_oldest(self, source: FakeSource) -> None:
        question = parsed(source.open[0].query.packet).question[0]
        qname = question.name.to_text().lower()
        soa = SOA.format(zone="cluster.local." if qname.endswith("local.") else "example.")
        if not self.exists(qname):
            source.says(rcode="NXDOMAIN", authority=(soa,))
        elif question.rdtype == 1:
            source.says(f"{qname} 30 IN A 192.0.2.1")
        else:
            source.says(authority=(soa,))

    def look_up(
        self,
        name: str,
        suffixes: Sequence[str] = SHOP,
        types: Sequence[str] = ("A", "AAAA"),
        host: str = "pod",
    ) -> int:
        """Search as glibc does, both types at once at each step; how often the client waits."""
        waits = 0
        for suffix in suffixes:
            qname = f"{name}.{suffix}." if suffix else f"{name}."
            pods = [self.ask(qname, qtype, host) for qtype in types]
            if not all(pod.has_reply for pod in pods):
                waits += 1
                self.answer_all()
            assert all(pod.has_reply for pod in pods)
            if any(pod.rcode == "NOERROR" for pod in pods):
                break
        self.tick(1.0)
        return waits

    def look_up_one_by_one(self, name: str, host: str = "pod") -> int:
        """The same with `single-request`: one type after the other."""
        waits = 0
        for suffix in SHOP:
            qname = f"{name}.{suffix}." if suffix else f"{name}."
            for qtype in ("A", "AAAA"):
                pod = self.ask(qname, qtype, host)
                if not pod.has_reply:
                    waits += 1
                    self.answer_all()
            if pod.rcode == "NOERROR":
                break
        self.tick(1.0)
        return waits

    def tick(self, seconds: float) -> None:
        self.loop.pass_time(seconds)
        self.ahead.settle(self.loop.now)

    @property
    def asked(self) -> list[str]:
        """All that upstreams were asked, in the order of each zone."""
        return [
            f"{question.name} {'A' if question.rdtype == 1 else 'AAAA'}"
            for source in self.sources.values()
            for each in source.asked
            for question in parsed(each.query.packet).question
        ]

    @property
    def totals(self) -> tuple[int, int, int]:
        budget = self.ahead.budget
        return budget.asked, budget.used, budget.unused


def trained(**options: object) -> Node:
    """A node that knows how `pod` searches."""
    node = Node(**options)
    for name in ("one.com", "two.com"):
        assert node.look_up(name) == STEPS
    return node
