"""One zone with fake clients, a fake upstream and a fake clock.

harness = ZoneHarness()
pod = harness.ask("a.example. A")
harness.upstream.says("a.example. 30 IN A 192.0.2.1")
assert pod.reply.answer …
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from nodecache.cache import Budget, Cache, Failures
from nodecache.forward import Failure
from nodecache.server.chain import Chain
from nodecache.server.counts import Outcome, ServerCounts
from nodecache.server.directive import Client, Directive, OnOutcome, PendingLookup
from nodecache.server.handler import Handler
from nodecache.server.inflight import InflightQuery
from nodecache.server.limiter import InflightLimiter
from nodecache.server.policy import ZoneOptions
from nodecache.server.replies import CachedReply, ZoneBinding
from nodecache.server.router import Zones
from nodecache.server.source import ChainSource, Source
from nodecache.server.zone import Zone
from nodecache.wire import Answer, Ede, Query, Rcode, read_answer
from tests.wire.messages import parsed, query, response

START = 1000.0
ADDRESS = "a.example. 30 IN A 192.0.2.1"
OTHER = "a.example. 30 IN A 192.0.2.2"
FRESH_ONLY = ZoneOptions(stale=None)
SOA = "example. 60 IN SOA ns.example. root.example. 1 7200 1800 86400 17"


@dataclass
class Timer:
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        self.callback = None


class FakeLoop:
    """The part of an event loop that a zone looks at, and its clock."""

    def __init__(self) -> None:
        self.now = START
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()

    def call_later(self, seconds: float, callback: Callable[..., None], *args: object) -> Timer:
        timer = Timer(lambda: callback(*args))
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if timer.callback is not None:
                timer.callback()
        self.now = end


class Transport:
    """A way back to clients that keeps what it was given, by address."""

    local = ("169.254.20.10", 53)

    def __init__(self, name: str = "udp") -> None:
        self.name = name
        self.sent: dict[Any, list[bytes]] = {}
        self.forgotten: list[Any] = []
        self.noted: dict[int, bytes] = {}
        self._slots = count()

    def send(self, reply: bytes | bytearray, address: Any) -> None:
        self.sent.setdefault(address, []).append(bytes(reply))

    def forget(self, address: Any) -> None:
        self.forgotten.append(address)

    def note(self, packet: bytes, address: Any, now: float) -> int:
        slot = next(self._slots)
        self.noted[slot] = packet
        return slot

    def unnote(self, slot: int) -> None:
        del self.noted[slot]


@dataclass
class Asked:
    """A question that went upstream, until it is answered or given up."""

    query: Query
    transport: str
    deadline: float
    done: Callable[[Answer | Failure], None]
    is_cancelled: bool = False

    is_awaited: bool = True

    def cancel(self) -> None:
        self.is_cancelled = True

    def mark_awaited(self, *, is_awaited: bool) -> None:
        self.is_awaited = is_awaited


class FakeSource:
    """What stands below the cache: keeps what it is asked, answers when told to."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.open: list[Asked] = []
        self.down = False

    def is_down(self) -> bool:
        return self.down

    def is_silent(self, now: float) -> bool:
        return self.down

    def has_room(self, now: float) -> bool:
        return not self.down

    def send(self, query: InflightQuery, now: float) -> None:
        asked = Asked(query.query, query.transport_name, query.deadline, query.done)
        asked.mark_awaited(is_awaited=query.is_awaited)
        query.ensure_wait_state().chain_run = asked
        self.asked.append(asked)
        self.open.append(asked)

    def look_up(self, query: Query, client: Client, on_outcome: OnOutcome) -> Asked:
        """The same for directives below the cache."""
        asked = Asked(query, client.transport, math.inf, on_outcome)
        self.asked.append(asked)
        self.open.append(asked)
        return asked

    def says(self, *records: str, options: tuple[Any, ...] | None = None, **message: Any) -> None:
        """Answer the oldest open question, its name in lower case."""
        asked = self.open.pop(0)
        question = parsed(asked.query.packet).question[0].to_text()
        asked.done(read_answer(response(question, *records, options=options, **message)))

    def fails(self, rcode: int = Rcode.SERVFAIL, text: bytes = b"nobody answers") -> None:
        self.open.pop(0).done(Failure(rcode, Ede.NO_REACHABLE_AUTHORITY, text, text.decode()))


@dataclass
class Pod:
    """A client that asked once, and what it heard."""

    transport: Transport
    address: tuple[str, int]
    finished: CachedReply | None = None

    @property
    def replies(self) -> list[bytes]:
        return self.transport.sent.get(self.address, [])

    @property
    def has_reply(self) -> bool:
        return bool(self.replies)

    @property
    def reply(self) -> dns.message.Message:
        """The one reply it got."""
        (octets,) = self.replies
        return parsed(octets)

    @property
    def ttl(self) -> int:
        """The one TTL that all records of the reply have."""
        (ttl,) = {rrset.ttl for section in self.reply.sections[1:] for rrset in section}
        return ttl

    @property
    def rcode(self) -> str:
        return dns.rcode.to_text(self.reply.rcode())

    @property
    def errors(self) -> list[int]:
        """The codes of the Extended DNS Errors."""
        return [option.code for option in self.reply.options]


@dataclass
class ZoneHarness:
    """One zone with all that it needs; of that only the cache is real."""

    options: ZoneOptions = field(default_factory=ZoneOptions)
    limiter: InflightLimiter = field(default_factory=InflightLimiter)
    servfail_seconds: float | None = None
    below: Sequence[Directive] = ()

    def __post_init__(self) -> None:
        self.loop = FakeLoop()
        self.upstream = FakeSource()
        stale = self.options.stale
        self.budget = Budget()
        self.cache = Cache(self.budget, 100, 100, stale.seconds if stale else 0)
        self.zone = Zone(
            self.options,
            self.cache,
            Failures(self.servfail_seconds),
            self.source(),
            self.limiter,
            self.loop,
        )
        self.zone.clock = lambda: self.loop.now
        self.zone.wall_clock = lambda: 2000.0
        self.served = ZoneBinding(self.zone, ServerCounts("dns://169.254.20.10:53", "."))
        dropped = ServerCounts("dns://169.254.20.10:53", "dropped")
        self.handler = Handler(Zones([(b"\0", self.served)]), dropped)
        self.udp, self.tcp = Transport("udp"), Transport("tcp")
        self._ports = count(40_000)

    def source(self) -> Source:
        """Upstream, behind the directives below the cache."""
        if not self.below:
            return self.upstream
        return ChainSource(Chain(self.below, self.upstream.look_up, self.look_up), self.upstream)

    def look_up(self, query: Query, client: Client, on_outcome: OnOutcome) -> PendingLookup | None:
        """What the server asks itself."""
        return self.handler.look_up(query, client, on_outcome)

    def ask(
        self,
        question: str = "a.example. A",
        *,
        by: str = "udp",
        host: str = "10.244.1.7",
        **edns: Any,
    ) -> Pod:
        """A client's query, as dnspython makes it."""
        return self.ask_with(query(question, **edns), by=by, host=host)

    def ask_with(self, packet: bytes, *, by: str = "udp", host: str = "10.244.1.7") -> Pod:
        transport = self.udp if by == "udp" else self.tcp
        pod = Pod(transport, (host, next(self._ports)))
        now = self.loop.now
        pod.finished = self.handler.handle(packet, transport, pod.address, now)
        return pod

    def keep(self, *records: str, question: str = "a.example. A", **message: Any) -> None:
        """Have the answer to a question in the cache."""
        self.ask(question)
        self.upstream.says(*records, **message)

    def pass_time(self, seconds: float) -> None:
        self.loop.pass_time(seconds)

    def counted(self, outcome: Outcome) -> int:
        self.served.counts.flush()
        return self.served.counts.outcomes[outcome]

    @property
    def questions(self) -> Sequence[str]:
        """What went upstream so far."""
        return [parsed(asked.query.packet).question[0].to_text() for asked in self.upstream.asked]


def harness(**options: object) -> ZoneHarness:
    """A harness whose zone has these options."""
    return ZoneHarness(ZoneOptions(**options))
