"""A reply as people read it; dnspython's work, for nobody waits here."""

from collections.abc import Iterator

import dns.exception
import dns.message
import dns.rcode


def rcode_name(rcode: int) -> str:
    """`NXDOMAIN`."""
    return dns.rcode.to_text(dns.rcode.Rcode(rcode))


def records_of(reply: str) -> Iterator[str]:
    """The records of a reply (hexadecimal), then its extended errors (RFC 8914)."""
    if not reply:
        return
    try:
        message = dns.message.from_wire(bytes.fromhex(reply))
    except (dns.exception.DNSException, ValueError):
        yield "a reply that cannot be read"
        return
    for section in (message.answer, message.authority):
        for rrset in section:
            yield from rrset.to_text().splitlines()
    for option in message.options:
        yield option.to_text()
