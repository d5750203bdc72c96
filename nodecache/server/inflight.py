"""Queries that are not answered yet: who asked, what, and its first attempt upstream, in one object.

The first of equal questions goes upstream, the others wait with it. A zone tells each of them what
came of it: an entry of the cache, an answer, or neither. What that means depends on who asked: a
client gets a packet (`client_query`), a chain of directives gets an answer to go on with
(`chain_query`), and behind a refresh nobody waits.
"""

import asyncio
from abc import abstractmethod
from typing import Final, Protocol

from nodecache.cache import Entry
from nodecache.forward import Failure, Request
from nodecache.wire import Answer, AnswerReader, ExtendedErrors, Flag, Query

from .chain import Ask, Client
from .counts import Outcome
from .replies import CachedReply

_RD: Final = int(Flag.RD)

NO_ERRORS: Final[ExtendedErrors] = ()


class Landing(Protocol):
    """Where what comes from upstream goes: a zone."""

    deadline_seconds: float

    def landed(self, query: "InflightQuery", outcome: Answer | Failure) -> None:
        """This came of a query that was sent upstream."""


class Company:
    """What only few queries need on their way upstream.

    `others` wait for the same answer. `stale` is an expired one that will do if nothing better
    comes; `patience` is the timer that hands it out, and `is_late` tells that upstream has had the
    time that clients with a stale answer wait. `walk` is a query's way through directives below
    the cache.
    """

    __slots__ = ("is_late", "others", "patience", "stale", "walk")

    def __init__(self) -> None:
        self.others: list[InflightQuery] = []
        self.stale: Entry | None = None
        self.patience: asyncio.TimerHandle | None = None
        self.is_late = False
        self.walk: Ask | None = None

    def take_others(self) -> "list[InflightQuery]":
        """Those who wait for the same answer; they do no longer."""
        others, self.others = self.others, []
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None
        return others


class InflightQuery(Request):
    """A query that somebody waits for, told of its outcome exactly once.

    `key` is what equal misses have in common, `host` the client's address as text, `asked_at` when
    it came (monotonic seconds). `is_waiting`: it has a place among those who wait. `is_for_all`: it
    was asked with RD, so that the answer is one for everybody.
    """

    __slots__ = ("asked_at", "company", "host", "is_for_all", "is_waiting", "key", "zone")

    def __init__(
        self,
        query: Query,
        reader: AnswerReader,
        zone: Landing,
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
        self.company: Company | None = None

    def done(self, outcome: Answer | Failure) -> None:
        """This came of it."""
        self.zone.landed(self, outcome)

    def in_company(self) -> Company:
        """What few need, from now on."""
        company = self.company
        if company is None:
            company = self.company = Company()
        return company

    def join(self, query: "InflightQuery") -> Company:
        """Another waits for its answer, perhaps the first."""
        company = self.in_company()
        company.others.append(query)
        if not self.is_awaited:
            self.mark_awaited(is_awaited=True)
        return company

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether somebody waits for its answer, or it is fetched for later."""
        self.is_awaited = is_awaited
        if self.company is not None and self.company.walk is not None:
            self.company.walk.mark_awaited(is_awaited=is_awaited)

    @property
    def stale(self) -> Entry | None:
        """The expired answer that will do."""
        return None if self.company is None else self.company.stale

    def give_up(self) -> None:
        """Nobody waits for upstream any more."""
        self.cancel()
        company = self.company
        if company is not None:
            if company.walk is not None:
                company.walk.cancel()
            if company.stale is not None:
                company.stale.is_refreshing = False

    # Who asked

    @abstractmethod
    def client(self) -> Client:
        """Whom directives are told that the query is for."""

    @abstractmethod
    def begin_waiting(self) -> None:
        """The answer has to come from elsewhere."""

    @abstractmethod
    def tell_entry(
        self, entry: Entry, ttl: int, ede: ExtendedErrors, good_until: float = 0.0
    ) -> CachedReply | None:
        """What the cache holds, with `ttl` seconds on every record.

        With a `good_until` the reply may enter the reply table, where it is fit for that.
        """

    @abstractmethod
    def tell_answer(self, answer: Answer, ttl: int | None, outcome: Outcome) -> None:
        """What upstream said, with `ttl` seconds on every record (None: as it has them)."""

    @abstractmethod
    def tell_failure(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """No answer."""


class RefreshQuery(InflightQuery):
    """A question asked again with nobody waiting, on the occasion of another query."""

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
        self.in_company().stale = entry
        self.is_awaited = False

    def client(self) -> Client:
        """Whom directives are told that the query is for."""
        return self._occasion.client()

    def begin_waiting(self) -> None:
        """Nobody waits."""

    def tell_entry(
        self, entry: Entry, ttl: int, ede: ExtendedErrors, good_until: float = 0.0
    ) -> CachedReply | None:
        """Nobody hears."""

    def tell_answer(self, answer: Answer, ttl: int | None, outcome: Outcome) -> None:
        """Nobody hears."""

    def tell_failure(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """Nobody hears."""


def failure_errors(outcome: Answer | Failure) -> ExtendedErrors:
    """The Extended DNS Errors that tell a client why."""
    if isinstance(outcome, Failure):
        is_plain = not outcome.ede_code and not outcome.ede_text
        return NO_ERRORS if is_plain else ((outcome.ede_code, outcome.ede_text),)
    return outcome.ede
