"""Queries in flight: the client, the question and the first attempt upstream, in one object.

The first of equal questions goes upstream, the others wait with it. The zone responds to each of them
with an entry of the cache, an answer, or an error: a client gets a packet (`client_query`), a chain of
directives gets an answer to go on with (`chain_query`), and for a refresh nobody waits.
"""

import asyncio
from abc import abstractmethod
from typing import Final, Protocol

from nodecache.cache import Entry
from nodecache.forward import Failure, Request
from nodecache.wire import Answer, AnswerReader, ExtendedErrors, Flag, Query

from .counts import Outcome
from .directive import Client, PendingLookup
from .replies import CachedReply

_RD: Final = int(Flag.RD)

NO_ERRORS: Final[ExtendedErrors] = ()


class QueryOwner(Protocol):
    """Takes the outcomes of queries: a zone."""

    deadline_seconds: float

    def completed(self, query: "InflightQuery", outcome: Answer | Failure) -> None:
        """Take the outcome of a query that was sent upstream."""

    def abandoned(self, query: "InflightQuery") -> None:
        """Take the failure of a query that nobody waits for."""


class WaitState:
    """What only few queries in flight need.

    `others` wait for the same answer. `stale` is an expired entry that is sent if nothing better
    comes; `stale_timer` sends it, and `is_late` tells that upstream has had the time that clients
    with a stale answer wait. `chain_run` is the query's run through directives below the cache.
    """

    __slots__ = ("chain_run", "is_late", "others", "stale", "stale_timer")

    def __init__(self) -> None:
        self.others: list[InflightQuery] = []
        self.stale: Entry | None = None
        self.stale_timer: asyncio.TimerHandle | None = None
        self.is_late = False
        self.chain_run: PendingLookup | None = None

    def take_others(self) -> "list[InflightQuery]":
        """Take the queries that wait for the same answer."""
        others, self.others = self.others, []
        if self.stale_timer is not None:
            self.stale_timer.cancel()
            self.stale_timer = None
        return others


class InflightQuery(Request):
    """A query in flight. Exactly one of the `respond…` methods is called, once.

    `key` is the same for equal misses; `host` is the client's address as text; `asked_at` is when
    it came (monotonic seconds). `is_waiting`: it is counted by the limiter. `is_for_all`: it
    was asked with RD, so that the answer is the same for everybody.
    """

    __slots__ = ("asked_at", "host", "is_for_all", "is_waiting", "key", "wait_state", "zone")

    def __init__(
        self,
        query: Query,
        reader: AnswerReader,
        zone: QueryOwner,
        host: str,
        transport_name: str,
        now: float,
    ) -> None:
        Request.__init__(self, query, reader, transport_name, now + zone.deadline_seconds)
        self.zone = zone
        self.host = host
        self.asked_at = now
        self.is_for_all = is_for_all = query.flags & _RD != 0
        # Without RD the answer may be a referral: only equal ones join.
        self.key = query.key if is_for_all else query.key + b"\0"
        self.is_waiting = False
        self.wait_state: WaitState | None = None

    def done(self, outcome: Answer | Failure) -> None:
        """Take the outcome."""
        self.zone.completed(self, outcome)

    def ensure_wait_state(self) -> WaitState:
        """Its wait state, made when it is first needed."""
        wait_state = self.wait_state
        if wait_state is None:
            wait_state = self.wait_state = WaitState()
        return wait_state

    def join(self, query: "InflightQuery") -> WaitState:
        """Let `query` wait for this one's answer."""
        wait_state = self.ensure_wait_state()
        wait_state.others.append(query)
        if not self.is_awaited:
            self.mark_awaited(is_awaited=True)
        return wait_state

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether a client waits for the answer, or it is fetched for later."""
        self.is_awaited = is_awaited
        if self.wait_state is not None and self.wait_state.chain_run is not None:
            self.wait_state.chain_run.mark_awaited(is_awaited=is_awaited)

    @property
    def depth(self) -> int:
        """How often the server asked itself on a client's behalf until it came to this."""
        return 0

    @property
    def stale(self) -> Entry | None:
        """The stale entry that may answer it."""
        return None if self.wait_state is None else self.wait_state.stale

    def give_up(self) -> None:
        """Cancel the question upstream."""
        self.cancel()
        wait_state = self.wait_state
        if wait_state is not None:
            if wait_state.chain_run is not None:
                wait_state.chain_run.cancel()
            if wait_state.stale is not None:
                wait_state.stale.is_refreshing = False

    # Who asked

    @abstractmethod
    def client(self) -> Client:
        """The client as directives see it."""

    @abstractmethod
    def begin_waiting(self) -> None:
        """The query has to wait for an upstream."""

    @abstractmethod
    def respond_from_cache(
        self, entry: Entry, ttl: int, ede: ExtendedErrors, good_until: float = 0.0
    ) -> CachedReply | None:
        """Respond from the cache, with `ttl` seconds on every record.

        With a `good_until` the reply may enter the reply table, where it is fit for that.
        """

    @abstractmethod
    def respond(self, answer: Answer, ttl: int | None, outcome: Outcome) -> None:
        """Respond with an upstream's answer, `ttl` seconds on every record (None: as they are)."""

    @abstractmethod
    def respond_error(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """Respond with an error."""


class UnawaitedQuery(InflightQuery):
    """A question sent upstream that nobody waits for."""

    def begin_waiting(self) -> None:
        """Nobody waits."""

    def respond_from_cache(
        self, entry: Entry, ttl: int, ede: ExtendedErrors, good_until: float = 0.0
    ) -> CachedReply | None:
        """Nobody waits: do nothing."""

    def respond(self, answer: Answer, ttl: int | None, outcome: Outcome) -> None:
        """Nobody waits: do nothing."""

    def respond_error(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """Nobody waits: do nothing."""


class RefreshQuery(UnawaitedQuery):
    """A refresh of an entry, caused by a query that hit it."""

    __slots__ = ("_occasion",)

    def __init__(self, occasion: InflightQuery, entry: Entry, now: float) -> None:
        super().__init__(
            occasion.query,
            occasion.reader,
            occasion.zone,
            occasion.host,
            occasion.transport_name,
            now,
        )
        self._occasion = occasion
        self.ensure_wait_state().stale = entry
        self.is_awaited = False

    def client(self) -> Client:
        """The client as directives see it."""
        return self._occasion.client()


def failure_errors(outcome: Answer | Failure) -> ExtendedErrors:
    """The Extended DNS Errors for a client, from a failure."""
    if isinstance(outcome, Failure):
        is_plain = not outcome.ede_code and not outcome.ede_text
        return NO_ERRORS if is_plain else ((outcome.ede_code, outcome.ede_text),)
    return outcome.ede
