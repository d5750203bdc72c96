"""Two servers alike but for one thing: one knows shapes of queries, the other reads each anew."""

import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import count

import dns.edns

from nodecache.cache import Budget
from nodecache.corefile import parse
from nodecache.forward import UpstreamRegistry
from nodecache.server import (
    Handler,
    InflightLimiter,
    ServerCounts,
    ZoneBinding,
    Zones,
)
from nodecache.wire import read_answer, read_query, wire_of
from nodecache.worker.assembly import WorkerContext, build
from tests.scenarios.simulated import Outgoing, SimulatedWorld
from tests.scenarios.subjects import SimulatedLoop
from tests.wire.messages import query, response

COREFILE = """. {
    errors
    cache 30 {
        success 1
    }
    forward . 10.0.0.53 {
        force_tcp
    }
}
"""
WALL_CLOCK = 1_800_000_000.0
SOA = "example. 60 IN SOA ns.example. root.example. 1 7200 1800 86400 17"
PODS = ("10.244.1.7", 5353), ("::ffff:10.244.1.8", 5353), ("fd00::9", 5353)


class WayBack:
    """A client's transport that keeps what it was given."""

    local = ("169.254.20.10", 53)

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[tuple[object, bytes]] = []
        self.noted: set[int] = set()
        self._slots = count()

    def send(self, reply: bytes | bytearray, address: object) -> None:
        self.sent.append((address, bytes(reply)))

    def forget(self, address: object) -> None:
        self.sent.append((address, b""))

    def note(self, packet: bytes, address: object, now: float) -> int:
        slot = next(self._slots)
        self.noted.add(slot)
        return slot

    def unnote(self, slot: int) -> None:
        self.noted.remove(slot)


class Twin:
    """One of the two: a server block in a simulated world, made by the agent's own assembly."""

    def __init__(self, *, remembers: bool, corefile: str, more_names: Sequence[str] = ()) -> None:
        self.world = SimulatedWorld()
        self.upstreams = UpstreamRegistry(self.world)
        self.limiter = InflightLimiter()
        loop = SimulatedLoop(self.world)
        block = parse(corefile, "Corefile", env={}, default_port=53).blocks[0]
        self.built = build(block, WorkerContext(loop, self.upstreams, Budget(), self.limiter))
        self.zone = self.built.zone
        cache = self.zone.cache  # small enough to give entries up
        cache.success.capacity = cache.denial.capacity = 4
        self.zone.clock, self.zone.wall_clock = self.world.clock, partial(float, WALL_CLOCK)
        self.counts = ServerCounts("dns://169.254.20.10:53", ".")
        self._remembers = remembers
        self._bindings = [
            (wire_of("."), ZoneBinding(self.zone, self.counts)),
            *((wire_of(name), ZoneBinding(self.zone, self.counts)) for name in more_names),
        ]
        self.handler = Handler(Zones(self._bindings), ServerCounts("", "dropped"))
        self.ways = {name: WayBack(name) for name in ("udp", "tcp")}
        self.answered = 0
        self.open: list[Outgoing] = []
        self._seen = 0

    def ask(self, packet: bytes, pod: tuple[str, int], transport: str = "udp") -> bytes | None:
        """Hand in a query; what goes into the reply table."""
        way = self.ways[transport]
        if not self._remembers:
            self.handler.zones = Zones(self._bindings)
        finished = self.handler.handle(packet, way, pod, self.world.now)
        self.settle()
        return None if finished is None else finished.tail

    def settle(self) -> None:
        self.world.settle()
        self.open += self.world.sent[self._seen :]
        self._seen = len(self.world.sent)

    def answer(self, place: int, what: str) -> None:
        """Answer one of the queries that wait upstream."""
        if self.open:
            outgoing = self.open.pop(place % len(self.open))
            outgoing.answer(answer_to(outgoing.packet, what))
            self.settle()

    def keep(self, qname: str) -> None:
        """Keep an answer that came some other way, as from the agent before."""
        octets = answer_to(asked(qname, "A", "RD", 0, wants_dnssec=False), "address")
        key = read_query(asked(qname, "A", "RD", 0, wants_dnssec=False)).key
        self.zone.cache.put(key, read_answer(octets), 30, self.world.now)

    def hang_up(self) -> None:
        """End every connection to the upstream."""
        for stream in list(self.world.machine("10.0.0.53").streams):
            stream.end(None)
        self.open.clear()
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.world.advance(seconds)
        self.settle()

    def sent_upstream(self) -> list[bytes]:
        """All that left, without its ids, in order."""
        return [outgoing.packet[2:] for outgoing in self.world.sent]

    def state(self) -> dict[str, object]:
        """All that can be told from outside."""
        self.counts.flush()
        upstream = self.built.forwarders[0].upstreams[0]
        forwarder = self.built.forwarders[0]
        return {
            "replies": [way.sent for way in self.ways.values()],
            "noted": [len(way.noted) for way in self.ways.values()],
            "upstream": self.sent_upstream(),
            "waiting": (
                len(self.limiter),
                self.limiter.refused,
                self.zone.in_flight,
                forwarder.in_flight,
            ),
            "cache": sorted(
                told(entry)
                for segment in (self.zone.cache.success, self.zone.cache.denial)
                for entry in segment.entries()
            ),
            "weight": (self.zone.cache.success.octets, self.zone.cache.denial.octets),
            "counts": (self.counts.requests, self.counts.responses, self.counts.outcomes),
            "sizes": [
                (name, sizes.buckets)
                for told in (self.counts.request_size, self.counts.response_size)
                for name, sizes in sorted(told.items())
            ],
            "timed": self.counts.duration.count,
            "do": self.counts.do_requests,
            "forward": (asdict(forwarder.counts), forwarder.budget.asks),
            "durations": {
                rcode: counted.buckets
                for rcode, counted in upstream.counts.duration_by_rcode.items()
            },
            "asked": upstream.counts.sent,
            "health": (upstream.health.is_good, upstream.health.fails),
            "failed": sorted(self.zone._failures.failed),
            "coalesced": self.limiter.coalesced,
            "panics": self.handler.panics,
        }


def told(entry) -> tuple[object, ...]:
    """What an entry holds but for the message id."""
    return (
        entry.key,
        entry.wire[2:],
        entry.ttl,
        entry.ttl_offsets,
        entry.flags,
        entry.rcode,
        entry.kind.value,
        entry.stored_at,
        entry.frequency,
        entry.hits,
        entry.counted_at,
        entry.octets,
        entry.is_in_main,
    )


@dataclass
class Twins:
    """Both, each told the same."""

    knowing: Twin
    forgetful: Twin

    def do(self, step: str, *args: object) -> None:
        """Have both do the same and come to the same."""
        first, second = (getattr(twin, step)(*args) for twin in (self.knowing, self.forgetful))
        assert first == second
        assert self.knowing.state() == self.forgetful.state()

    @property
    def both(self) -> tuple[Twin, Twin]:
        return self.knowing, self.forgetful


def twins(corefile: str = COREFILE, **more: object) -> Twins:
    return Twins(
        Twin(remembers=True, corefile=corefile, **more),
        Twin(remembers=False, corefile=corefile, **more),
    )


ANSWERS = {
    "address": {"lines": ["{qname} 30 IN A 192.0.2.1"]},
    "addresses": {"lines": [f"{{qname}} 30 IN A 192.0.2.{n}" for n in range(3)]},
    "uneven": {"lines": ["{qname} 30 IN A 192.0.2.1", "{qname} 20 IN A 192.0.2.2"]},
    "short": {"lines": ["{qname} 1 IN A 192.0.2.1"]},
    "none": {"lines": ["{qname} 0 IN A 192.0.2.1"]},
    "long": {"lines": ["{qname} 90000 IN A 192.0.2.1"]},
    "v6": {"lines": ["{qname} 30 IN AAAA 2001:db8::1"]},
    "alias": {"lines": ["{qname} 30 IN CNAME b.example.", "b.example. 9 IN A 192.0.2.1"]},
    "signed": {
        "lines": [
            "{qname} 30 IN A 192.0.2.1",
            "{qname} 30 IN RRSIG A 8 2 30 20380119031407 20200101000000 1 example. AAAA",
        ]
    },
    "lapsed": {
        "lines": [
            "{qname} 30 IN A 192.0.2.1",
            "{qname} 30 IN RRSIG A 8 2 30 20200119031407 20200101000000 1 example. AAAA",
        ]
    },
    "large": {"lines": [f"{{qname}} 30 IN A 192.0.2.{n}" for n in range(60)]},
    "alias of none": {"lines": ["{qname} 0 IN CNAME b.example.", "b.example. 9 IN A 192.0.2.1"]},
    "large alias": {
        "lines": [
            "{qname} 30 IN CNAME b.example.",
            *[f"b.example. 30 IN A 192.0.2.{n}" for n in range(60)],
        ]
    },
    "authority": {
        "lines": ["{qname} 30 IN A 192.0.2.1"],
        "authority": ("example. 5 IN NS ns.example.",),
        "additional": ("ns.example. 5 IN A 192.0.2.9",),
    },
    "nxdomain": {"rcode": "NXDOMAIN", "authority": (SOA,)},
    "bare nxdomain": {"rcode": "NXDOMAIN"},
    "alias nxdomain": {
        "rcode": "NXDOMAIN",
        "lines": ["{qname} 30 IN CNAME b.example."],
        "authority": (SOA,),
    },
    "nodata": {"authority": (SOA,)},
    "bare nodata": {},
    "referral": {"authority": ("example. 5 IN NS ns.example.",)},
    "servfail": {"rcode": "SERVFAIL"},
    "refused": {"rcode": "REFUSED"},
    "formerr": {"rcode": "FORMERR"},
    "authoritative": {"lines": ["{qname} 30 IN A 192.0.2.1"], "flags": "QR AA RD RA AD"},
    "truncated": {"lines": ["{qname} 30 IN A 192.0.2.1"], "flags": "QR TC RD RA"},
    "with opt": {"lines": ["{qname} 30 IN A 192.0.2.1"], "options": ()},
    "with ede": {
        "lines": ["{qname} 30 IN A 192.0.2.1"],
        "options": (dns.edns.EDEOption(3, "stale"),),
    },
    "denial with opt": {"rcode": "NXDOMAIN", "authority": (SOA,), "options": ()},
}
"""What an upstream may say, by name; beside these `garbage`, `other case`, `uncompressed`."""

ODD = ("garbage", "other case", "uncompressed", "cut off", "written out", "long tail")
_SOA_NUMBERS = struct.pack("!5I", 1, 7200, 1800, 86400, 17)


def answer_to(packet: bytes, what: str) -> bytes:
    """An upstream's answer to `packet`."""
    end = packet.index(b"\0", 12) + 5
    return packet[:2] + _answer(packet[12:end], what)


@lru_cache(10_000)
def _answer(question: bytes, what: str) -> bytes:
    """The answer behind its id."""
    labels, offset = [], 0
    while size := question[offset]:
        labels.append(question[offset + 1 : offset + 1 + size].decode())
        offset += size + 1
    qname, qtype = ".".join(labels) + ".", int.from_bytes(question[-4:-2], "big")
    if what == "garbage":
        return b"\x81\x80\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\1"
    if what == "uncompressed":
        record = question[:-4] + b"\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1"
        return b"\x81\x80\0\1\0\1\0\0\0\0" + question + record
    if what in ("written out", "long tail"):
        mname = 4 * (b"\x30" + b"m" * 48) + b"\0" if what == "long tail" else b"\2ns\0"
        data = mname + mname + _SOA_NUMBERS
        soa = b"\7example\0\0\6\0\1\0\0\0\x1e" + struct.pack("!H", len(data)) + data
        return b"\x85\x83\0\1\0\0\0\1\0\0" + question + soa
    if what == "cut off":
        return b"\x81\x80\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0"
    said = {"lines": ["{qname} 30 IN A 192.0.2.1"]} if what == "other case" else ANSWERS[what]
    lines = [line.format(qname=qname) for line in said.get("lines", ())]
    more = {name: told for name, told in said.items() if name != "lines"}
    octets = response(f"{qname} TYPE{qtype}", *lines, **more)
    if what == "other case":
        octets = octets[:12] + octets[12 : 12 + offset].upper() + octets[12 + offset :]
    return octets[2:]


@lru_cache(10_000)
def asked(qname: str, rdtype: str, flags: str, payload: int, *, wants_dnssec: bool) -> bytes:
    """A client's query."""
    if not payload:
        return query(f"{qname} {rdtype}", flags=flags)
    return query(
        f"{qname} {rdtype}", flags=flags, use_edns=0, payload=payload, want_dnssec=wants_dnssec
    )
