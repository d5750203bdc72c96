"""`nodecache { aaaa suppress }`: for clusters without IPv6, where half of all queries ask for it.

The answer is NODATA, with a SOA so that clients can cache it (RFC 2308 §3). It is not
NXDOMAIN, which would deny the name's A records too and confuses musl's resolver.
"""

from collections.abc import Iterable
from struct import Struct

from nodecache.server.directive import Client, Result
from nodecache.server.records import Record, Sections, reply_of
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import CLASS_IN, Query, Rdtype, wire_of

# Serial, refresh, retry, expire, minimum; what counts is the last: how long a client may keep it.
_TIMES = Struct("!5I").pack(1, 7200, 1800, 86400, 30)
_TTL = 30


class NoAaaa:
    """Answers every AAAA query with "no such data"."""

    name = "nodecache"

    def __init__(self, zone_names: Iterable[str]) -> None:
        self._zones = ZoneNames(zone_names)

    def serve(self, query: Query, client: Client) -> Result | None:  # noqa: ARG002 (anyone's)
        """NODATA for AAAA; other types go on."""
        if query.qtype != Rdtype.AAAA or query.rdclass != CLASS_IN:
            return None
        zone = wire_of(self._zones.match(query.qname) or ".")
        rdata = b"\2ns\3dns" + zone + b"\nhostmaster" + zone + _TIMES
        soa = Record(zone, Rdtype.SOA, CLASS_IN, _TTL, rdata)
        return reply_of(query, Sections(authority=[soa]), written_by=self.name)
