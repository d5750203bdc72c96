"""Asks upstream what clients are about to ask, within a budget.

    a client is sent NXDOMAIN for N.S1
      └ what it is expected to ask next (`search_path`) goes upstream at once, side by side
          ├ the client asks while that is in flight ─► it joins   (`inflight`)
          ├ or later ─► a hit
          └ or never ─► it counts against the budget, and is expected no longer

So a search costs two waits, however long the list is. The client still asks for each step, and gets upstream's
answer. A query asked ahead passes the same directives as the client's own would, except those that see every
query (`log`, `dnstap`, …), since no client has asked yet. It is not hedged and not retried, and its failure
is not remembered.

For a client that asks for the other address of a name after the answer for the first (`single-request` of
resolv.conf(5)), both are asked at once.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from nodecache.forward import Failure
from nodecache.wire import CLASS_IN, KEY_END_SIZE, Answer, Kind, Query, Rdtype

from .ahead_budget import AheadBudget
from .directive import Client
from .inflight import InflightQuery, UnawaitedQuery, WaitState
from .limiter import InflightLimiter
from .requery import with_question
from .router import Zones
from .search_lists import Prediction
from .search_path import ClientSearches, SearchPaths
from .shapes import Shape

_A: Final = int(Rdtype.A)
_AAAA: Final = int(Rdtype.AAAA)
# Members of an enum cost a look-up each time.
_NXDOMAIN: Final = Kind.NXDOMAIN
_NODATA: Final = Kind.NODATA
_POSITIVE: Final = Kind.POSITIVE
# Ahead is asked only while at most half of the places for queries that wait are taken.
_SHARE_OF_ROOM: Final = 2
# A client asks its next step at once. Who did not for so long will not.
_PATIENCE_SECONDS: Final = 3.0
# While the budget is spent, what was of use is found out this often; else once a second.
_SETTLE_SECONDS: Final = 0.1


class AheadQuery(UnawaitedQuery):
    """A question that its client is expected to ask. `is_used`: it did, while this was under way."""

    __slots__ = ("_budget", "_client", "is_used", "shape")

    def __init__(
        self, query: Query, shape: Shape, client: Client, budget: AheadBudget, now: float
    ) -> None:
        InflightQuery.__init__(
            self, query, shape.reader, shape.binding.zone, client.address[0], client.transport, now
        )
        self.is_awaited = False
        self.is_optional = True
        self.is_used = False
        self.shape = shape
        self._client = client
        self._budget = budget

    def client(self) -> Client:
        """Whom directives are told that the query is for."""
        client, counts = self._client, self.shape.binding.counts
        return Client(
            client.address,
            client.local,
            client.transport,
            counts.server,
            counts.zone,
            self.asked_at,
        )

    def join(self, query: InflightQuery) -> WaitState:
        """Its client asks."""
        self.is_optional = False
        self.note_used()
        return InflightQuery.join(self, query)

    def note_used(self) -> None:
        """Its client asked, the first time."""
        if not self.is_used:
            self.is_used = True
            self._budget.note_used()

    def done(self, outcome: Answer | Failure) -> None:
        """This came of it. Where nobody waits, only an answer about the name is of interest."""
        if self.is_used or (
            isinstance(outcome, Answer) and outcome.kind in (_POSITIVE, _NXDOMAIN, _NODATA)
        ):
            self.zone.completed(self, outcome)
        else:
            self.zone.abandoned(self)


class _Asked:
    """Questions that were asked ahead together, until it is known which were of use.

    They are of the `prediction` of a search, or for the other addresses of a client that asks in `pairs`.
    """

    __slots__ = ("_at", "_pairs", "_prediction", "queries")

    def __init__(
        self, prediction: Prediction | None, pairs: ClientSearches | None, now: float
    ) -> None:
        self.queries: list[AheadQuery] = []
        self._prediction = prediction
        self._pairs = pairs
        self._at = now

    def is_settled(self, budget: AheadBudget, now: float) -> bool:
        """Find out which were of use; whether that is the last word."""
        unused: list[bytes] = []
        is_under_way = False
        for query in self.queries:
            if query.is_used:
                continue
            if query.shape.binding.zone.was_asked(query.key, self._at):
                query.note_used()
            else:
                unused.append(query.query.qname)
                is_under_way |= query.is_open
        if unused and (is_under_way or now - self._at < _PATIENCE_SECONDS):
            return False
        for _ in unused:
            budget.note_unused()
        if self._prediction is not None:
            self._prediction.judge(unused)
        if self._pairs is not None:
            self._pairs.judge_pair(is_used=not unused)
        return True


class SearchAhead:
    """Asks ahead for all zones of a worker. `zones_at` tells the zones behind a server label."""

    def __init__(self, limiter: InflightLimiter) -> None:
        self.budget = AheadBudget()
        self.paths = SearchPaths()
        self.zones_at: Callable[[str], Zones | None] = _no_zones
        self._limiter = limiter
        self._unsettled: deque[_Asked] = deque()
        self._settled_at = 0.0

    def told(self, clients: list[InflightQuery], kind: Kind, now: float) -> None:
        """These clients were told what upstream said: learn from it, and ask what they will ask."""
        if not clients:
            return
        self.budget.earn()
        paths = self.paths
        for query in clients:
            # Most hear that a name exists, and never of a denial: they are past with one look.
            if kind is not _NXDOMAIN and (
                paths.known(query.host) is None or (kind is not _POSITIVE and kind is not _NODATA)
            ):
                continue
            if not _is_for_address(query) or query.depth:
                continue
            key = query.query.key
            qname, sort = key[:-KEY_END_SIZE], key[-KEY_END_SIZE:]
            if kind is not _NXDOMAIN:
                paths.answered(query.host, qname, sort, query.asked_at, now)
            elif (
                prediction := paths.denied(query.host, qname, sort, query.asked_at, now)
            ) is not None:
                self._ask_steps(query, prediction, now)

    def missed(self, query: InflightQuery, now: float) -> None:
        """A client's question went upstream: ask for the other address too, if the client will."""
        if self.paths.asks_in_pairs(query.host) and _is_for_address(query):
            names = (query.query.qname,)
            pairs = self.paths.known(query.host)
            self._ask(query, names, _other(query.query.qtype), _Asked(None, pairs, now), now)

    def settle(self, now: float) -> None:
        """Find out which questions were of use: once a second."""
        self._settled_at = now
        unsettled = self._unsettled
        for _ in range(len(unsettled)):
            asked = unsettled.popleft()
            if not asked.is_settled(self.budget, now):
                unsettled.append(asked)

    def _ask_steps(self, query: InflightQuery, prediction: Prediction, now: float) -> None:
        """Ask what is expected after a denial; of the type that was denied."""
        qtype = query.query.qtype
        self._ask(query, prediction.names, qtype, _Asked(prediction, None, now), now)
        if self.paths.asks_in_pairs(query.host):
            pairs = self.paths.known(query.host)
            self._ask(query, prediction.names, _other(qtype), _Asked(None, pairs, now), now)

    def _ask(
        self,
        query: InflightQuery,
        names: tuple[bytes, ...],
        qtype: int,
        asked: _Asked,
        now: float,
    ) -> None:
        """Ask for names as the client would, as far as there is room and means."""
        limiter, budget = self._limiter, self.budget
        if budget.is_spent and now - self._settled_at >= _SETTLE_SECONDS:
            self.settle(now)
        if budget.is_spent or len(limiter) * _SHARE_OF_ROOM > limiter.max_queries:
            return
        client = query.client()
        zones = self.zones_at(client.server)
        if zones is None:
            return
        for name in names:
            other = with_question(query.query, name, qtype)
            shape = zones.shape_of(other)
            if shape is None or budget.is_spent:
                continue
            other.payload_size = shape.payload_size
            ahead = AheadQuery(other, shape, client, budget, now)
            if shape.binding.zone.ask_ahead(ahead, now):
                budget.spend()
                asked.queries.append(ahead)
        if asked.queries:
            self._unsettled.append(asked)


def _no_zones(_server: str) -> Zones | None:
    return None


def _is_for_address(query: InflightQuery) -> bool:
    """Whether this is a plain question for an address, with an answer for everybody."""
    asked = query.query
    is_address = asked.qtype in (_A, _AAAA)
    return is_address and asked.rdclass == CLASS_IN and query.is_for_all and asked.is_plain


def _other(qtype: int) -> int:
    return _AAAA if qtype == _A else _A
