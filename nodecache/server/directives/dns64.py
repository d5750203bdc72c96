"""`dns64`: IPv6 addresses for names that have IPv4 ones only (RFC 6147)."""

from ipaddress import IPv6Network

from nodecache.corefile import Dns64Options
from nodecache.forward import Failure
from nodecache.server.directive import LATE, AskNext, AskServer, Client, NoReply, Outcome, Steps
from nodecache.server.records import Record, Sections, message, sections_of
from nodecache.server.requery import with_question
from nodecache.wire import CLASS_IN, Answer, Flag, Kind, Query, Rcode, Rdtype

# RFC 6147 §5.1.7: the TTL where no SOA says how long AAAA is known not to exist.
_UNKNOWN_SOA_TTL = 600
# RFC 6147 §5.1.3: no answer to the question for AAAA in this time counts as one without any. It is
# for us to choose: clients ask again after 2.5 to 5 s, and few names take so long that have one.
_TIMEOUT_SECONDS = 1.0
_RESERVED_OCTET = 8  # RFC 6052 §2.2: bits 64 to 71 are zero
_ADDRESS_OCTETS = 16
_OWN_FLAGS = Flag.RD | Flag.CD


class Dns64:
    """Makes AAAA records from A records, where there are no AAAA records of their own.

    For clients that speak IPv6, unless others are allowed it too. `counts` is of answers, by
    server label.
    """

    name = "dns64"

    def __init__(self, options: Dns64Options, counts: dict[str, int]) -> None:
        self._counts = counts
        self._prefix = options.prefix
        self._translates_all = options.translate_all
        self._allows_ipv4 = options.allow_ipv4

    def serve(self, query: Query, client: Client) -> Steps | None:
        """Take up questions for AAAA; the rest is not our business."""
        if query.qtype != Rdtype.AAAA or query.rdclass != CLASS_IN:
            return None
        if not (client.is_ipv6 or self._allows_ipv4):
            return None
        return self._translated(query, client)

    def _translated(self, query: Query, client: Client) -> Steps:
        result = yield AskNext(query, _TIMEOUT_SECONDS)
        if isinstance(result, NoReply) or not self._is_wanting(result):
            return result
        ipv4 = yield AskServer(with_question(query, rdtype=Rdtype.A))
        has_ipv4 = isinstance(ipv4, Answer) and (ipv4.is_truncated or _has(ipv4, Rdtype.A))
        if result is LATE:  # it may have come meanwhile; without an IPv4 address it is waited for
            result = yield AskNext(query, 0.0 if has_ipv4 else None)
            if isinstance(result, NoReply) or not self._is_wanting(result):
                return result
        if not isinstance(ipv4, Answer) or not has_ipv4:
            return result
        self._counts[client.server] = self._counts.get(client.server, 0) + 1
        return self._synthesised(query, _soa_ttl(result), ipv4)

    def _is_wanting(self, result: Outcome) -> bool:
        """Whether addresses have to be made: RFC 6147 §5.1.1 to §5.1.3.

        Any error but NXDOMAIN, and no answer at all, count as one without AAAA records.
        """
        if isinstance(result, Failure):
            return True
        if result.rcode == Rcode.NXDOMAIN and result.kind is not Kind.OTHER:
            return False
        return self._translates_all or not _has(result, Rdtype.AAAA)

    def _synthesised(self, query: Query, max_ttl: int, ipv4: Answer) -> Answer:
        """The answer to the question for A, its addresses made into IPv6 ones."""
        sections = sections_of(ipv4)
        made = [self._mapped(record, max_ttl) for record in sections.answer]
        return message(
            query.question,
            Flag.QR | Flag.RA | query.flags & _OWN_FLAGS | (Flag.TC if ipv4.is_truncated else 0),
            Sections(made, sections.authority, sections.additional),
            Rcode.NOERROR,
            written_by=self.name,
        )

    def _mapped(self, record: Record, max_ttl: int) -> Record:
        if record.rdtype != Rdtype.A:
            return record
        address = embedded(self._prefix, record.rdata)
        ttl = min(record.ttl, max_ttl)
        return Record(record.owner, Rdtype.AAAA, record.rdclass, ttl, address)


def _has(answer: Answer, rdtype: int) -> bool:
    """Whether there is a record of that type in the answer section."""
    return any(record.rdtype == rdtype for record in sections_of(answer).answer)


def _soa_ttl(result: Outcome) -> int:
    """For how long it is known that there is no AAAA record."""
    if isinstance(result, Answer):
        for record in sections_of(result).authority:
            if record.rdtype == Rdtype.SOA:
                return record.ttl
    return _UNKNOWN_SOA_TTL


def embedded(prefix: IPv6Network, ipv4: bytes) -> bytes:
    """The IPv4 address behind `prefix`, which has 32, 40, 48, 56, 64 or 96 bits: RFC 6052 §2.2."""
    octets = bytearray(prefix.network_address.packed[: prefix.prefixlen // 8])
    for octet in ipv4:
        if len(octets) == _RESERVED_OCTET:
            octets.append(0)
        octets.append(octet)
    return bytes(octets.ljust(_ADDRESS_OCTETS, b"\0"))
