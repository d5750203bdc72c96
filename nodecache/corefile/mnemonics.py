"""Names of rcodes, record types and classes, as numbers. Only a Corefile that has some imports dnspython."""

from typing import Any


def rcode(word: str) -> int:
    """An rcode by its name in the IANA registry (RFC 6895 §2.3), or CoreDNS's NOTIMPL; in any case."""
    from dns.rcode import Rcode  # noqa: PLC0415

    name = "NOTIMP" if word.upper() == "NOTIMPL" else word.upper()
    if name not in Rcode.__members__:
        raise ValueError(f"must be an rcode such as NXDOMAIN, not {word!r}")
    return int(Rcode[name])


def rdtype(word: str) -> int:
    """A record type by its name (`AAAA`, `ANY`, `TYPE65`)."""
    import dns.rdatatype  # noqa: PLC0415

    return _number(dns.rdatatype, "a record type such as AAAA", word)


def rdclass(word: str) -> int:
    """A class by its name (`IN`, `CH`, `ANY`)."""
    import dns.rdataclass  # noqa: PLC0415

    return _number(dns.rdataclass, "a class such as IN", word)


def _number(names: Any, what: str, word: str) -> int:
    import dns.exception  # noqa: PLC0415

    try:
        return int(names.from_text(word))
    except (dns.exception.DNSException, ValueError):
        raise ValueError(f"must be {what}, not {word!r}") from None
