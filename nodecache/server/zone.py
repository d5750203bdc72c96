"""One query's path through one server block.

    resolve ─ hit ─────────────► reply           no await, no task
          ├ stale ─ refresh ──► reply at once, or after upstream has had its time
          ├ known failure ────► SERVFAIL
          └ miss ─ join or send ─► completed ─► kept ─► reply to everybody who waits

The zone decides with the help of others: `cache.freshness` says what an entry's age means,
`cache.keep` for how long an answer is kept, the `Source` gets answers, and the query (`inflight`)
makes the reply. Directives above the cache, where a block has any, wrap all of this (`above`).
"""

import asyncio
from collections.abc import Callable
from time import monotonic, time
from typing import Final

from nodecache.cache import (
    Cache,
    Entry,
    FailedQuestion,
    Failures,
    is_due_for_prefetch,
    note_failed_refresh,
    note_hits,
    refreshed_ttl,
    reply_changes_at,
    reply_ttl,
    seconds_to_keep,
)
from nodecache.forward import Failure
from nodecache.wire import Answer, Ede, ExtendedErrors, Kind, Query, Rcode, Rdtype

from .chain import Chain
from .chain_query import ChainQuery, serve_by_chain, serve_lookup
from .client_query import ClientQuery
from .counts import Outcome
from .directive import Client, Lookup, OnOutcome, PendingLookup
from .directives.errors import ErrorLog
from .directives.shuffled import keep_reply
from .inflight import InflightQuery, RefreshQuery, failure_errors
from .limiter import InflightLimiter
from .policy import ZoneOptions, is_failure, is_remembered, may_replace
from .replies import HOT_SECONDS, CachedReply, PrepareReply, Serve
from .search_ahead import SearchAhead
from .source import ChainSource, Source
from .stale_answers import StaleAnswers
from .waiting import WaitingQueries

_TRANSFERS: Final = frozenset((int(Rdtype.AXFR), int(Rdtype.IXFR)))
_SERVFAIL_KIND: Final = Kind.SERVFAIL  # members of an enum cost a look-up each time
_OTHER_KIND: Final = Kind.OTHER
_NO_TRANSFERS: Final[ExtendedErrors] = ((Ede.NOT_SUPPORTED, b"zone transfers are not served"),)
_NO_ROOM: Final[ExtendedErrors] = ((Ede.NETWORK_ERROR, b"too many queries wait for an answer"),)
# What a SERVFAIL's records, should it have any, are good for: CoreDNS's default.
_SERVFAIL_TTL: Final = 5


class Zone:
    """The running thing made of one server block."""

    def __init__(
        self,
        options: ZoneOptions,
        cache: Cache,
        failures: Failures,
        source: Source,
        limiter: InflightLimiter,
        loop: asyncio.AbstractEventLoop,
        errors: ErrorLog | None = None,
        search_ahead: SearchAhead | None = None,
    ) -> None:
        self.options = options
        self.cache = cache
        self.prefetch = options.prefetch
        self.keeps_ttl = options.keeps_ttl
        self.bufsize = options.bufsize
        self.deadline_seconds = options.deadline_seconds
        self.above: Chain | None = None
        self.prepare_reply: PrepareReply = keep_reply
        self.admits: Callable[[Query, Client], bool] | None = None
        self.errors = errors
        self.clock: Callable[[], float] = monotonic
        self.wall_clock: Callable[[], float] = time
        self._bounds = options.bounds
        self._caches_all = options.uses_cache and options.caches_all
        self._keeps_all = not options.success_disabled and not options.denial_disabled
        self._missed = Outcome.MISS if options.uses_cache else Outcome.UNCACHED
        self._failures = failures
        self._source = source
        self._has_lookups = isinstance(source, ChainSource)
        self._search_ahead = search_ahead
        self._waiting = waiting = WaitingQueries(limiter)
        self._inflight = waiting.leaders
        self._stale: StaleAnswers | None = None
        if (policy := options.stale) is not None:
            keeps_ttl = options.keeps_ttl
            self._stale = StaleAnswers(policy, cache, waiting, loop, keeps_ttl=keeps_ttl)

    @property
    def in_flight(self) -> int:
        """Questions in flight."""
        return len(self._inflight)

    def situation(self, key: bytes, now: float) -> tuple[FailedQuestion | None, bool]:
        """The remembered failure of a question, and whether an equal one is in flight."""
        return self._failures.get(key, now, self._source.is_silent), key in self._inflight

    # Queries in

    def entry_point(self) -> Serve:
        """The function for clients' queries: `resolve`, or the chain above the cache where there is one."""
        return self.resolve if self.above is None else self._serve_by_chain

    def _serve_by_chain(self, query: ClientQuery, now: float) -> CachedReply | None:  # noqa: ARG002
        """Send the query through the directives that stand above the cache."""
        assert self.above is not None
        return serve_by_chain(self.above, query, self._log)

    def serve_lookup(
        self, query: Query, client: Client, on_outcome: OnOutcome
    ) -> PendingLookup | None:
        """Answer a question that the server asks itself, through all its directives."""
        if self.above is None:
            return self._ask(query, client, on_outcome)
        return serve_lookup(self.above, query, client, on_outcome)

    def terminal(self) -> Lookup:
        """The end of the chain above: the cache, and what is below it."""
        return self._ask

    def _ask(self, query: Query, client: Client, on_outcome: OnOutcome) -> PendingLookup | None:
        now = self.clock()
        self.resolve(ChainQuery(query, self, client, on_outcome, now), now)
        return None

    def resolve(self, query: InflightQuery, now: float) -> CachedReply | None:
        """Answer from the cache, or ask upstream."""
        entry = self.cache.get(query.query.key, now)
        if entry is not None:
            remaining = entry.ttl - int(now - entry.stored_at)
            if remaining > 0:
                return self._hit(query, entry, remaining, now)
            if self._stale is not None:
                self._expired(query, entry, self._stale, now)
                return None
        self._miss(query, now, None)
        return None

    # A hit

    def _hit(
        self, query: InflightQuery, entry: Entry, remaining: int, now: float
    ) -> CachedReply | None:
        # A reply is worth a place in the table where the next like it is near.
        is_hot = now - entry.counted_at < HOT_SECONDS
        prefetch = self.prefetch
        good_until = reply_changes_at(entry, prefetch, now) if is_hot else 0.0
        is_due = False
        if prefetch is None:
            entry.counted_at = now
        else:
            note_hits(entry, 1, prefetch, now)
            is_due = entry.hits >= prefetch.amount and is_due_for_prefetch(entry, prefetch, now)
            if is_due or entry.is_refreshing:
                good_until = 0.0  # in the reply table the old answer would outlive the new one
        ttl = entry.ttl if self.keeps_ttl else remaining
        reply = query.respond_from_cache(entry, ttl, entry.ede, good_until)
        if is_due:
            # After the reply: where directives answer at once, the entry is another by then, or gone.
            self._refresh(query, entry, now)
        return reply

    def wants_prefetch(self, entry: Entry, now: float) -> bool:
        """Whether the next hit on `entry` should come this way, to fetch it again."""
        return self.prefetch is not None and is_due_for_prefetch(entry, self.prefetch, now)

    # An expired entry

    def _expired(self, query: InflightQuery, entry: Entry, stale: StaleAnswers, now: float) -> None:
        """Fresh first, where upstream is quick enough; else the stale answer: RFC 8767 §5."""
        is_too_soon = now < entry.refresh_at and not entry.is_refreshing
        if is_too_soon or stale.is_hopeless(entry, self._source, now):
            stale.respond(query, entry)
        elif stale.policy.client_timeout_seconds == 0:
            stale.respond(query, entry)
            self._refresh(query, entry, now)
        else:
            self._miss(query, now, entry)

    def _refresh(self, occasion: InflightQuery, entry: Entry, now: float) -> None:
        """Refresh an entry with nobody waiting, once at a time, with a query that gets the full answer.

        So the query has RD: without it upstream may answer with a referral. Not while many questions are in flight,
        since no client's place bounds this one.
        """
        is_wanted = occasion.is_for_all and not entry.is_refreshing and not self._waiting.are_many
        if is_wanted and entry.key not in self._inflight:
            entry.is_refreshing = True
            self.cache.counts.prefetches += 1
            self._send(RefreshQuery(occasion, entry, now), now)

    # A miss

    def _miss(self, query: InflightQuery, now: float, stale: Entry | None) -> None:
        if query.query.qtype in _TRANSFERS:
            query.respond_error(Rcode.REFUSED, _NO_TRANSFERS, Outcome.UNCACHED)
            return
        key = query.key
        failures = self._failures
        if (
            stale is None
            and failures.failed
            and (failed := failures.get(key, now, self._source.is_silent))
        ):
            query.respond_error(failed.rcode, failed.ede, self._missed)
            return
        leader = self._inflight.get(key)
        is_crowded = leader is None and self._waiting.are_many and self._source.is_down()
        if is_crowded and not self._waiting.has_room_while_down(query):
            self._reject(query, stale)
            return
        if not self._waiting.admit(query):
            self._reject(query, stale)
            return
        if leader is not None and self._joins(query, leader):
            self._waiting.note_joined()
            leader.join(query)
            self._arm_stale_timer(leader)
            return
        if stale is not None:
            query.ensure_wait_state().stale = stale
            self._arm_stale_timer(query)
        self._send(query, now)
        if self._search_ahead is not None and self._search_ahead.paths.has_pairs:
            self._search_ahead.missed(query, now)

    def _joins(self, query: InflightQuery, leader: InflightQuery) -> bool:
        """Whether `query` may wait for the answer to an equal one in flight.

        A directive below the cache may follow an alias by asking this server. Such a lookup does not wait for what
        was asked before it: that may be what waits for the lookup. An alias that leads back ends at the depth's bound.
        """
        may_wait = not self._has_lookups or query.depth <= leader.depth
        return may_wait and self.options.joins_misses

    def _reject(self, query: InflightQuery, stale: Entry | None) -> None:
        """There is no room to wait: reply with a stale answer, or an error."""
        if stale is not None and self._stale is not None:
            self._stale.respond(query, stale)
        else:
            query.respond_error(Rcode.SERVFAIL, _NO_ROOM, self._missed)

    def _arm_stale_timer(self, leader: InflightQuery) -> None:
        if self._stale is not None and leader.wait_state is not None:
            self._stale.arm_timer(leader, leader.wait_state)

    def _send(self, query: InflightQuery, now: float) -> None:
        self._inflight[query.key] = query
        self._source.send(query, now)

    # Ahead of clients

    def ask_ahead(self, query: InflightQuery, now: float) -> bool:
        """Ask upstream what a client is expected to ask next; True if it was sent.

        Only where it would go upstream, what comes is kept, and upstreams are healthy.
        """
        key = query.key
        if (
            self._search_ahead is None
            or key in self._inflight
            or not (self._caches_all and self._keeps_all)
            or (self.admits is not None and not self.admits(query.query, query.client()))
            or not self._source.has_room(now)
            or self._failures.get(key, now, self._source.is_silent) is not None
        ):
            return False
        entry = self.cache.get(key, now)
        if entry is not None:
            if entry.remaining_ttl(now) > 0 or now < entry.refresh_at:
                return False
            query.ensure_wait_state().stale = entry
        self._send(query, now)
        return True

    def was_asked(self, key: bytes, since: float) -> bool:
        """Whether a client was told what the cache has of a question, since then."""
        entry = self.cache.find(key)
        return entry is not None and entry.counted_at >= since

    # Outcomes

    def completed(self, query: InflightQuery, outcome: Answer | Failure) -> None:
        """Keep an answer, and reply to everybody who waits."""
        self._waiting.end(query)
        now = self.clock()
        if isinstance(outcome, Failure):
            self._log(query.query, outcome)
            self._failed(query, outcome, now)
            return
        stale = query.stale if query.wait_state is not None else None
        kind = outcome.kind
        if (
            kind is _SERVFAIL_KIND
            or (kind is _OTHER_KIND and is_failure(outcome))
            or (
                stale is not None
                and not may_replace(outcome, stale, self.options.stale, self.wall_clock)
            )
        ):
            self._failed(query, outcome, now)
            return
        ttl = reply_ttl(outcome, self._bounds)
        if stale is not None and stale.remaining_ttl(now) > 0:
            ttl = refreshed_ttl(outcome, ttl, stale)
        shown = self._keep_if_wanted(query, outcome, ttl, now)
        if self._failures.failed:
            self._failures.clear(query.key)
        waiters = self._waiting.released(query)
        for waiting in waiters:
            waiting.respond(outcome, shown, self._missed)
        if self._search_ahead is not None:
            self._search_ahead.told(waiters, kind, now)

    def abandoned(self, query: InflightQuery) -> None:
        """Nothing came of a query that nobody waits for."""
        self._waiting.end(query)

    def _keep_if_wanted(
        self, query: InflightQuery, answer: Answer, ttl: int, now: float
    ) -> int | None:
        """Keep the answer if it may be kept; returns the TTL to reply with, None to leave each as it is."""
        is_cached = self._caches_all or self.options.caches(query.query.qname)
        if (
            is_cached
            and query.is_for_all
            and (seconds := seconds_to_keep(answer, ttl, self.wall_clock)) > 0
            and (self._keeps_all or self.options.keeps(query.query.qname, answer.kind))
        ):
            self.cache.put(query.key, answer, seconds, now)
        elif query.is_for_all and (entry := query.stale) is not None:
            if entry.remaining_ttl(now) > 0:
                note_failed_refresh(entry, now)
            else:
                self.cache.drop(query.key)  # upstream says something else by now: RFC 8767 §4
        return ttl if is_cached else None

    def _failed(self, query: InflightQuery, outcome: Answer | Failure, now: float) -> None:
        """No answer came: reply with the stale one, if there is one, else with the failure."""
        stale, entry, ede = self._stale, query.stale, failure_errors(outcome)
        if is_remembered(outcome) and self.options.caches(query.query.qname):
            is_silent = self._source.is_silent(now)
            self._failures.note(query.key, outcome.rcode, ede, now, is_unheard=is_silent)
        if entry is not None and query.is_for_all:
            note_failed_refresh(entry, now, stale.policy.recheck_seconds if stale else None)
        for waiting in self._waiting.released(query):
            if entry is not None and stale is not None and entry.wire:  # it may be evicted by now
                stale.respond(waiting, entry)
            elif isinstance(outcome, Failure):
                waiting.respond_error(outcome.rcode, ede, self._missed)
            else:
                waiting.respond(outcome, _SERVFAIL_TTL, self._missed)

    def _log(self, query: Query, failure: Failure) -> None:
        if self.errors is not None:
            self.errors.note(query, failure)

    def close(self) -> None:
        """Cancel what is in flight; clients that wait get SERVFAIL."""
        for query in list(self._inflight.values()):
            query.give_up()
            for waiting in self._waiting.released(query):
                waiting.respond_error(Rcode.SERVFAIL, (), self._missed)
        self._inflight.clear()
        if self.errors is not None:
            self.errors.close()
