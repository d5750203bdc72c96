"""Records as a zone file has them, and what an authoritative server would answer from them."""

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

# A chain of CNAMEs longer than this is a loop, in all but theory.
_MAX_CNAMES = 8

# kube-dns's own, for lines without a TTL.
_DEFAULT_TTL = 30

_Section = list[dns.rrset.RRset]
_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]


class Records:
    """All records of a text, one a line; every name that owns an SOA begins a zone.

    Names outside those zones are REFUSED. Raises dnspython's exceptions for a line that is no record.
    """

    def __init__(self, text: str) -> None:
        self._rrsets: dict[_Key, dns.rrset.RRset] = {}
        self._names: set[dns.name.Name] = set()
        for line in text.splitlines():
            if line and not line.startswith(";"):
                self._add(read_record(line))

    def _add(self, record: dns.rrset.RRset) -> None:
        known = self._rrsets.setdefault((record.name, record.rdtype), record)
        known.add(record[0])
        owner = record.name
        while owner not in self._names:  # the empty names above it exist too: RFC 8020 §2
            self._names.add(owner)
            if owner == dns.name.root:
                break
            owner = owner.parent()

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The response to `query`; authoritative, with RA as kube-dns has it."""
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        question = query.question[0]
        if self._zone_of(question.name) is None or question.rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
            response.flags &= ~dns.flags.AA
            return response
        owner = self._follow(question.name, question.rdtype, response.answer)
        if owner is not None:
            self._deny(owner, response)
        self._add_addresses(response)
        return response

    def _follow(
        self, owner: dns.name.Name, rdtype: dns.rdatatype.RdataType, answer: _Section
    ) -> dns.name.Name | None:
        """Add what `owner` has to `answer`, through CNAMEs; the name that had nothing, or None."""
        for _ in range(_MAX_CNAMES):
            rrset = self._find(owner, rdtype)
            if rrset is not None:
                answer.append(rrset)
                return None
            alias = self._find(owner, dns.rdatatype.CNAME)
            if alias is None:
                return owner
            answer.append(alias)
            owner = alias[0].target
            if self._zone_of(owner) is None:
                return None
        return None

    def _find(
        self, owner: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.rrset.RRset | None:
        """The records of `owner`, made from a wildcard where it does not exist (RFC 4592)."""
        if owner in self._names:
            return self._rrsets.get((owner, rdtype))
        wildcard = self._wildcard(owner)
        rrset = None if wildcard is None else self._rrsets.get((wildcard, rdtype))
        return rrset and dns.rrset.from_rdata_list(owner, rrset.ttl, list(rrset))

    def _wildcard(self, owner: dns.name.Name) -> dns.name.Name | None:
        """The wildcard at the closest name above `owner` that exists, if there is one."""
        while owner not in self._names:
            if owner == dns.name.root:
                return None
            owner = owner.parent()
        wildcard = dns.name.Name([b"*"]) + owner
        return wildcard if wildcard in self._names else None

    def _deny(self, owner: dns.name.Name, response: dns.message.Message) -> None:
        """Say NXDOMAIN or NODATA for `owner`, with its zone's SOA (RFC 2308 §3)."""
        if owner not in self._names and self._wildcard(owner) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = self._zone_of(owner)
        if soa is not None:
            response.authority.append(soa)

    def _zone_of(self, owner: dns.name.Name) -> dns.rrset.RRset | None:
        """The SOA of the zone that `owner` is in."""
        while True:
            soa = self._rrsets.get((owner, dns.rdatatype.SOA))
            if soa is not None or owner == dns.name.root:
                return soa
            owner = owner.parent()

    def _add_addresses(self, response: dns.message.Message) -> None:
        """Add the addresses of an SRV answer's targets, as kube-dns does."""
        for rrset in response.answer:
            if rrset.rdtype != dns.rdatatype.SRV:
                continue
            for target in sorted({record.target for record in rrset}):
                for rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
                    addresses = self._find(target, rdtype)
                    if addresses is not None:
                        response.additional.append(addresses)


def read_record(line: str) -> dns.rrset.RRset:
    """One record as a zone file has it: `owner [TTL] [IN] type data`, names absolute."""
    owner, word, rest = line.split(maxsplit=2)
    ttl = _DEFAULT_TTL
    if word.isdecimal():
        ttl = int(word)
        word, rest = rest.split(maxsplit=1)
    if word.upper() == "IN":
        word, rest = rest.split(maxsplit=1)
    return dns.rrset.from_text(owner, ttl, "IN", word, rest)
