"""The plain way of a query: for an address, and nothing in it that somebody else might not ask too.

Nearly all queries are such. What takes one through zone and cache, or to an upstream that is well
and back, is done here in one go, with one object for all that waits, and by the same rules.
Whatever is not plain, at any time, goes on by the general way: a query before anything was done,
an answer that is not to be kept, a query that others join or that has to wait
(`PlainMiss.as_flight`). tests/server/test_plain.py holds the two ways against each other.
"""

import logging
from collections.abc import Callable
from enum import Enum
from functools import partial
from struct import Struct
from time import monotonic
from typing import Any, Final

from nodecache.cache import (
    MOST_ASKED,
    Cache,
    Entry,
    Failures,
    Prefetch,
    note_hits,
    reply_changes_at,
    reply_ttl,
)
from nodecache.forward import Ask, Attempt, Failure, Forwarder, Told, Upstream, Waiter
from nodecache.wire import (
    FORWARD,
    HEADER_SIZE,
    KEY_END_SIZE,
    SURELY_FITS,
    Answer,
    Flag,
    Kind,
    MalformedMessage,
    address_records,
    read_answer,
    read_query,
)

from .asker import ClientAsker, Transport, tally_of
from .counts import Outcome
from .family import Denial, Family
from .flight import Flight
from .policy import ZoneOptions
from .replies import HOT_SECONDS, Finished
from .waiting import WaitingRoom

log = logging.getLogger(__name__)

# Members of an enum cost a look-up each time.
_MISS, _HIT_SUCCESS, _HIT_DENIAL = Outcome.MISS, Outcome.HIT_SUCCESS, Outcome.HIT_DENIAL
_KEPT_KINDS = (Kind.POSITIVE, Kind.NXDOMAIN, Kind.NODATA)
_HIT_FLAGS = int(Flag.QR | Flag.AA)
_LENGTH_AND_ID = Struct("!2H")
_PUT_TTL = Struct("!I").pack_into
_TOLD = Told()


class NotPlain(Enum):
    """That a query has to go the general way."""

    NOT_PLAIN = 0


NOT_PLAIN: Final = NotPlain.NOT_PLAIN


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

    def tell(self, reply: bytes | bytearray, rcode: int) -> None:
        """Answer the client, whose query no longer waits."""
        self._ask = _TOLD
        transport, address, family = self.transport, self.address, self.family
        transport.send(reply, address)
        counts = family.served.counts
        sizes = len(self.packet), len(reply)
        counts.count(tally_of(family.query, "udp", address[0], *sizes, rcode, FORWARD, _MISS))
        counts.duration.observe(monotonic() - self.received_at)
        if self.slot >= 0:
            transport.unnote(self.slot)

    def answered(self, packet: bytes, now: float) -> None:
        """Keep an answer that is plain, and tell it."""
        if self._ask is None:
            try:
                if self.family.way.take_answer(self, packet, now):
                    return
            except Exception:
                # A fault of ours costs one query its answer, not those behind it theirs.
                log.exception("what became of a query could not be told")
                if not self.family.way.waits(self):
                    self._ask = _TOLD
        self.ask.answered(self, packet, now)


class PlainWay:
    """How the plain queries of one zone go: what they need of the zone and of its forwarder.

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
        self._bounds = options.bounds
        self._least_ttl = options.bounds.success_min_ttl
        self._most_ttl = options.bounds.success_ttl
        self._prefetch = options.prefetch
        self._keeps_ttl = options.keeps_ttl
        self._deadline_seconds = options.deadline_seconds
        self._landed = landed

    def take(
        self, family: Family, packet: bytes, transport: Transport, address: Any, now: float
    ) -> Finished | NotPlain | None:
        """Answer a client's query of `family`, or ask upstream; a reply for the table, if any.

        NOT_PLAIN: nothing was done.
        """
        name_end = len(packet) - family.behind_name
        key = packet[HEADER_SIZE:name_end].lower() + family.key_end
        entry = self._cache.find(key)
        if entry is not None:
            return self._take_hit(family, entry, packet, transport, address, now)
        flights = self._flights
        if key in flights or key in self._failures.failed:
            return NOT_PLAIN
        forwarder = self._forwarder
        upstream = forwarder.plain_upstream()
        if upstream is None or not self._room.enter(address[0]):
            return NOT_PLAIN
        forwarder.in_flight += 1
        forwarder.budget.asks += 1
        flights[key] = miss = PlainMiss(
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
        (upstream.streams if miss.by_stream else upstream.datagrams).send(miss, now)
        return None

    # A hit that is not in the reply table

    def _take_hit(
        self,
        family: Family,
        entry: Entry,
        packet: bytes,
        transport: Transport,
        address: Any,
        now: float,
    ) -> Finished | NotPlain | None:
        remaining = entry.ttl - int(now - entry.stored_at)
        prefetch = self._prefetch
        if (
            remaining <= 0
            or entry.is_refreshing
            or entry.ede
            or len(entry.wire) > SURELY_FITS
            or not packet.startswith(entry.key[:-KEY_END_SIZE], HEADER_SIZE)
            or (prefetch is not None and _may_be_due(entry, prefetch, remaining))
        ):
            return NOT_PLAIN
        is_hot = now - entry.counted_at < HOT_SECONDS
        if prefetch is None:
            entry.counted_at = now
        else:
            note_hits(entry, 1, prefetch, now)
        reply = family.reply_from(entry, packet, entry.ttl if self._keeps_ttl else remaining)
        transport.send(reply, address)
        outcome = _HIT_DENIAL if entry.is_denial else _HIT_SUCCESS
        sizes = len(packet), len(reply)
        tally = tally_of(family.query, "udp", address[0], *sizes, entry.rcode, "cache", outcome)
        served = family.served
        served.counts.count(tally)
        served.counts.duration.observe(monotonic() - now)
        if not is_hot:
            entry.note_asked(1)
            return None
        entry.note_asked(MOST_ASKED)  # those who hear from the table are counted too late
        good_until = reply_changes_at(entry, prefetch, now)
        return Finished(bytes(reply[2:]), good_until, entry, served, tally)

    # What came back

    def take_answer(self, miss: PlainMiss, packet: bytes, now: float) -> bool:
        """Keep an upstream's answer and tell it; False: it is not plain, and nothing was done."""
        family, question = miss.family, miss.question
        if self._cache.find(miss.key) is not None or not packet.startswith(question, HEADER_SIZE):
            return False
        end = HEADER_SIZE + len(question)
        head = family.head_of(packet)
        if head is None:
            denial = family.denial_in(packet, end)
            if denial is None:
                return self._take_other(miss, packet, now)
            self._take_denial(miss, denial, packet, now)
            return True
        read = address_records(packet, end, family.shape, head.answers, head.additionals)
        if read is None:
            return self._take_other(miss, packet, now)
        wire, ttl_offsets, lowest = read
        ttl = min(max(lowest, self._least_ttl), self._most_ttl)
        if ttl <= 0 or len(wire) > SURELY_FITS:
            return False
        self._settle(miss, 0, now)
        flags = wire[2] << 8 | wire[3] | _HIT_FLAGS
        self._cache.put_first(Entry(miss.key, wire, ttl_offsets, flags, ttl, now))
        reply = miss.packet[:2] + head.in_reply + question + wire[end:] + family.opt
        is_as_written = ttl == lowest and head.answers == 1
        miss.tell(reply if is_as_written else _with_ttls(reply, ttl_offsets, ttl), 0)
        return True

    def _take_denial(self, miss: PlainMiss, denial: Denial, packet: bytes, now: float) -> None:
        """The same for a denial that was read before."""
        question, head = miss.question, denial.head
        self._settle(miss, denial.rcode, now)
        entry = Entry(
            miss.key,
            packet[:2] + head + question + denial.tail,
            (HEADER_SIZE + len(question) + denial.ttl_place,),
            head[0] << 8 | head[1] | _HIT_FLAGS,
            denial.ttl,
            now,
            denial.kind,
            denial.rcode,
        )
        self._cache.put_first(entry)
        reply = miss.packet[:2] + denial.head_in_reply + question + denial.tail_in_reply
        miss.tell(reply, denial.rcode)

    def _take_other(self, miss: PlainMiss, packet: bytes, now: float) -> bool:
        """The same for an alias, or a denial, which nothing is wrong with."""
        question_end = HEADER_SIZE + len(miss.question)
        try:
            answer = read_answer(packet, question_end=question_end)
        except MalformedMessage:
            return False
        if (
            answer.kind not in _KEPT_KINDS
            or answer.ede
            or answer.signed_until is not None
            or len(answer.wire) > SURELY_FITS
            or not self._forwarder.is_last_word(answer.rcode)
        ):
            return False
        ttl = reply_ttl(answer, self._bounds)
        if ttl <= 0:
            return False
        self._settle(miss, answer.rcode, now)
        self._cache.put(miss.key, answer, ttl, now)
        reply = miss.family.reply_with(answer, miss.packet, ttl)
        miss.tell(reply, answer.rcode)
        miss.family.learn(answer, packet, bytes(reply), ttl)
        return True

    def _settle(self, miss: PlainMiss, rcode: int, now: float) -> None:
        """An answer came that will be kept and told: nobody waits for it any more."""
        upstream = miss.upstream
        upstream.answered(rcode, now - miss.sent_at, now)
        if not upstream.health.is_good:
            upstream.served()
        self._forwarder.in_flight -= 1
        del self._flights[miss.key]
        self._room.leave(miss.address[0])

    def waits(self, miss: PlainMiss) -> bool:
        """Whether nothing was done about `miss` yet."""
        return self._flights.get(miss.key) is miss

    def go_on(self, flight: Flight, miss: PlainMiss) -> Ask:
        """Have `flight` in the place of `miss` from now on: the ask that its attempt is of."""
        self._flights[flight.key] = flight
        return self._forwarder.ask_for(
            flight.query,
            miss.received_at + self._deadline_seconds,
            partial(self._landed, flight),
            miss.transport.name,
        )


def _may_be_due(entry: Entry, prefetch: Prefetch, remaining: int) -> bool:
    """Whether the entry may have to be fetched again with this hit; the general way decides."""
    is_near_its_end = remaining <= entry.ttl * prefetch.percentage / 100 + 1
    return is_near_its_end and entry.hits + 1 >= prefetch.amount


def _with_ttls(reply: bytes, ttl_offsets: tuple[int, ...], ttl: int) -> bytearray:
    """`reply` with `ttl` seconds on every record."""
    changed = bytearray(reply)
    for offset in ttl_offsets:
        _PUT_TTL(changed, offset, ttl)
    return changed
