"""`dns64`: IPv6 addresses for names that have IPv4 ones only, and names for these (RFC 6147)."""

from ipaddress import IPv6Network
from socket import AF_INET6, inet_pton

from nodecache.corefile import Dns64Options
from nodecache.forward import Failure
from nodecache.server.directive import (
    LATE,
    AskNext,
    AskServer,
    Client,
    NoReply,
    Outcome,
    Result,
    Steps,
)
from nodecache.server.records import Record, Sections, message, rebuilt, sections_of
from nodecache.server.requery import with_question
from nodecache.wire import CLASS_IN, Answer, Flag, Kind, Query, Rcode, Rdtype

from .reverse_name import IPV4_MAPPED, address_text, reverse_name

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

    The reverse names of such addresses are made aliases of their IPv4 addresses' names. For clients
    that speak IPv6, unless others are allowed it too. `counts` is of answers, by server label.
    """

    name = "dns64"

    def __init__(self, options: Dns64Options, counts: dict[str, int]) -> None:
        self._counts = counts
        self._prefix = options.prefix
        self._translates_all = options.translate_all
        self._allows_ipv4 = options.allow_ipv4

    def serve(self, query: Query, client: Client) -> Steps | None:
        """Take up questions for AAAA, and for the names of addresses behind the prefix.

        Not of clients that validate what they get and translate it themselves: RFC 6147 §5.5.
        """
        if query.rdclass != CLASS_IN or not (client.is_ipv6 or self._allows_ipv4):
            return None
        if query.qtype == Rdtype.AAAA:
            is_validator = query.has_do and query.flags & Flag.CD
            return None if is_validator else self._translated(query, client)
        if query.qtype == Rdtype.PTR:
            ipv4 = extracted(self._prefix, address_of(query.qname))
            return None if ipv4 is None else self._named(query, client, ipv4)
        return None

    def _translated(self, query: Query, client: Client) -> Steps:
        result = yield AskNext(query, _TIMEOUT_SECONDS)
        if isinstance(result, NoReply) or not self._is_wanting(result):
            return _without_mapped(result)
        ipv4 = yield AskServer(with_question(query, rdtype=Rdtype.A))
        has_ipv4 = _brings(ipv4, Rdtype.A)
        if result is LATE:  # it may have come meanwhile; without an IPv4 address it is waited for
            result = yield AskNext(query, 0.0 if has_ipv4 else None)
            if isinstance(result, NoReply) or not self._is_wanting(result):
                return _without_mapped(result)
        if not isinstance(ipv4, Answer) or not has_ipv4:
            return _without_mapped(result)
        self._count(client)
        return self._synthesised(query, _soa_ttl(result), ipv4)

    def _named(self, query: Query, client: Client, ipv4: bytes) -> Steps:
        """The name of an IPv4 address, for the question for that of an IPv6 one: RFC 6147 §5.3.1.

        Where it has none, what there is to the question as it stands.
        """
        name = reverse_name(ipv4)
        found = yield AskServer(with_question(query, name))
        if not isinstance(found, Answer) or not _brings(found, Rdtype.PTR):
            result = yield AskNext(query)
            return result
        self._count(client)
        sections = sections_of(found)
        ttl = min([record.ttl for record in sections.answer], default=0)
        alias = Record(query.question[:-4], Rdtype.CNAME, CLASS_IN, ttl, name)
        sections.answer.insert(0, alias)
        return self._made(query, found, sections)

    def _count(self, client: Client) -> None:
        self._counts[client.server] += 1

    def _is_wanting(self, result: Outcome) -> bool:
        """Whether addresses have to be made: RFC 6147 §5.1.1 to §5.1.3.

        Any error but NXDOMAIN, and no answer at all, count as one without AAAA records.
        """
        if isinstance(result, Failure):
            return True
        if result.rcode == Rcode.NXDOMAIN and result.kind is not Kind.OTHER:
            return False
        return self._translates_all or not any(map(_is_usable, sections_of(result).answer))

    def _synthesised(self, query: Query, max_ttl: int, ipv4: Answer) -> Answer:
        """The answer to the question for A, its addresses made into IPv6 ones."""
        sections = sections_of(ipv4)
        unsigned = _without_signatures(sections.answer, Rdtype.A)
        sections.answer = [self._mapped(record, max_ttl) for record in unsigned]
        return self._made(query, ipv4, sections)

    def _made(self, query: Query, source: Answer, sections: Sections) -> Answer:
        """An answer to `query`, made from one to another question."""
        return message(
            query.question,
            Flag.QR | Flag.RA | query.flags & _OWN_FLAGS | (Flag.TC if source.is_truncated else 0),
            sections,
            Rcode.NOERROR,
            written_by=self.name,
        )

    def _mapped(self, record: Record, max_ttl: int) -> Record:
        if record.rdtype != Rdtype.A:
            return record
        address = embedded(self._prefix, record.rdata)
        ttl = min(record.ttl, max_ttl)
        return Record(record.owner, Rdtype.AAAA, record.rdclass, ttl, address)


def _brings(result: Result, rdtype: int) -> bool:
    """Whether there is a record of that type in the answer section, or more than fitted."""
    if not isinstance(result, Answer):
        return False
    answer = sections_of(result).answer
    return result.is_truncated or any(record.rdtype == rdtype for record in answer)


def _is_usable(record: Record) -> bool:
    return record.rdtype == Rdtype.AAAA and not _is_mapped(record)


def _is_mapped(record: Record) -> bool:
    """Whether the address is of no use to those who have IPv6 only: RFC 6147 §5.1.4."""
    return record.rdtype == Rdtype.AAAA and record.rdata.startswith(IPV4_MAPPED)


def _without_mapped(result: Result) -> Result:
    """`result` without addresses that are IPv4 ones: RFC 6147 §5.1.4."""
    if not isinstance(result, Answer):
        return result
    sections = sections_of(result)
    if not any(map(_is_mapped, sections.answer)):
        return result
    kept = [record for record in sections.answer if not _is_mapped(record)]
    sections.answer = _without_signatures(kept, Rdtype.AAAA)
    return rebuilt(result, result.question, sections, result.flags & ~Flag.AD)


def _without_signatures(records: list[Record], rdtype: int) -> list[Record]:
    """`records` without signatures over that type, which hold no more."""
    covered = rdtype.to_bytes(2, "big")
    return [
        record
        for record in records
        if record.rdtype != Rdtype.RRSIG or not record.rdata.startswith(covered)
    ]


def _soa_ttl(result: Outcome) -> int:
    """The TTL in seconds of the SOA in a negative answer, or the default of RFC 6147."""
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


def extracted(prefix: IPv6Network, ipv6: bytes) -> bytes | None:
    """The IPv4 address in one that `embedded` made with `prefix`; None for all others."""
    size = prefix.prefixlen // 8
    if size <= _RESERVED_OCTET:
        ipv4 = (ipv6[:_RESERVED_OCTET] + ipv6[_RESERVED_OCTET + 1 :])[size : size + 4]
    else:
        ipv4 = ipv6[size : size + 4]
    return ipv4 if embedded(prefix, ipv4) == ipv6 else None


def address_of(name: bytes) -> bytes:
    """The IPv6 address that a name below ip6.arpa is of, in lower case; nothing where it is of none."""
    try:
        return inet_pton(AF_INET6, address_text(name))
    except (OSError, ValueError):
        return b""
