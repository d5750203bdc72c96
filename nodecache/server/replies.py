"""The reply table: a query's octets behind its id → the finished reply's octets behind its id.

The one place where finished replies live, and no truth of its own: it can be dropped at any time.
A reply is good until its TTL next changes, at most a second; then it is aged in place, as long as
the cache still holds the very answer it was made from. The table is bounded by two generations:
when the young one is full it becomes the old one, and what was not asked again is gone, a little
at each put: thousands at once would hold up queries for ten milliseconds.

What may not enter: queries with TSIG, cut replies, and zones with a directive that treats each
query or client on its own. Queries in mixed case or with options have a table apart, by what they
have in common (`normalized`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from struct import Struct
from typing import Any, Final, Protocol

from nodecache.cache import Entry, Prefetch, note_hits, reply_changes_at
from nodecache.wire import Query

from .counts import ServerCounts
from .normalized import NormalizedQuery

_PUT_TTL: Final = Struct("!I").pack_into

# A reply weighs about 450 octets here: 8,192 in each of two generations are 7 MB at most.
_MOST_YOUNG: Final = 8192
# Names asked for less often than this gain nothing by the table, and would empty it of others.
HOT_SECONDS: Final = 5.0
_FOLDED_AT_ONCE: Final = 200  # at about 1.3 µs each where all were asked for
_SEEN_OFF_AT_A_PUT: Final = 4  # more than come in, so that no more than one generation waits for it


class ServingZone(Protocol):
    """What the ways to a zone need of it; `zone.Zone` is the one."""

    prefetch: Prefetch | None
    keeps_ttl: bool
    bufsize: int
    deadline_seconds: float
    finish: "Finish"

    def serve(self, query: Any, now: float) -> "CachedReply | None":
        """Answer a client's query, now or later."""

    def serve_inner(self, query: Query, client: Any, back: Any) -> Any:
        """Answer a question that the server asks itself."""

    def landed(self, query: Any, outcome: Any) -> None:
        """This came of a query that was sent upstream."""

    def wants_prefetch(self, entry: Entry, now: float) -> bool:
        """Whether the next hit on `entry` should go to the zone, to fetch it again."""


@dataclass(slots=True)
class ZoneBinding:
    """A zone as it is served at one listen address, with what is counted there.

    `server` is CoreDNS's label for the address, `zone_name` the name that was matched.
    """

    zone: ServingZone
    counts: ServerCounts


class CachedReply:
    """One finished reply. `hits` are those not yet counted anywhere else."""

    __slots__ = (
        "alike",
        "binding",
        "entry",
        "good_until",
        "hits",
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
        self.alike = alike
        self.good_until = good_until
        self.entry = entry
        self.stored_at = entry.stored_at
        # The entry's own may change: its octets are compressed once somebody has less room.
        self.ttl_offsets = ttl_offsets
        self.binding = binding
        self.tally = tally
        self.hits = 0

    def fold(self, now: float) -> None:
        """Pass the hits on to the zone's counts and to the entry's, for prefetch."""
        if hits := self.hits:
            self.hits = 0
            self.binding.counts.count(self.tally, hits)
            self.binding.counts.duration.buckets[0] += hits
            self.entry.note_asked(hits)
            if (prefetch := self.binding.zone.prefetch) is not None:
                note_hits(self.entry, hits, prefetch, now)

    def age(self, now: float) -> bool:
        """Count the TTLs down to `now`; False where the reply has to be made anew.

        That is when the entry holds another answer by now, is gone, is stale, or wants to be
        fetched again: the zone sees to all of these.
        """
        self.fold(now)
        entry = self.entry
        ttl = entry.remaining_ttl(now)
        if ttl <= 0 or entry.stored_at != self.stored_at or entry.segment is None:
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


Finish = Callable[[CachedReply, Query], CachedReply | None]
"""What becomes of a query's finished reply in the table; None: it has to be made each time."""


class Replies:
    """CachedReply replies of one socket, by the query's octets behind its id."""

    __slots__ = ("_most_young", "_old", "_retired", "young")

    def __init__(self, most_young: int = _MOST_YOUNG) -> None:
        self.young: dict[bytes, CachedReply] = {}
        self._old: dict[bytes, CachedReply] = {}
        self._retired: list[dict[bytes, CachedReply]] = []
        self._most_young = most_young

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def put(self, query_tail: bytes, finished: CachedReply, now: float) -> None:
        """Keep a finished reply."""
        if len(self.young) >= self._most_young:
            self._retired.append(self._old)
            self._old, self.young = self.young, {}
        elif self._retired:
            self._drain_retired(_SEEN_OFF_AT_A_PUT, now)
        self.young[query_tail] = finished

    def fresh(self, query_tail: bytes, now: float) -> CachedReply | None:
        """A reply that is good now."""
        finished = self.young.get(query_tail)
        if finished is not None and finished.good_until > now:
            return finished
        return self.recover(query_tail, now)

    def recover(self, query_tail: bytes, now: float) -> CachedReply | None:
        """A reply that `young` does not have fresh: aged, or taken back from the old ones."""
        finished = self.young.get(query_tail)
        if finished is None:
            finished = self._old.pop(query_tail, None)
            if finished is None:
                return None
            self.put(query_tail, finished, now)
        if finished.good_until > now or finished.age(now):
            return finished
        del self.young[query_tail]
        return None

    def drop(self) -> None:
        """Forget all: the zones have changed. Hits not counted yet are not lost, see `folding`."""
        self._retired += [self.young, self._old]
        self.young = {}
        self._old = {}

    def folding(self, now: float) -> Iterator[None]:
        """Count all hits not counted yet, in steps of some 0.3 ms: before a scrape."""
        for generation in (self.young, self._old):
            unseen = iter(list(generation.values()))
            while lot := list(islice(unseen, _FOLDED_AT_ONCE)):
                for finished in lot:
                    if finished.hits:
                        finished.fold(now)
                yield
        while self._retired:
            self._drain_retired(_FOLDED_AT_ONCE, now)
            yield

    def _drain_retired(self, most: int, now: float) -> None:
        """Let go of up to `most` replies that left the table, their hits counted."""
        while self._retired and most > 0:
            generation = self._retired[-1]
            while generation and most > 0:
                _, finished = generation.popitem()
                most -= 1
                if finished.hits:
                    finished.fold(now)
            if not generation:
                self._retired.pop()
