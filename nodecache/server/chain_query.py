"""Queries that a chain of directives sends to the zone's cache, and the answers it gets."""

from collections.abc import Callable
from typing import Final

from nodecache.cache import Entry
from nodecache.forward import Failure
from nodecache.wire import Answer, AnswerReader, Ede, ExtendedErrors, Query, Rcode, reply_to

from .chain import Chain
from .client_query import ClientQuery
from .counts import Outcome
from .directive import Client, NoReply, OnOutcome, PendingLookup
from .inflight import InflightQuery, QueryOwner, failure_errors
from .replies import CachedReply

_NO_LIMIT: Final = 65_535


class CacheNote:
    """How the cache took part in the answer to a client's query that directives handle.

    `made_of` is the entry that was told, and until when that is good, where a reply may enter the
    table.
    """

    __slots__ = ("made_of", "outcome")

    def __init__(self) -> None:
        self.outcome = Outcome.UNCACHED
        self.made_of: tuple[Entry, float] | None = None


class ChainQuery(InflightQuery):
    """A query from a chain of directives to the cache. The outcome goes back to the chain."""

    __slots__ = ("_client", "_on_outcome")

    def __init__(
        self, query: Query, zone: QueryOwner, client: Client, on_outcome: OnOutcome, now: float
    ) -> None:
        super().__init__(query, AnswerReader(), zone, client.address[0], client.transport, now)
        self._client = client
        self._on_outcome = on_outcome

    def client(self) -> Client:
        """The client as directives see it."""
        return self._client

    @property
    def depth(self) -> int:
        """How often the server asked itself on a client's behalf until it came to this."""
        return self._client.depth

    def begin_waiting(self) -> None:
        """Nothing is noted in the journal: the client's own query is, if there is one (`serve_by_chain`)."""

    def respond_from_cache(
        self, entry: Entry, ttl: int, ede: ExtendedErrors, good_until: float = 0.0
    ) -> CachedReply | None:
        """Give the chain an answer made from the entry, with its remaining TTL."""
        query = self.query
        without_edns = query.without_edns()
        wire = reply_to(without_edns, entry, entry.flags, ttl, _NO_LIMIT)
        note = self._note(Outcome.HIT_DENIAL if entry.is_denial else Outcome.HIT_SUCCESS)
        if good_until and note is not None:
            note.made_of = entry, good_until
        answer = Answer(
            wire,
            query.question_end,
            entry.rcode,
            entry.kind,
            entry.ttl_offsets,
            ttl,
            ede=ede,
            written_by="cache",
            is_compressed=entry.is_compressed,
        )
        self._on_outcome(answer)
        return None

    def respond(self, answer: Answer, ttl: int | None, outcome: Outcome) -> None:
        """Give the chain the answer, its TTLs set."""
        self._note(outcome)
        if ttl is not None and answer.ttl_offsets:
            wire = bytearray(answer.wire)
            for offset in answer.ttl_offsets:
                wire[offset : offset + 4] = ttl.to_bytes(4, "big")
            answer = answer.with_wire(bytes(wire))
            answer.lowest_ttl = ttl
        self._on_outcome(answer)

    def respond_error(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """Give the chain a failure; the zone has logged it already."""
        self._note(outcome)
        code, text = ede[0] if ede else (0, b"")
        self._on_outcome(Failure(rcode, code, text, ""))

    def _note(self, outcome: Outcome) -> CacheNote | None:
        note: CacheNote | None = self._client.cache_note
        if note is not None:
            note.outcome = outcome
        return note


def serve_by_chain(
    chain: Chain, query: ClientQuery, log: Callable[[Query, Failure], None]
) -> CachedReply | None:
    """Run a client's query through the directives above the cache; failures go to `log`."""
    cached: CachedReply | None = None
    is_done = False
    note = CacheNote()
    client = query.client()
    client.cache_note = note

    def done(result: Answer | Failure | NoReply) -> None:
        nonlocal cached, is_done
        is_done = True
        if isinstance(result, Answer):
            cached = query.respond_with_result(result, note.outcome, note.made_of)
        elif isinstance(result, Failure):
            log(query.query, result)
            query.respond_error(result.rcode, failure_errors(result), note.outcome)
        else:
            query.ignore()

    chain.start(query.query, client, done)
    if not is_done:
        query.begin_waiting()
    return cached


def serve_lookup(
    chain: Chain, query: Query, client: Client, on_outcome: OnOutcome
) -> PendingLookup:
    """Answer a query that a directive sends to the server itself."""

    def done(result: Answer | Failure | NoReply) -> None:
        if isinstance(result, NoReply):
            result = Failure(Rcode.REFUSED, Ede.PROHIBITED, b"", "")
        on_outcome(result)

    return chain.start(query, client, done)
