"""One packet's way in: read, routed, handed to its zone; or an error to whoever sent it."""

import logging
from typing import Any

from nodecache.wire import (
    HEADER_SIZE,
    Ede,
    ExtendedErrors,
    MalformedMessage,
    Query,
    Rcode,
    empty_reply,
    error_reply,
    read_query,
)

from .asker import ChainAsker, ClientAsker, Transport, tally_of
from .chain import Ask, Back, Client, nothing_to_ask
from .counts import Outcome, ServerCounts
from .plain import NOT_PLAIN
from .replies import Finished
from .router import Zones

log = logging.getLogger(__name__)

# The keeper's own question, `id.server. CH TXT` (RFC 4892): answered at once and not counted, so
# that it tells whether this process answers and nothing about upstreams.
_CHAOS = 3
_NOT_TOLD: ExtendedErrors = ((Ede.NOT_SUPPORTED, b"who answers is not told"),)
_NOT_SERVED: ExtendedErrors = ((Ede.NOT_AUTHORITATIVE, b"no server block is for this name"),)
_PROBE = b"\x02id\x06server\x00\x00\x10\x00\x03\x00"


class Handler:
    """The zones of one listen address, and what is counted of queries that none takes."""

    def __init__(self, zones: Zones, dropped: ServerCounts) -> None:
        self.zones = zones
        self.malformed = 0
        self.panics = 0
        self._dropped = dropped

    def handle(
        self, packet: bytes, transport: Transport, address: Any, now: float
    ) -> Finished | None:
        """Answer `packet`, now or when upstream does; a reply for the table where it may go there.

        `now` is monotonic seconds. Never raises.
        """
        try:
            members = b""
            if transport.name == "udp" and len(packet) > HEADER_SIZE:
                label_size = packet[HEADER_SIZE]
                members = packet[2:HEADER_SIZE] + packet[HEADER_SIZE + 1 + label_size :]
                family = self.zones.families.get(members)
                if family is not None and 0 < label_size <= family.most_label:
                    made = family.way.take(family, packet, transport, address, now)
                    if made is not NOT_PLAIN:
                        return made
            return self._handle_any(packet, transport, address, now, members)
        except Exception:
            # A fault of ours costs one query its answer, never the process (CoreDNS's recover).
            self.panics += 1
            log.exception("a query could not be dealt with")
            transport.send(error_reply(packet, Rcode.SERVFAIL), address)
            return None

    def _handle_any(
        self, packet: bytes, transport: Transport, address: Any, now: float, members: bytes
    ) -> Finished | None:
        """Answer a packet of any kind; `members` is what a family of it would have in common."""
        try:
            query = read_query(packet)
        except MalformedMessage as fault:
            self.malformed += 1
            if fault.rcode is None:
                transport.forget(address)
            else:
                reply = error_reply(packet, fault.rcode, has_do=fault.has_do)
                transport.send(reply, address)
            return None
        served = self.zones.match(query)
        if served is None:
            self._refuse(query, transport, address)
            return None
        if query.rdclass == _CHAOS and query.key == _PROBE:
            transport.send(empty_reply(query, Rcode.REFUSED, _NOT_TOLD), address)
            return None
        if members:
            self.zones.adopt(members, query, served)
        asker = ClientAsker(query, transport, address, now, served)
        return served.zone.serve(asker, now)

    def _refuse(self, query: Query, transport: Transport, address: Any) -> None:
        """No block serves the name. Counted under the zone `dropped`, as CoreDNS does."""
        reply = empty_reply(query, Rcode.REFUSED, _NOT_SERVED)
        transport.send(reply, address)
        self._dropped.count(
            tally_of(
                query,
                transport.name,
                str(address[0]),
                len(query.packet),
                len(reply),
                Rcode.REFUSED,
                "",
                Outcome.UNCACHED,
            )
        )

    def look_up(self, query: Query, client: Client, back: Back) -> Ask | None:
        """The server asks itself, for a directive: routed like a client's query, not counted."""
        served = self.zones.match(query)
        if served is None:
            return nothing_to_ask(query, client, back)  # type: ignore[func-returns-value]
        asked: Ask | None = served.zone.serve_inner(ChainAsker(query, client, back))
        return asked
