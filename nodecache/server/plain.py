"""The plain way of a miss: an address that nobody has asked for of late, of an upstream that is well.

Nearly all misses are such. What takes one question through zone, forwarder and back is done here
in one go, with one object for all that waits, and by the same rules. Whatever is not plain, at any
time, goes on by the general way: a query before it is sent, an answer that is more than addresses,
or a query that has to wait (`PlainMiss.as_flight`).
"""

from collections.abc import Callable
from functools import partial
from struct import Struct
from time import monotonic
from typing import Any

from nodecache.cache import Cache, Failures
from nodecache.forward import Ask, Attempt, Failure, Forwarder, Told, Upstream, Waiter
from nodecache.wire import HEADER_SIZE, SURELY_FITS, Answer, Flag, address_records, read_query

from .asker import ClientAsker, Transport
from .family import Family
from .flight import Flight
from .policy import ZoneOptions
from .waiting import WaitingRoom

_HIT_FLAGS = int(Flag.QR | Flag.AA)
_LENGTH_AND_ID = Struct("!2H")
_PUT_TTL = Struct("!I").pack_into
_TOLD = Told()


class PlainMiss(Attempt):
    """A client's question on its way upstream, once: who asked, what was asked, and of whom.

    `packet` is the client's, `key` the question's in the cache, `slot` its place in the journal.
    """

    __slots__ = ("address", "family", "key", "packet", "received_at", "slot", "transport")

    def __init__(
        self,
        family: Family,
        packet: bytes,
        key: bytes,
        question: bytes,
        transport: Transport,
        address: Any,
        now: float,
        upstream: Upstream,
        by_stream: bool,  # noqa: FBT001 - made for every query, and keywords cost
    ) -> None:
        self.family = family
        self.packet = packet
        self.key = key
        self.question = question
        self.transport = transport
        self.address = address
        self.received_at = self.sent_at = now
        self.upstream = upstream
        self.by_stream = by_stream
        self.carrier = None
        self._ask = None
        self.slot = transport.note(packet, address, now)

    @property
    def ask(self) -> Waiter:
        """Whose attempt it is, by the general way."""
        if self._ask is None:
            self.as_flight()
        assert self._ask is not None
        return self._ask

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._ask is not None and self._ask.is_done

    def framed(self, message_id: int) -> bytes:
        """What to send, behind its length."""
        family, question = self.family, self.question
        tail = family.opt_upstream
        size = HEADER_SIZE + len(question) + len(tail)
        return _LENGTH_AND_ID.pack(size, message_id) + family.head_upstream + question + tail

    def as_flight(self) -> Flight:
        """Go on by the general way: the flight, which the zone knows in the place of this."""
        asker = ClientAsker(
            read_query(self.packet),
            self.transport,
            self.address,
            self.received_at,
            self.family.served,
        )
        asker.slot = self.slot
        flight = Flight(self.key, asker.query, [asker], None)
        self._ask = flight.ask = self.family.way.go_on(flight, self)
        return flight

    def tell(self, reply: bytes | bytearray) -> None:
        """Answer the client, whose query no longer waits."""
        self._ask = _TOLD
        transport, host, served = self.transport, self.address[0], self.family.served
        transport.send(reply, self.address)
        served.counts.count(self.family.tally(host, len(self.packet), len(reply)))
        served.counts.duration.observe(monotonic() - self.received_at)
        if self.slot >= 0:
            transport.unnote(self.slot)

    def answered(self, packet: bytes, now: float) -> None:
        """Keep an answer that is plain, and tell it."""
        if self._ask is not None or not self.family.way.take_answer(self, packet, now):
            self.ask.answered(self, packet, now)


class PlainWay:
    """How the plain misses of one zone go: what they need of the zone and of its forwarder.

    `landed` is told what came of a flight that went on by the general way.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        cache: Cache,
        flights: "dict[bytes, Flight | PlainMiss]",
        failures: Failures,
        room: WaitingRoom,
        options: ZoneOptions,
        landed: Callable[[Flight, Answer | Failure], None],
    ) -> None:
        self._forwarder = forwarder
        self._cache = cache
        self._flights = flights
        self._failures = failures
        self._room = room
        self._least_ttl = max(options.bounds.success_min_ttl, 1)
        self._most_ttl = options.bounds.success_ttl
        self._deadline_seconds = options.deadline_seconds
        self._landed = landed

    def take(
        self, family: Family, packet: bytes, transport: Transport, address: Any, now: float
    ) -> bool:
        """Ask upstream for a client's query of `family`; False: it is not a plain miss."""
        flights = self._flights
        name_end = len(packet) - family.behind_name
        key = packet[HEADER_SIZE:name_end].lower() + family.key_end
        if self._cache.find(key) is not None or key in flights or key in self._failures.failed:
            return False
        forwarder = self._forwarder
        upstream = forwarder.plain_upstream()
        if upstream is None or not self._room.enter(address[0]):
            return False
        forwarder.in_flight += 1
        forwarder.budget.asks += 1
        miss = PlainMiss(
            family,
            packet,
            key,
            packet[HEADER_SIZE : name_end + 4],
            transport,
            address,
            now,
            upstream,
            upstream.is_stream_only,
        )
        flights[key] = miss
        (upstream.streams if miss.by_stream else upstream.datagrams).send(miss, now)
        return True

    def take_answer(self, miss: PlainMiss, packet: bytes, now: float) -> bool:
        """Keep an upstream's answer and tell it; False: it is not plain."""
        family, question = miss.family, miss.question
        head = family.head_of(packet)
        if head is None or not packet.startswith(question, HEADER_SIZE):
            return False
        end = HEADER_SIZE + len(question)
        read = address_records(packet, end, family.shape, head.answers, head.additionals)
        if read is None:
            return False
        wire, ttl_offsets, ttl = read
        if len(wire) > SURELY_FITS or not self._least_ttl <= ttl <= self._most_ttl:
            return False
        upstream = miss.upstream
        upstream.answered(0, now - miss.sent_at, now)
        if not upstream.health.is_good:
            upstream.served()
        self._forwarder.in_flight -= 1
        key = miss.key
        del self._flights[key]
        self._cache.put_first(key, wire, ttl_offsets, wire[2] << 8 | wire[3] | _HIT_FLAGS, ttl, now)
        if self._failures.failed:
            self._failures.clear(key)
        client = miss.packet
        reply = client[:2] + head.in_reply + question + wire[end:] + family.opt
        self._room.leave(miss.address[0])
        miss.tell(reply if head.answers == 1 else _with_ttls(reply, ttl_offsets, ttl))
        return True

    def go_on(self, flight: Flight, miss: PlainMiss) -> Ask:
        """Have `flight` in the place of `miss` from now on: the ask that its attempt is of."""
        self._flights[flight.key] = flight
        return self._forwarder.ask_for(
            flight.query,
            miss.received_at + self._deadline_seconds,
            partial(self._landed, flight),
            miss.transport.name,
        )


def _with_ttls(reply: bytes, ttl_offsets: tuple[int, ...], ttl: int) -> bytearray:
    """`reply` with `ttl` seconds on every record."""
    changed = bytearray(reply)
    for offset in ttl_offsets:
        _PUT_TTL(changed, offset, ttl)
    return changed
