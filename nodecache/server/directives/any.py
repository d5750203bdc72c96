"""`any`: a short answer to queries of type ANY, which are used for amplification attacks."""

from nodecache.server.directive import Client, Result
from nodecache.server.records import Record, Sections, reply_of
from nodecache.wire import CLASS_IN, Query, Rdtype

_TTL = 8482
_HINFO = b"\x0dANY obsoleted\x0cSee RFC 8482"


class Any:
    """Answers type ANY with one HINFO record: RFC 8482 §4.2."""

    name = "any"

    def serve(self, query: Query, client: Client) -> Result | None:  # noqa: ARG002 (anyone's)
        """The HINFO answer, or nothing where another type is asked for."""
        if query.qtype != Rdtype.ANY:
            return None
        record = Record(query.question[:-4], Rdtype.HINFO, CLASS_IN, _TTL, _HINFO)
        return reply_of(query, Sections([record]), written_by=self.name, flags=0)
