"""Reads a packet, finds its zone and hands it the query; or replies with an error."""

import logging
from typing import Any, Final

from nodecache.wire import (
    Ede,
    ExtendedErrors,
    MalformedMessage,
    Query,
    Rcode,
    empty_reply,
    error_reply,
    read_query,
)

from .client_query import ClientQuery, Transport, tally_of
from .counts import Outcome, ServerCounts
from .directive import Client, OnOutcome, PendingLookup, no_forward
from .replies import CachedReply
from .router import Zones

log = logging.getLogger(__name__)

# The keeper's own question, `id.server. CH TXT` (RFC 4892): answered at once and not counted, so
# that it tells whether this process answers and nothing about upstreams.
_CHAOS: Final = 3
_NOT_TOLD: Final[ExtendedErrors] = ((Ede.NOT_SUPPORTED, b"who answers is not told"),)
_NOT_SERVED: Final[ExtendedErrors] = ((Ede.NOT_AUTHORITATIVE, b"no server block is for this name"),)
_PROBE: Final = b"\x02id\x06server\x00\x00\x10\x00\x03\x00"


class Handler:
    """The zones of one listen address, and what is counted of queries that none takes."""

    def __init__(self, zones: Zones, dropped: ServerCounts) -> None:
        self.zones = zones
        self.malformed = 0
        self.panics = 0
        self._dropped = dropped

    def handle(
        self, packet: bytes, transport: Transport, address: Any, now: float
    ) -> CachedReply | None:
        """Answer `packet`, now or when upstream does; a reply for the table where it may go there.

        `now` is monotonic seconds. Never raises.
        """
        try:
            zones = self.zones
            shape = zones.shapes.of_packet(packet)
            if shape is not None:
                query = shape.query(packet)
            else:
                query = read_query(packet)
                if query.rdclass == _CHAOS and query.key == _PROBE:
                    transport.send(empty_reply(query, Rcode.REFUSED, _NOT_TOLD), address)
                    return None
                shape = zones.shape_of(query)
                if shape is None:
                    self._refuse(query, transport, address)
                    return None
                query.payload_size = shape.payload_size
            client_query = ClientQuery(query, shape, transport, address, now)
            return shape.serve(client_query, now)
        except MalformedMessage as fault:
            self._reject(packet, fault, transport, address)
        except Exception:
            # An exception costs one query its answer, never the process (CoreDNS's recover).
            self.panics += 1
            log.exception("a query could not be dealt with")
            transport.send(error_reply(packet, Rcode.SERVFAIL), address)
        return None

    def _reject(
        self, packet: bytes, fault: MalformedMessage, transport: Transport, address: Any
    ) -> None:
        """Reply to a malformed packet with the rcode of its fault, or not at all."""
        self.malformed += 1
        if fault.rcode is None:
            transport.forget(address)
        else:
            transport.send(error_reply(packet, fault.rcode, has_do=fault.has_do), address)

    def _refuse(self, query: Query, transport: Transport, address: Any) -> None:
        """No block serves the name. Counted under the zone `dropped`, as CoreDNS does."""
        reply = empty_reply(query, Rcode.REFUSED, _NOT_SERVED)
        transport.send(reply, address)
        self._dropped.count(
            tally_of(
                query,
                transport.name,
                str(address[0]),
                len(reply),
                Rcode.REFUSED,
                "",
                Outcome.UNCACHED,
            )
        )

    def look_up(self, query: Query, client: Client, on_outcome: OnOutcome) -> PendingLookup | None:
        """The server asks itself, for a directive: routed like a client's query, not counted."""
        binding = self.zones.match(query)
        if binding is None:
            no_forward(query, client, on_outcome)
            return None
        asked: PendingLookup | None = binding.zone.serve_lookup(query, client, on_outcome)
        return asked
