"""One query's path through one server block.

    serve ─ hit ──────────────► told            no await, no task
          ├ stale ─ refresh ──► told at once, or once upstream has had its time
          ├ known failure ────► SERVFAIL
          └ miss ─ join or ask ─► landed ─► kept ─► every waiter is told

The zone decides; what an age means is told by `cache.freshness`, for how long an answer is kept
by `cache.keep`, where answers come from by its `Source`, and what a reply looks like by the asker.
Directives above the cache, where a block has any, wrap all of this (`above`).
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic, time

from nodecache.cache import (
    Cache,
    Entry,
    Failures,
    is_denial,
    is_due_for_prefetch,
    may_be_kept,
    note_failed_refresh,
    note_hits,
    note_unkept_refresh,
    reply_changes_at,
    reply_ttl,
    stale_errors,
)
from nodecache.forward import Failure
from nodecache.wire import Answer, Ede, ExtendedErrors, Flag, Kind, Query, Rcode, Rdtype

from .asker import Asker, ChainAsker, ClientAsker, client_of, failure_errors
from .chain import Ask, Back, Chain, Client, Silence, Terminal
from .counts import Outcome
from .directives.bufsize import lower_payload_size
from .directives.errors import ErrorLog
from .directives.shuffled import as_it_is
from .flight import Flight
from .plain import PlainMiss, PlainWay
from .policy import StalePolicy, ZoneOptions, is_within, may_replace
from .replies import HOT_SECONDS, Finish, Finished
from .source import Source
from .waiting import WaitingRoom

_RD = int(Flag.RD)
_TRANSFERS = frozenset((int(Rdtype.AXFR), int(Rdtype.IXFR)))
_REMEMBERED = (Rcode.SERVFAIL, Rcode.NOTIMP)  # as CoreDNS: what says nothing of the name
_SERVFAIL_KIND = Kind.SERVFAIL  # members of an enum cost a look-up each time
_NO_TRANSFERS: ExtendedErrors = ((Ede.NOT_SUPPORTED, b"zone transfers are not served"),)
_NO_ROOM: ExtendedErrors = ((Ede.NETWORK_ERROR, b"too many queries wait for an answer"),)
# New questions that may wait for upstreams that are down: enough to notice their return by.
_MOST_WHILE_DOWN = 64
_MOST_WITH_STALE_ANSWERS = 4  # of those that might have a stale answer at once
# What a SERVFAIL's records, should it have any, are good for: CoreDNS's default.
_SERVFAIL_TTL = 5


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
        errors: ErrorLog | None = None,
    ) -> None:
        self.options = options
        self.cache = cache
        self.prefetch = options.prefetch
        self.keeps_ttl = options.keeps_ttl
        self.above: Chain | None = None
        self.finish: Finish = as_it_is
        self.errors = errors
        self.coalesced = 0
        self.clock: Callable[[], float] = monotonic
        self.wall_clock: Callable[[], float] = time
        self._bufsize = options.bufsize
        self._bounds = options.bounds
        self._deadline_seconds = options.deadline_seconds
        self._caches_all = options.caches_all
        self._missed = Outcome.MISS if options.uses_cache else Outcome.UNCACHED
        self._failures = failures
        self._source = source
        self._room = room
        self._loop = loop
        self._flights: dict[bytes, Flight | PlainMiss] = {}
        self._plain_way: PlainWay | None = None

    @property
    def in_flight(self) -> int:
        """Questions on their way upstream."""
        return len(self._flights)

    @property
    def plain_way(self) -> PlainWay | None:
        """The way of plain misses, where nothing of this block has a say in them."""
        if self._plain_way is None and self.above is None and self.options.is_plain:
            forwarder = self._source.plain_forwarder
            if forwarder is not None:
                self._plain_way = PlainWay(
                    forwarder,
                    self.cache,
                    self._flights,
                    self._failures,
                    self._room,
                    self.options,
                    self._landed,
                )
        return self._plain_way

    # The ways in

    def serve(self, asker: ClientAsker, now: float) -> Finished | None:
        """Answer a client's query, now or later; a reply for the table where it may go there."""
        if self._bufsize:
            lower_payload_size(asker.query, self._bufsize)
        if self.above is None:
            return self.resolve(asker, now)
        return self._serve_by_chain(asker, self.above)

    def _serve_by_chain(self, asker: ClientAsker, chain: Chain) -> Finished | None:
        """Send the query through the directives that stand above the cache."""
        finished = None

        def done(result: Answer | Failure | Silence) -> None:
            nonlocal finished
            outcome = asker.outcome or Outcome.UNCACHED
            if isinstance(result, Answer):
                finished = asker.tell_answer(result, None, outcome)
            elif isinstance(result, Failure):
                self._log(asker.query, result)
                asker.tell_failure(result.rcode, failure_errors(result), outcome)
            else:
                asker.tell_nothing()

        chain.start(asker.query, client_of(asker), done)
        return finished

    def serve_inner(self, asker: ChainAsker) -> Ask | None:
        """Answer a question that the server asks itself, through all its directives."""
        if self.above is None:
            self.resolve(asker, self.clock())
            return None

        def done(result: Answer | Failure | Silence) -> None:
            if isinstance(result, Silence):
                result = Failure(Rcode.REFUSED, Ede.PROHIBITED, b"", "")
            asker.back(result)

        return self.above.start(asker.query, asker.client, done)

    def terminal(self) -> Terminal:
        """What the directives above end in: the cache, and what is below it."""

        def ask(query: Query, client: Client, back: Back) -> Ask | None:
            self.resolve(ChainAsker(query, client, back, client.outer), self.clock())
            return None

        return ask

    def resolve(self, asker: Asker, now: float) -> Finished | None:
        """Answer from the cache, or ask."""
        query = asker.query
        if query.qtype in _TRANSFERS:
            asker.tell_failure(Rcode.REFUSED, _NO_TRANSFERS, Outcome.UNCACHED)
            return None
        entry = self.cache.get(query.key, now)
        if entry is not None:
            remaining = entry.ttl - int(now - entry.stored_at)
            if remaining > 0:
                return self._hit(asker, entry, remaining, now)
            if self.options.stale is not None:
                self._expired(asker, entry, self.options.stale, now)
                return None
        self._miss(asker, now)
        return None

    # A hit

    def _hit(self, asker: Asker, entry: Entry, remaining: int, now: float) -> Finished | None:
        # A reply is worth a place in the table where the next like it is near.
        is_hot = now - entry.counted_at < HOT_SECONDS
        good_until = reply_changes_at(entry, self.prefetch, now) if is_hot else 0.0
        if (prefetch := self.prefetch) is None:
            entry.counted_at = now
        else:
            note_hits(entry, 1, prefetch, now)
            if entry.hits >= prefetch.amount and is_due_for_prefetch(entry, prefetch, now):
                self._refresh(asker, entry, now)
            if entry.is_refreshing:
                good_until = 0.0  # a better one is on its way: in the table this would outlive it
        ttl = entry.ttl if self.keeps_ttl else remaining
        return asker.tell_entry(entry, ttl, entry.ede, good_until)

    def wants_prefetch(self, entry: Entry, now: float) -> bool:
        """Whether the next hit on `entry` should come this way, to fetch it again."""
        return self.prefetch is not None and is_due_for_prefetch(entry, self.prefetch, now)

    # An expired entry

    def _expired(self, asker: Asker, entry: Entry, policy: StalePolicy, now: float) -> None:
        """Fresh first, where upstream is quick enough; else the stale answer: RFC 8767 §5."""
        flight = self._flight(entry.key)
        is_hopeless = flight is not None and flight.is_late
        if policy.patience_seconds != 0 and self._source.is_silent(now):
            is_hopeless |= flight is not None or len(self._flights) >= _MOST_WITH_STALE_ANSWERS
        if is_hopeless or (now < entry.refresh_at and not entry.is_refreshing):
            self._tell_stale(asker, entry, policy)
        elif policy.patience_seconds == 0:
            self._tell_stale(asker, entry, policy)
            self._refresh(asker, entry, now)
        else:
            self._miss(asker, now, entry)

    def _tell_stale(self, asker: Asker, entry: Entry, policy: StalePolicy) -> None:
        self.cache.counts.served_stale += 1
        ttl = entry.ttl if self.keeps_ttl and not policy.ttl else policy.ttl
        asker.tell_entry(entry, ttl, stale_errors(entry))

    def _refresh(self, asker: Asker, entry: Entry, now: float) -> None:
        """Fetch an entry again with nobody waiting, once at a time, and as whoever wants all of it.

        Without RD upstream may answer with less than what everybody gets.
        """
        is_wanted_whole = asker.query.flags & _RD
        if is_wanted_whole and not entry.is_refreshing and entry.key not in self._flights:
            entry.is_refreshing = True
            self.cache.counts.prefetches += 1
            self._send(Flight(entry.key, asker.query, [], entry), asker, now)

    def _lose_patience(self, flight: Flight) -> None:
        """Upstream had its time: those who wait get the stale answer, the flight goes on."""
        flight.patience = None
        flight.is_late = True
        policy, entry = self.options.stale, flight.stale
        if policy is not None and entry is not None:
            for asker in self._released(flight):
                self._tell_stale(asker, entry, policy)

    # A miss

    def _miss(self, asker: Asker, now: float, stale: Entry | None = None) -> None:
        query = asker.query
        # What equal misses have in common. Without RD the answer may be a referral: none joins.
        key = query.key if query.flags & _RD else query.key + b"\0"
        if stale is None and (failed := self._failures.get(key, now, self._source.is_silent)):
            asker.tell_failure(failed.rcode, failed.ede, self._missed)
            return
        flight = self._flight(key)
        if flight is None and self._is_hopeless():
            self._turn_away(asker, stale)
            return
        if not self._room.enter(asker.host):
            self._room.refused += 1
            self._turn_away(asker, stale)
            return
        asker.begin_waiting()
        if flight is not None and self.options.joins_misses:
            self.coalesced += 1
            flight.join(asker)
            self._be_patient(flight)
            return
        flight = Flight(key, query, [asker], stale)
        if stale is not None:
            self._be_patient(flight)
        self._send(flight, asker, now)

    def _flight(self, key: bytes) -> Flight | None:
        """What is under way for a question."""
        under_way: Flight | PlainMiss | None = self._flights.get(key)
        return under_way if under_way is None else under_way.as_flight()

    def _is_hopeless(self) -> bool:
        """Whether upstream is down and enough new questions wait for it to come back.

        More would wait in vain, and their work would be at the cost of hits.
        """
        return len(self._flights) >= _MOST_WHILE_DOWN and self._source.is_down()

    def _turn_away(self, asker: Asker, stale: Entry | None) -> None:
        """Nobody may wait any more: a stale answer, or none."""
        if stale is not None and self.options.stale is not None:
            self._tell_stale(asker, stale, self.options.stale)
        else:
            asker.tell_failure(Rcode.SERVFAIL, _NO_ROOM, self._missed)

    def _be_patient(self, flight: Flight) -> None:
        policy = self.options.stale
        if flight.stale is None or flight.patience is not None or policy is None:
            return
        if policy.patience_seconds is not None:
            flight.patience = self._loop.call_later(
                policy.patience_seconds, self._lose_patience, flight
            )

    def _send(self, flight: Flight, asker: Asker, now: float) -> None:
        self._flights[flight.key] = flight
        source = self._source
        client = client_of(asker) if source.wants_client else None
        deadline = now + self._deadline_seconds
        landed = partial(self._landed, flight)
        flight.sent(source.ask(flight.query, client, asker.transport_name, deadline, landed, now))

    # What came back

    def _landed(self, flight: Flight, outcome: Answer | Failure) -> None:
        """Keep an answer; tell everybody who waits."""
        flights, key = self._flights, flight.key
        if flights.get(key) is flight:
            del flights[key]
        now = self.clock()
        if isinstance(outcome, Failure):
            self._log(flight.query, outcome)
            self._failed(flight, outcome, now)
        elif outcome.kind is _SERVFAIL_KIND or (
            flight.stale is not None and not may_replace(outcome, flight.stale, self.options.stale)
        ):
            self._failed(flight, outcome, now)
        else:
            self._answered(flight, outcome, now)

    def _answered(self, flight: Flight, answer: Answer, now: float) -> None:
        shown = self._keep_if_wanted(flight, answer, reply_ttl(answer, self._bounds), now)
        if self._failures.failed:
            self._failures.clear(flight.key)
        for asker in self._released(flight):
            asker.tell_answer(answer, shown, self._missed)

    def _keep_if_wanted(self, flight: Flight, answer: Answer, ttl: int, now: float) -> int | None:
        """Keep what may be kept; the TTL that those who wait are shown, None for each its own."""
        query = flight.query
        is_cached = self._is_cached(query)
        if is_cached and ttl > 0 and flight.is_for_all and self._may_keep(query, answer):
            self.cache.put(flight.key, answer, ttl, now)
        elif flight.stale is not None and flight.is_for_all:
            note_unkept_refresh(flight.stale, now)
        return ttl if is_cached else None

    def _failed(self, flight: Flight, outcome: Answer | Failure, now: float) -> None:
        """No better answer came: the stale one if there is one, else the failure itself."""
        policy, entry, ede = self.options.stale, flight.stale, failure_errors(outcome)
        is_decided = isinstance(outcome, Failure) and outcome.is_decided
        if outcome.rcode in _REMEMBERED and not is_decided and self._is_cached(flight.query):
            is_silent = self._source.is_silent(now)
            self._failures.note(flight.key, outcome.rcode, ede, now, is_unheard=is_silent)
        if entry is not None and flight.is_for_all:
            note_failed_refresh(entry, now, policy.recheck_seconds if policy else None)
        for asker in self._released(flight):
            if entry is not None and policy is not None:
                self._tell_stale(asker, entry, policy)
            elif isinstance(outcome, Failure):
                asker.tell_failure(outcome.rcode, ede, self._missed)
            else:
                asker.tell_answer(outcome, _SERVFAIL_TTL, self._missed)

    def _released(self, flight: Flight) -> Iterator[Asker]:
        """Those who waited for a flight, each to be told before the next; their places are free."""
        for asker in flight.take_waiters():
            self._room.leave(asker.host)
            yield asker
            asker.end_waiting()

    def _may_keep(self, query: Query, answer: Answer) -> bool:
        """Whether an answer may be kept where the cache has to do with its name."""
        if not may_be_kept(answer, self.wall_clock):
            return False
        options = self.options
        disabled = options.denial_disabled if is_denial(answer.kind) else options.success_disabled
        return not disabled or not is_within(query.qname, disabled)

    def _is_cached(self, query: Query) -> bool:
        """Whether the cache has to do with this name at all."""
        options = self.options
        return options.uses_cache and (
            self._caches_all or is_within(query.qname, options.cached_zones)
        )

    def _log(self, query: Query, failure: Failure) -> None:
        if self.errors is not None:
            self.errors.note(query, failure)

    def close(self) -> None:
        """Give up what is under way; those who wait hear SERVFAIL."""
        for flight in [under_way.as_flight() for under_way in list(self._flights.values())]:
            if flight.ask is not None:
                flight.ask.cancel()
            if flight.stale is not None:
                flight.stale.is_refreshing = False
            for asker in self._released(flight):
                asker.tell_failure(Rcode.SERVFAIL, (), self._missed)
        self._flights.clear()
        if self.errors is not None:
            self.errors.close()
