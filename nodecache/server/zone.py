"""One query's path through one server block.

    serve ─ hit ──────────────► reply            no await, no task
          ├ stale ─ refresh ──► reply at once, or once upstream has had its time
          ├ known failure ────► SERVFAIL
          └ miss ─ join or ask ─► arrived / failed ─► keep ─► every waiter's reply

The zone decides; what an age means is told by `cache.freshness`, for how long an answer is kept
by `cache.keep`, where answers come from by its `Source`.
"""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic, time

from nodecache.cache import (
    Bounds,
    Cache,
    Entry,
    Failures,
    Prefetch,
    is_due_for_prefetch,
    may_be_kept,
    note_failed_refresh,
    note_hits,
    reply_ttl,
    stale_errors,
)
from nodecache.forward import Failure
from nodecache.wire import (
    Answer,
    Ede,
    ExtendedErrors,
    Flag,
    Kind,
    Query,
    Rcode,
    Rdtype,
    empty_reply,
    reply_to,
)

from .asker import Asker, count_reply
from .counts import Outcome, ServerCounts
from .flight import Flight
from .replies import Finished
from .source import Source
from .waiting import WaitingRoom

log = logging.getLogger(__name__)

_AD, _TC, _RD = int(Flag.AD), int(Flag.TC), int(Flag.RD)
_NO_AD = 0xFFFF & ~_AD
_TRANSFERS = (Rdtype.AXFR, Rdtype.IXFR)
NO_ROOM: ExtendedErrors = ((Ede.NETWORK_ERROR, b"too many queries wait for an answer"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class StalePolicy:
    """What an expired answer is good for (RFC 8767, CoreDNS `serve_stale`).

    `patience_seconds` is how long upstream may take before the client gets the stale answer: 0
    hands it out at once, None waits for the outcome. `ttl` is what the stale reply says.
    """

    seconds: float = 3600.0
    patience_seconds: float | None = 1.0
    ttl: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneOptions:
    """A server block's behaviour, complete."""

    names: tuple[str, ...]
    bounds: Bounds = Bounds()
    stale: StalePolicy | None = StalePolicy()
    prefetch: Prefetch | None = None
    keeps_ttl: bool = False
    uses_cache: bool = True
    deadline_seconds: float = 4.0
    """When upstream has had its time: before the resolvers' 5 s, so that they hear why."""
    success_disabled: tuple[bytes, ...] = ()
    denial_disabled: tuple[bytes, ...] = ()
    cached_zones: tuple[bytes, ...] = (b"\0",)
    servfail_reply_ttl: int = 5
    logs_errors: bool = False


@dataclass(slots=True)
class Served:
    """A zone as it is served at one listen address, with what is counted there."""

    zone: "Zone"
    counts: ServerCounts


class Zone:
    """The running thing made of one server block."""

    def __init__(
        self,
        options: ZoneOptions,
        cache: Cache,
        failures: Failures,
        source: Source,
        room: WaitingRoom,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.options = options
        self.cache = cache
        self.failures = failures
        self.source = source
        self.prefetch = options.prefetch
        self.keeps_ttl = options.keeps_ttl
        self.coalesced = 0
        self._room = room
        self._loop = loop
        self._flights: dict[bytes, Flight] = {}

    @property
    def in_flight(self) -> int:
        """Questions on their way upstream."""
        return len(self._flights)

    def serve(self, asker: Asker, served: Served, now: float) -> Finished | None:
        """Answer a query, now or later; a reply for the table where it may go there."""
        query = asker.query
        if query.qtype in _TRANSFERS:
            self._tell(asker, served.counts, Rcode.REFUSED, ((Ede.NOT_SUPPORTED, b""),))
            return None
        entry = self.cache.get(query.key, now)
        if entry is not None:
            if entry.remaining_ttl(now) > 0:
                return self._hit(asker, served, entry, now)
            if self.options.stale is not None:
                self._expired(asker, served.counts, entry, self.options.stale, now)
                return None
        self._miss(asker, served.counts, now)
        return None

    # A hit

    def _hit(self, asker: Asker, served: Served, entry: Entry, now: float) -> Finished | None:
        query = asker.query
        ttl = None if self.keeps_ttl else entry.remaining_ttl(now)
        reply = self._reply(asker, entry, ttl, entry.ede)
        asker.transport.send(reply, asker.address)
        outcome = Outcome.HIT_DENIAL if entry.is_denial else Outcome.HIT_SUCCESS
        tally = count_reply(served.counts, asker, reply, entry.rcode, "cache", outcome)
        if self.prefetch is not None:
            note_hits(entry, 1, self.prefetch, now)
            if is_due_for_prefetch(entry, self.prefetch, now):
                self.cache.counts.prefetches += 1
                self._refresh(asker, entry, now)
        if query.is_alike_for_all and asker.transport.name == "udp" and not reply[2] & _TC >> 8:
            return Finished(bytes(reply[2:]), entry.changes_at(now), entry, served, tally)
        return None

    def wants_prefetch(self, entry: Entry, now: float) -> bool:
        """Whether the next hit on `entry` should come this way, to fetch it again."""
        return self.prefetch is not None and is_due_for_prefetch(entry, self.prefetch, now)

    def _reply(
        self, asker: Asker, entry: Entry, ttl: int | None, ede: ExtendedErrors
    ) -> bytes | bytearray:
        query = asker.query
        flags = entry.flags if query.flags & _AD or query.has_do else entry.flags & _NO_AD
        return reply_to(query, entry.wire, flags, entry.ttl_offsets, ttl, asker.limit, ede)

    # An expired entry

    def _expired(
        self, asker: Asker, counts: ServerCounts, entry: Entry, policy: StalePolicy, now: float
    ) -> None:
        """Fresh first, where upstream is quick enough; else the stale answer: RFC 8767 §5."""
        if now < entry.refresh_at and not entry.is_refreshing:
            self._tell_stale(asker, counts, entry, policy)
        elif policy.patience_seconds == 0:
            self._tell_stale(asker, counts, entry, policy)
            self._refresh(asker, entry, now)
        else:
            self._miss(asker, counts, now, entry)

    def _tell_stale(
        self, asker: Asker, counts: ServerCounts, entry: Entry, policy: StalePolicy
    ) -> None:
        ttl = None if self.keeps_ttl else policy.ttl
        reply = self._reply(asker, entry, ttl, stale_errors(entry))
        asker.transport.send(reply, asker.address)
        self.cache.counts.served_stale += 1
        outcome = Outcome.HIT_DENIAL if entry.is_denial else Outcome.HIT_SUCCESS
        count_reply(counts, asker, reply, entry.rcode, "cache", outcome)

    def _refresh(self, asker: Asker, entry: Entry, now: float) -> None:
        """Fetch an entry again with nobody waiting, once at a time."""
        if not entry.is_refreshing and entry.key not in self._flights:
            entry.is_refreshing = True
            self._send(Flight(entry.key, stale=entry), asker, now)

    def _lose_patience(self, flight: Flight) -> None:
        """Upstream had its time: those who wait get the stale answer, the flight goes on."""
        flight.patience = None
        policy, entry = self.options.stale, flight.stale
        if policy is not None and entry is not None:
            for asker, counts in flight.take_waiters():
                self._room.leave(asker.host)
                self._tell_stale(asker, counts, entry, policy)

    # A miss

    def _miss(
        self, asker: Asker, counts: ServerCounts, now: float, stale: Entry | None = None
    ) -> None:
        query = asker.query
        failed = self.failures.get(query.key, now)
        if failed is not None and stale is None:
            self._tell(asker, counts, failed.rcode, failed.ede)
            return
        if not self._room.enter(asker.host):
            self._no_room(asker, counts, stale)
            return
        # A question without RD may be answered by a referral: it joins only its like.
        key = query.key if query.flags & _RD else query.key + b"\0"
        flight = self._flights.get(key)
        if flight is not None:
            self.coalesced += 1
            flight.waiters.append((asker, counts))
            self._be_patient(flight)
            return
        flight = Flight(key, [(asker, counts)], stale)
        self._be_patient(flight)
        self._send(flight, asker, now)

    def _no_room(self, asker: Asker, counts: ServerCounts, stale: Entry | None) -> None:
        if stale is not None and self.options.stale is not None:
            self._tell_stale(asker, counts, stale, self.options.stale)
        else:
            self._tell(asker, counts, Rcode.SERVFAIL, NO_ROOM)

    def _be_patient(self, flight: Flight) -> None:
        policy = self.options.stale
        if flight.stale is not None and flight.patience is None and policy is not None:
            if policy.patience_seconds is not None:
                flight.patience = self._loop.call_later(
                    policy.patience_seconds, self._lose_patience, flight
                )

    def _send(self, flight: Flight, asker: Asker, now: float) -> None:
        self._flights[flight.key] = flight

        def done(outcome: Answer | Failure) -> None:
            self._landed(flight, asker.query, outcome)

        flight.ask = self.source.ask(asker, now + self.options.deadline_seconds, done, now)

    # What came back

    def _landed(self, flight: Flight, query: Query, outcome: Answer | Failure) -> None:
        """Keep an answer; tell everybody who waits."""
        del self._flights[flight.key]
        now = self._now()
        if isinstance(outcome, Failure) or outcome.kind is Kind.SERVFAIL:
            self._failed(flight, query, outcome, now)
            return
        if flight.stale is not None and outcome.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            self._failed(flight, query, outcome, now)
            return
        self.failures.clear(query.key)
        ttl = reply_ttl(outcome, self.options.bounds)
        if ttl > 0 and flight.key == query.key and self._may_keep(query, outcome):
            self.cache.put(query.key, outcome, ttl, now)
        elif flight.stale is not None:
            flight.stale.is_refreshing = False
        for asker, counts in flight.take_waiters():
            self._room.leave(asker.host)
            self._tell_answer(asker, counts, outcome, ttl)

    def _failed(self, flight: Flight, query: Query, outcome: Answer | Failure, now: float) -> None:
        """No better answer came: the stale one if there is one, else the failure itself."""
        policy, entry = self.options.stale, flight.stale
        ede = failure_errors(outcome)
        if not isinstance(outcome, Failure) or outcome.rcode == Rcode.SERVFAIL:
            self.failures.note(query.key, outcome.rcode, ede, now)
        if isinstance(outcome, Failure) and self.options.logs_errors:
            self.log_error(query, outcome)
        if entry is not None:
            note_failed_refresh(entry, now)
        for asker, counts in flight.take_waiters():
            self._room.leave(asker.host)
            if entry is not None and policy is not None:
                self._tell_stale(asker, counts, entry, policy)
            elif isinstance(outcome, Failure):
                self._tell(asker, counts, outcome.rcode, ede)
            else:
                self._tell_answer(asker, counts, outcome, self.options.servfail_reply_ttl)

    def _may_keep(self, query: Query, answer: Answer) -> bool:
        options = self.options
        if not options.uses_cache or not may_be_kept(answer, time()):
            return False
        denied = answer.kind in (Kind.NODATA, Kind.NXDOMAIN)
        disabled = options.denial_disabled if denied else options.success_disabled
        return is_within(query.qname, options.cached_zones) and not is_within(query.qname, disabled)

    def _tell_answer(self, asker: Asker, counts: ServerCounts, answer: Answer, ttl: int) -> None:
        query = asker.query
        flags = answer.flags if query.flags & _AD or query.has_do else answer.flags & _NO_AD
        reply = reply_to(
            query,
            answer.wire,
            flags,
            answer.ttl_offsets,
            None if self.keeps_ttl else ttl,
            asker.limit,
            answer.ede,
            answer.rcode >> 4,
        )
        asker.transport.send(reply, asker.address)
        outcome = Outcome.MISS if self.options.uses_cache else Outcome.UNCACHED
        count_reply(counts, asker, reply, answer.rcode, answer.written_by, outcome)

    def _tell(
        self, asker: Asker, counts: ServerCounts, rcode: int, ede: ExtendedErrors = ()
    ) -> None:
        """A reply of our own, without records."""
        reply = empty_reply(asker.query, rcode, ede)
        asker.transport.send(reply, asker.address)
        outcome = Outcome.MISS if self.options.uses_cache else Outcome.UNCACHED
        count_reply(counts, asker, reply, rcode, "", outcome)

    def log_error(self, query: Query, failure: Failure) -> None:
        """One line for the `errors` directive."""
        log.error("%s", failure.reason)

    def _now(self) -> float:
        return monotonic()

    def close(self) -> None:
        """Give up what is under way; the clients hear SERVFAIL."""
        for flight in list(self._flights.values()):
            if flight.ask is not None:
                flight.ask.cancel()
            for asker, counts in flight.take_waiters():
                self._room.leave(asker.host)
                self._tell(asker, counts, Rcode.SERVFAIL)
        self._flights.clear()
        self.cache.close()


def is_within(qname: bytes, zone_names: tuple[bytes, ...]) -> bool:
    """Whether `qname` (lower case, on the wire) is one of `zone_names` or below one."""
    while zone_names:
        if qname in zone_names:
            return True
        if len(qname) == 1:
            return False
        qname = qname[qname[0] + 1 :]
    return False


def failure_errors(outcome: Answer | Failure) -> ExtendedErrors:
    """The Extended DNS Errors that tell a client why."""
    if isinstance(outcome, Failure):
        return ((outcome.ede_code, outcome.ede_text.encode()),)
    return outcome.ede
