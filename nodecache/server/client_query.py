"""A client's query: how its reply is made, sent and counted."""

from time import monotonic
from typing import Any, Final, Protocol

from nodecache.cache import MAX_FREQUENCY, Entry
from nodecache.wire import (
    MAX_MESSAGE_SIZE,
    Answer,
    Body,
    ExtendedErrors,
    Flag,
    Query,
    empty_reply,
    records_of_body,
    reply_to,
)

from .counts import Outcome
from .directive import Client
from .inflight import InflightQuery
from .normalized import normalized
from .replies import CachedReply
from .shapes import Shape

_TC_OCTET: Final = Flag.TC >> 8
_RA: Final = int(Flag.RA)
# As constants: a member of an enum costs a look-up each time.
_HIT_SUCCESS: Final = Outcome.HIT_SUCCESS
_HIT_DENIAL: Final = Outcome.HIT_DENIAL


class Transport(Protocol):
    """Sends replies to clients: a UDP socket, or one TCP connection."""

    name: str
    """`udp` or `tcp`."""

    local: tuple[str, int]
    """Where it listens: address and port."""

    def send(self, reply: bytes, address: Any) -> None:
        """Send a finished reply to the client at `address`; never blocks, never raises."""

    def forget(self, address: Any) -> None:
        """The client at `address` gets no reply."""

    def note(self, packet: bytes, address: Any, now: float) -> int:
        """Note a waiting query in the journal, for the next worker; its slot, or -1 for none."""

    def unnote(self, slot: int) -> None:
        """A noted query was answered."""


class ClientQuery(InflightQuery):
    """A client's query. `address` is what the transport sends the reply to.

    `slot` is its place in the journal while it waits.
    """

    __slots__ = ("_slot", "address", "shape", "transport")

    def __init__(
        self, query: Query, shape: Shape, transport: Transport, address: Any, now: float
    ) -> None:
        zone, reader = shape.binding.zone, shape.reader
        InflightQuery.__init__(self, query, reader, zone, address[0], transport.name, now)
        self.shape = shape
        self.transport = transport
        self.address = address
        self._slot = -1

    def client(self) -> Client:
        """The client as directives see it."""
        counts = self.shape.binding.counts
        return Client(
            address=self.address[:2],
            local=self.transport.local,
            transport=self.transport_name,
            server=counts.server,
            zone_name=counts.zone,
            received_at=self.asked_at,
        )

    def begin_waiting(self) -> None:
        """Note the query in the journal: if this worker dies, the next one answers it."""
        self._slot = self.transport.note(self.query.packet, self.address, self.asked_at)

    def respond_from_cache(
        self, entry: Entry, ttl: int, ede: ExtendedErrors, good_until: float = 0.0
    ) -> CachedReply | None:
        """Reply from the cache."""
        outcome = _HIT_DENIAL if entry.is_denial else _HIT_SUCCESS
        reply = self._reply(entry, entry.flags, ttl, ede, entry.rcode, "cache", outcome)
        if not good_until:
            return None
        tally = self._tally(len(reply), entry.rcode, "cache", outcome)
        return self._for_table(reply, entry, good_until, tally, entry.ttl_offsets)

    def respond(self, answer: Answer, ttl: int | None, outcome: Outcome) -> None:
        """Reply with an upstream's answer."""
        rcode = answer.rcode
        self._reply(answer, answer.flags, ttl, answer.ede, rcode, answer.written_by, outcome)

    def respond_with_result(
        self, answer: Answer, outcome: Outcome, made_of: tuple[Entry, float] | None
    ) -> CachedReply | None:
        """Reply with the result of directives; `made_of` is the entry behind it, and until when that is good."""
        rcode, written_by = answer.rcode, answer.written_by
        reply = self._reply(answer, answer.flags, None, answer.ede, rcode, written_by, outcome)
        if made_of is None:
            return None
        entry, good_until = made_of
        tally = self._tally(len(reply), rcode, written_by, outcome)
        return self._for_table(reply, entry, good_until, tally, answer.ttl_offsets)

    def respond_error(self, rcode: int, ede: ExtendedErrors, outcome: Outcome) -> None:
        """Reply with an rcode and no records; with RA, for recursion is available: RFC 1035 §4.1.1."""
        self._send(empty_reply(self.query, rcode, ede, _RA), rcode, "", outcome)

    def ignore(self) -> None:
        """Send no reply (`acl … drop`)."""
        self.transport.forget(self.address)

    def _reply(
        self,
        body: Body,
        flags: int,
        ttl: int | None,
        ede: ExtendedErrors,
        rcode: int,
        written_by: str,
        outcome: Outcome,
    ) -> bytes:
        """Make the reply from `body`: an entry, an upstream's answer, or a directive's."""
        shape = self.shape
        limit = MAX_MESSAGE_SIZE if self.transport_name == "tcp" else shape.limit
        shown = flags & shape.shown_flags
        reply = reply_to(self.query, body, shown, ttl, limit, ede, rcode >> 4)
        self._send(reply, rcode, written_by, outcome)
        return reply

    def _send(self, reply: bytes, rcode: int, written_by: str, outcome: Outcome) -> None:
        """Send a reply and count it."""
        self.transport.send(reply, self.address)
        counts = self.shape.binding.counts
        counts.count(
            tally_of(
                self.query, self.transport_name, self.host, len(reply), rcode, written_by, outcome
            )
        )
        counts.duration.observe(monotonic() - self.asked_at)
        if self._slot >= 0:
            self.transport.unnote(self._slot)

    def _tally(
        self, size: int, rcode: int, written_by: str, outcome: Outcome
    ) -> tuple[object, ...]:
        """The key under which a reply is counted."""
        query = self.query
        return tally_of(query, self.transport_name, self.host, size, rcode, written_by, outcome)

    def _for_table(
        self,
        reply: bytes,
        entry: Entry,
        good_until: float,
        tally: tuple[object, ...],
        ttl_offsets: tuple[int, ...],
    ) -> CachedReply | None:
        """The reply for the reply table; None where equal queries are not expected or may not get it."""
        query = self.query
        if self.transport_name == "tcp" or reply[2] & _TC_OCTET:
            return None
        alike = None
        if not query.is_alike_for_all:
            alike = normalized(query)
            if alike is None:
                return None
        # Hits in the reply table are counted later, too late for eviction.
        entry.note_uses(MAX_FREQUENCY)
        binding = self.shape.binding
        # Additional records that did not fit are no reason for TC, and have no TTL to count down.
        offsets = ttl_offsets[: records_of_body(query, reply)]
        cached = CachedReply(reply[2:], good_until, entry, binding, tally, offsets, alike)
        return binding.zone.prepare_reply(cached, query)


def tally_of(
    query: Query,
    transport_name: str,
    host: str,
    response_size: int,
    rcode: int,
    written_by: str,
    outcome: Outcome,
) -> tuple[object, ...]:
    """The key under which a reply to `query` is counted: the fields of `Tally`, as a plain tuple.

    The family is CoreDNS's label: 1 for IPv4, also where it came mapped into IPv6, else 2.
    """
    return (
        transport_name,
        "2" if ":" in host and not host.startswith("::ffff:") else "1",
        query.qtype,
        rcode,
        len(query.packet),
        response_size,
        query.has_do,
        written_by,
        outcome,
    )
