"""Who waits for a reply, and how it gets there.

A zone tells an `Asker` what came of its query: an entry of the cache, an answer from upstream, or
neither. What that means depends on who asked: a client gets a packet (`ClientAsker`), a chain of
directives above the cache gets an answer to go on with (`ChainAsker`).
"""

from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Protocol

from nodecache.cache import MOST_ASKED, Entry
from nodecache.forward.failure import Failure
from nodecache.wire import (
    Answer,
    ExtendedErrors,
    Flag,
    Query,
    empty_reply,
    reply_limit,
    reply_to,
)

from .chain import Back, Client
from .counts import Outcome
from .likeness import likeness_of
from .replies import Finished, Served

_AD = int(Flag.AD)
_TC_OCTET = Flag.TC >> 8
# Members of an enum cost a look-up each time.
_HIT_SUCCESS, _HIT_DENIAL = Outcome.HIT_SUCCESS, Outcome.HIT_DENIAL
_NO_AD = 0xFFFF & ~_AD


class Transport(Protocol):
    """A way back to clients: a UDP socket, or one TCP connection."""

    name: str
    """`udp` or `tcp`."""

    local: tuple[str, int]
    """Where it listens: address and port."""

    def send(self, reply: bytes | bytearray, address: Any) -> None:
        """Send a finished reply to the client at `address`; never blocks, never raises."""

    def forget(self, address: Any) -> None:
        """The client at `address` gets no reply."""

    def note(self, packet: bytes, address: Any, now: float) -> int:
        """Note a query that has to wait, for whoever comes after us; a slot, or -1 for none."""

    def unnote(self, slot: int) -> None:
        """A noted query was answered."""


class Asker(Protocol):
    """Somebody who waits for what comes of `query`; told exactly once."""

    query: Query

    @property
    def host(self) -> str:
        """The client's address as text."""

    @property
    def transport_name(self) -> str:
        """How the client asked: `udp` or `tcp`."""

    def begin_waiting(self) -> None:
        """The answer has to come from elsewhere."""

    def end_waiting(self) -> None:
        """It came, or something in its place, and was told."""

    def tell_entry(
        self, entry: Entry, ttl: int | None, ede: ExtendedErrors, good_until: float = 0.0
    ) -> Finished | None:
        """What the cache holds, with `ttl` seconds on every record (None: as stored).

        With a `good_until` the reply may enter the reply table, where it is fit for that.
        """

    def tell_answer(self, answer: Answer, ttl: int | None, outcome: Outcome) -> Finished | None:
        """What upstream, or a directive, said; a reply for the table where it may go there."""

    def tell_failure(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """No answer: a reply without records."""


def shown_flags(flags: int, query: Query) -> int:
    """AD is for those who ask for it, by AD or DO: RFC 6840 §5.8."""
    return flags if query.flags & _AD or query.has_do else flags & _NO_AD


class ClientAsker:
    """A client's query. `address` is the transport's own notion of where to.

    `outcome` is what the cache had to do with it, where a chain of directives answers in the end;
    `kept` what it was made of and until when that is good, where a reply may enter the table;
    `slot` its place in the journal while it waits.
    """

    __slots__ = (
        "address",
        "host",
        "kept",
        "outcome",
        "query",
        "received_at",
        "served",
        "slot",
        "transport",
        "transport_name",
    )

    def __init__(
        self, query: Query, transport: Transport, address: Any, received_at: float, served: Served
    ) -> None:
        self.query = query
        self.transport = transport
        self.transport_name = transport.name
        self.address = address
        self.host: str = address[0]
        self.received_at = received_at
        self.served = served
        self.outcome: Outcome | None = None
        self.kept: tuple[Entry, float] | None = None
        self.slot = -1

    def begin_waiting(self) -> None:
        """Should this worker die, the next one answers."""
        self.slot = self.transport.note(self.query.packet, self.address, self.received_at)

    def end_waiting(self) -> None:
        """The client was answered."""
        if self.slot >= 0:
            self.transport.unnote(self.slot)

    def tell_entry(
        self, entry: Entry, ttl: int | None, ede: ExtendedErrors, good_until: float = 0.0
    ) -> Finished | None:
        """Reply from the cache."""
        query = self.query
        is_stream = self.transport_name == "tcp"
        limit = reply_limit(query, is_stream=is_stream)
        reply = reply_to(query, entry, shown_flags(entry.flags, query), ttl, limit, ede=ede)
        self.transport.send(reply, self.address)
        outcome = _HIT_DENIAL if entry.is_denial else _HIT_SUCCESS
        tally = self._count(reply, entry.rcode, "cache", outcome)
        return self._finished(reply, entry, good_until, tally) if good_until else None

    def _finished(
        self,
        reply: bytes | bytearray,
        entry: Entry,
        good_until: float,
        tally: tuple[object, ...],
        ttl_offsets: tuple[int, ...] | None = None,
    ) -> Finished | None:
        """The reply for the table, where others like it may be expected and deserve it too."""
        query = self.query
        if self.transport_name == "tcp" or reply[2] & _TC_OCTET:
            return None
        likeness = None if query.is_alike_for_all else likeness_of(query)
        if likeness is None and not query.is_alike_for_all:
            return None
        entry.note_asked(MOST_ASKED)  # those who hear from the table are counted too late
        tail = bytes(reply[2:])
        served = self.served
        finished = Finished(tail, good_until, entry, served, tally, likeness, ttl_offsets)
        return served.zone.finish(finished, query)

    def tell_answer(self, answer: Answer, ttl: int | None, outcome: Outcome) -> Finished | None:
        """Reply with an upstream's or a directive's answer."""
        query = self.query
        reply = reply_to(
            query,
            answer,
            shown_flags(answer.flags, query),
            ttl,
            reply_limit(query, is_stream=self.transport_name == "tcp"),
            ede=answer.ede,
            extended_rcode=answer.rcode >> 4,
        )
        self.transport.send(reply, self.address)
        tally = self._count(reply, answer.rcode, answer.written_by, outcome)
        if self.kept is None:
            return None
        entry, good_until = self.kept
        return self._finished(reply, entry, good_until, tally, answer.ttl_offsets)

    def tell_failure(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """Reply without records."""
        reply = empty_reply(self.query, rcode, ede)
        self.transport.send(reply, self.address)
        self._count(reply, rcode, "", outcome)

    def tell_nothing(self) -> None:
        """The client is to hear nothing at all."""
        self.transport.forget(self.address)

    def _count(
        self, reply: bytes | bytearray, rcode: int, written_by: str, outcome: Outcome
    ) -> tuple[object, ...]:
        counts = self.served.counts
        query = self.query
        tally = tally_of(
            query,
            self.transport_name,
            self.host,
            len(query.packet),
            len(reply),
            rcode,
            written_by,
            outcome,
        )
        counts.count(tally)
        counts.duration.observe(monotonic() - self.received_at)
        return tally


def tally_of(
    query: Query,
    transport_name: str,
    host: str,
    request_size: int,
    response_size: int,
    rcode: int,
    written_by: str,
    outcome: Outcome,
) -> tuple[object, ...]:
    """What is counted of a reply to a query like `query`: the fields of `Tally`, as a plain tuple.

    The family is CoreDNS's label: 1 for IPv4, also where it came mapped into IPv6, else 2.
    """
    return (
        transport_name,
        "2" if ":" in host and not host.startswith("::ffff:") else "1",
        query.qtype,
        rcode,
        request_size,
        response_size,
        query.has_do,
        written_by,
        outcome,
    )


@dataclass(slots=True)
class ChainAsker:
    """A chain of directives that asks the cache and goes on with what it hears.

    `outer` is the client's query behind it, where there is one; it counts.
    """

    query: Query
    client: Client
    back: Back
    outer: ClientAsker | None = None

    @property
    def host(self) -> str:
        """The client's address as text."""
        return self.client.address[0]

    @property
    def transport_name(self) -> str:
        """`udp` or `tcp`."""
        return self.client.transport

    def begin_waiting(self) -> None:
        """The client's query behind this one, if any, is not noted: it would come twice."""

    def end_waiting(self) -> None:
        """Nothing was noted."""

    def tell_entry(
        self,
        entry: Entry,
        ttl: int | None,
        ede: ExtendedErrors,
        good_until: float = 0.0,
    ) -> Finished | None:
        """An answer made from the entry, its TTLs as they are now."""
        if good_until and self.outer is not None:
            self.outer.kept = entry, good_until
        query = self.query
        wire = reply_to(replace(query, payload_size=0), entry, entry.flags, ttl, _NO_LIMIT)
        self._note(Outcome.HIT_DENIAL if entry.is_denial else Outcome.HIT_SUCCESS)
        answer = Answer(
            bytes(wire),
            query.question_end,
            entry.rcode,
            entry.kind,
            entry.ttl_offsets,
            entry.ttl if ttl is None else ttl,
            ede=ede,
            written_by="cache",
            is_compressed=entry.is_compressed,
        )
        self.back(answer)
        return None

    def tell_answer(self, answer: Answer, ttl: int | None, outcome: Outcome) -> Finished | None:
        """The answer, its TTLs set."""
        self._note(outcome)
        if ttl is not None and answer.ttl_offsets:
            wire = bytearray(answer.wire)
            for offset in answer.ttl_offsets:
                wire[offset : offset + 4] = ttl.to_bytes(4, "big")
            answer = replace(answer, wire=bytes(wire), lowest_ttl=ttl)
        self.back(answer)
        return None

    def tell_failure(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """A failure that was logged where it happened."""
        self._note(outcome)
        code, text = ede[0] if ede else (0, b"")
        self.back(Failure(rcode, code, text, ""))

    def _note(self, outcome: Outcome) -> None:
        if self.outer is not None:
            self.outer.outcome = outcome


_NO_LIMIT = 65_535
NO_ERRORS: ExtendedErrors = ()


def failure_errors(outcome: Answer | Failure) -> ExtendedErrors:
    """The Extended DNS Errors that tell a client why."""
    if isinstance(outcome, Failure):
        is_plain = not outcome.ede_code and not outcome.ede_text
        return NO_ERRORS if is_plain else ((outcome.ede_code, outcome.ede_text),)
    return outcome.ede


def client_of(asker: Asker) -> Client:
    """Whom directives are told that a query is for."""
    if isinstance(asker, ChainAsker):
        return asker.client
    assert isinstance(asker, ClientAsker)
    counts = asker.served.counts
    return Client(
        address=asker.address[:2],
        local=asker.transport.local,
        transport=asker.transport.name,
        server=counts.server,
        zone_name=counts.zone,
        received_at=asker.received_at,
        outer=asker,
    )
