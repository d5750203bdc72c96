"""One packet's way in: read, routed, handed to its zone; or an error to whoever sent it."""

from typing import Any

from nodecache.wire import MalformedMessage, Rcode, empty_reply, error_reply, read_query

from .asker import Asker, Transport, count_reply
from .counts import Outcome, ServerCounts
from .replies import Finished
from .router import Zones

# The keeper's own question, `id.server. CH TXT` (RFC 4892): answered at once and not counted, so
# that it tells whether this process answers and nothing about upstreams.
_PROBE = b"\x02id\x06server\x00\x00\x10\x00\x03\x00"


class Handler:
    """The zones of one listen address, and what is counted of queries that none takes."""

    def __init__(self, zones: Zones, dropped: ServerCounts) -> None:
        self.zones = zones
        self.dropped = dropped
        self.malformed = 0

    def handle(
        self, packet: bytes, transport: Transport, address: Any, now: float
    ) -> Finished | None:
        """Answer `packet`, now or when upstream does; a reply for the table where it may go there.

        `now` is monotonic seconds. Never raises.
        """
        try:
            query = read_query(packet)
        except MalformedMessage as fault:
            self.malformed += 1
            if fault.rcode is not None:
                transport.send(error_reply(packet, fault.rcode), address)
            return None
        asker = Asker(query, transport, address, now)
        served = self.zones.match(query)
        if served is None:
            self._refuse(asker)
            return None
        if query.key == _PROBE:
            transport.send(empty_reply(query, Rcode.REFUSED), address)
            return None
        return served.zone.serve(asker, served, now)

    def _refuse(self, asker: Asker) -> None:
        """Nobody serves the name: REFUSED, counted under the zone `dropped` as CoreDNS does."""
        reply = empty_reply(asker.query, Rcode.REFUSED)
        asker.transport.send(reply, asker.address)
        count_reply(self.dropped, asker, reply, Rcode.REFUSED, "", Outcome.UNCACHED)
