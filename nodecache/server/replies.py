"""The reply table: a query's octets behind its id → the finished reply's octets behind its id.

It is the only place where finished replies are kept, and can be dropped at any time: the cache has
the answers. A reply is good until its TTL next changes, at most a second; then its TTLs are counted
down in place, as long as the cache still holds the answer it was made from. The table has two
generations: when the young one is full it becomes the old one, and replies that are not asked for
again are dropped, a few at each put: thousands at once would delay queries by ten milliseconds. All
tables together are bounded in octets too, which count within the cache's budget (`ReplyBudget`).

Not kept here are replies to queries with TSIG, truncated replies, and replies of zones with a
directive that treats each query or client on its own. Queries in mixed case or with options have a
table of their own, keyed by their normalized form (`normalized`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from struct import Struct
from typing import Any, Final, Protocol

from nodecache.cache import OFFSET_OCTETS, Budget, Entry, Prefetch, note_hits, reply_changes_at
from nodecache.wire import Query

from .counts import ServerCounts
from .normalized import NormalizedQuery

_PUT_TTL: Final = Struct("!I").pack_into

_MAX_YOUNG: Final = 8192
# A reply weighs this beside its octets and its query's: the object, what it is counted as, its place
# in the table, and the entry it was made of, which may be gone from the cache (its octets are then).
REPLY_OVERHEAD_OCTETS: Final = 900
_SHARE_OF_BUDGET: Final = 4
_MAX_WITHOUT_BUDGET: Final = 32 << 20
# Names asked for less often than this gain nothing by the table, and would empty it of others.
HOT_SECONDS: Final = 5.0
_FOLDED_AT_ONCE: Final = 200  # at about 1.3 µs each where all were asked for
_RETIRED_DRAINED_PER_PUT: Final = (
    4  # more than come in, so that no more than one generation waits for it
)


class ServingZone(Protocol):
    """The zone as listeners need it; `zone.Zone` implements it."""

    prefetch: Prefetch | None
    keeps_ttl: bool
    bufsize: int
    deadline_seconds: float
    prepare_reply: "PrepareReply"

    def entry_point(self) -> "Serve":
        """What answers clients' queries, as the zone's directives have it."""

    def serve_lookup(self, query: Query, client: Any, back: Any) -> Any:
        """Answer a question that the server asks itself."""

    def ask_ahead(self, query: Any, now: float) -> bool:
        """Ask upstream what a client is expected to ask; whether that was needed, and done."""

    def was_asked(self, key: bytes, since: float) -> bool:
        """Whether a client was told what the cache has of a question, since then."""

    def completed(self, query: Any, outcome: Any) -> None:
        """This came of a query that was sent upstream."""

    def abandoned(self, query: Any) -> None:
        """Nothing came of a query that nobody waits for."""

    def wants_prefetch(self, entry: Entry, now: float) -> bool:
        """Whether the next hit on `entry` should go to the zone, to fetch it again."""


@dataclass(slots=True)
class ZoneBinding:
    """A zone at one listen address, with its counts there.

    `server` is CoreDNS's label for the address, `zone_name` the name that was matched.
    """

    zone: ServingZone
    counts: ServerCounts


class Order(Protocol):
    """Shuffles the addresses of a reply (`loadbalance`)."""

    def shuffled_tail(self, tail: bytes) -> bytes:
        """The reply without its id, its addresses in a new order."""


class CachedReply:
    """One finished reply. `hits` are those not yet counted anywhere else."""

    __slots__ = (
        "alike",
        "binding",
        "entry",
        "good_until",
        "hits",
        "octets",
        "order",
        "stored_at",
        "tail",
        "tally",
        "ttl_offsets",
    )

    def __init__(
        self,
        tail: bytes,
        good_until: float,
        entry: Entry,
        binding: ZoneBinding,
        tally: tuple[object, ...],
        ttl_offsets: tuple[int, ...],
        alike: NormalizedQuery | None = None,
    ) -> None:
        self.tail = tail
        self.order: Order | None = None
        self.alike = alike
        self.good_until = good_until
        self.entry = entry
        self.stored_at = entry.stored_at
        # The entry's own may change: its octets are compressed once somebody has less room.
        self.ttl_offsets = ttl_offsets
        self.binding = binding
        self.tally = tally
        self.hits = 0
        self.octets = 0  # what it weighs in a table

    def next_tail(self) -> bytes:
        """The reply without its id, for the next client."""
        return self.tail if self.order is None else self.order.shuffled_tail(self.tail)

    def flush(self, now: float) -> None:
        """Add the hits to the zone's counts, and to the entry's for prefetch."""
        if hits := self.hits:
            self.hits = 0
            self.binding.counts.count(self.tally, hits)
            self.binding.counts.duration.buckets[0] += hits
            self.entry.note_uses(hits)
            if (prefetch := self.binding.zone.prefetch) is not None:
                note_hits(self.entry, hits, prefetch, now)

    def age(self, now: float) -> bool:
        """Count the TTLs down to `now`; False where the reply has to be made anew.

        That is so when the entry holds another answer by now, was evicted, is stale, or is due for
        prefetch: the zone handles these.
        """
        self.flush(now)
        entry = self.entry
        ttl = entry.remaining_ttl(now)
        if ttl <= 0 or entry.stored_at != self.stored_at or not entry.is_kept:
            return False
        if self.binding.zone.wants_prefetch(entry, now):
            return False
        if not self.binding.zone.keeps_ttl:
            tail = bytearray(self.tail)
            for offset in self.ttl_offsets:
                _PUT_TTL(tail, offset - 2, ttl)
            self.tail = bytes(tail)
        self.good_until = reply_changes_at(entry, self.binding.zone.prefetch, now)
        return True


Serve = Callable[[Any, float], CachedReply | None]
"""Answers a client's query, now or later; a reply for the table where it may go there."""

PrepareReply = Callable[[CachedReply, Query], CachedReply | None]
"""What becomes of a query's finished reply in the table; None: it has to be made each time."""


class ReplyBudget:
    """Octets for all reply tables together: a quarter of the budget, within which they count."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.used = 0
        self.tables: list[ReplyTable] = []

    @property
    def limit_octets(self) -> int:
        """The octets that the tables may take now."""
        limit = self._budget.limit
        return limit // _SHARE_OF_BUDGET if limit else _MAX_WITHOUT_BUDGET

    def weigh(self, octets: int) -> None:
        """Add `octets` to what is used; they may be negative."""
        self.used += octets
        self._budget.used += octets

    def enforce(self, now: float) -> None:
        """Drop replies of the heaviest table, then entries of the cache, until the bounds hold."""
        limit = self.limit_octets
        while self.used > limit:
            if not max(self.tables, key=_octets_of).shrink(now):
                break
        self._budget.enforce(now)


def _octets_of(table: "ReplyTable") -> int:
    return table.octets


class ReplyTable:
    """The cached replies of one socket, by the query's octets behind its id."""

    __slots__ = ("_max_young", "_old", "_reply_budget", "_retired", "octets", "young")

    def __init__(self, reply_budget: ReplyBudget, max_young: int = _MAX_YOUNG) -> None:
        self.young: dict[bytes, CachedReply] = {}
        self.octets = 0
        self._old: dict[bytes, CachedReply] = {}
        self._retired: list[dict[bytes, CachedReply]] = []
        self._max_young = max_young
        self._reply_budget = reply_budget
        reply_budget.tables.append(self)

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def put(self, query_tail: bytes, finished: CachedReply, now: float) -> None:
        """Keep a finished reply."""
        if len(self.young) >= self._max_young:
            self._retired.append(self._old)
            self._old, self.young = self.young, {}
        elif self._retired:
            self._drain_retired(_RETIRED_DRAINED_PER_PUT, now)
        before = self.young.get(query_tail)
        if before is not None:
            self._release(before, now)
        finished.octets = (
            REPLY_OVERHEAD_OCTETS
            + len(query_tail)
            + len(finished.tail)
            + OFFSET_OCTETS * len(finished.ttl_offsets)
        )
        self.young[query_tail] = finished
        self._weigh(finished.octets)
        self._reply_budget.enforce(now)

    def _weigh(self, octets: int) -> None:
        self.octets += octets
        self._reply_budget.weigh(octets)

    def shrink(self, now: float) -> bool:
        """Drop one of the replies asked for least recently; False where there is none."""
        if self._retired:
            self._drain_retired(1, now)
            return True
        if not self._old:
            self._old, self.young = self.young, {}
        if not self._old:
            return False
        self._release(self._old.popitem()[1], now)
        return True

    def _release(self, finished: CachedReply, now: float) -> None:
        self._weigh(-finished.octets)
        if finished.hits:
            finished.flush(now)

    def close(self, now: float) -> None:
        """Drop everything; the table is not used any more."""
        while self.shrink(now):
            pass
        if self in self._reply_budget.tables:
            self._reply_budget.tables.remove(self)

    def fresh(self, query_tail: bytes, now: float) -> CachedReply | None:
        """The reply for a query, if it is good now."""
        finished = self.young.get(query_tail)
        if finished is not None and finished.good_until > now:
            return finished
        return self.recover(query_tail, now)

    def recover(self, query_tail: bytes, now: float) -> CachedReply | None:
        """A reply that is not fresh in `young`: aged, or taken from the old generation."""
        finished = self.young.get(query_tail)
        if finished is None:
            finished = self._old.pop(query_tail, None)
            if finished is None:
                return None
            self._weigh(-finished.octets)
            self.put(query_tail, finished, now)
        if finished.good_until > now or finished.age(now):
            return finished
        if self.young.pop(query_tail, None) is not None:
            self._weigh(-finished.octets)
        return None

    def drop(self) -> None:
        """Drop every reply: the zones have changed. Hits not counted yet are kept for `flush_in_slices`."""
        self._retired += [self.young, self._old]
        self.young = {}
        self._old = {}

    def flush_in_slices(self, now: float) -> Iterator[None]:
        """Count all hits not counted yet, in steps of some 0.3 ms: before a scrape."""
        for generation in (self.young, self._old):
            unseen = iter(list(generation.values()))
            while lot := list(islice(unseen, _FOLDED_AT_ONCE)):
                for finished in lot:
                    if finished.hits:
                        finished.flush(now)
                yield
        while self._retired:
            self._drain_retired(_FOLDED_AT_ONCE, now)
            yield

    def _drain_retired(self, max_count: int, now: float) -> None:
        """Count the hits of up to `max_count` replies that left the table, and release them."""
        while self._retired and max_count > 0:
            generation = self._retired[-1]
            while generation and max_count > 0:
                self._release(generation.popitem()[1], now)
                max_count -= 1
            if not generation:
                self._retired.pop()
