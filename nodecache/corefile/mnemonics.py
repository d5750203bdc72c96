"""Names of rcodes, record types and classes, as numbers."""

_RCODES = {
    "NOERROR": 0,
    "FORMERR": 1,
    "SERVFAIL": 2,
    "NXDOMAIN": 3,
    "NOTIMP": 4,
    "NOTIMPL": 4,
    "REFUSED": 5,
    "YXDOMAIN": 6,
    "YXRRSET": 7,
    "NXRRSET": 8,
    "NOTAUTH": 9,
    "NOTZONE": 10,
    "DSOTYPENI": 11,
    "BADVERS": 16,
    "BADSIG": 16,
    "BADKEY": 17,
    "BADTIME": 18,
    "BADMODE": 19,
    "BADNAME": 20,
    "BADALG": 21,
    "BADTRUNC": 22,
    "BADCOOKIE": 23,
}
"""The IANA registry of DNS RCODEs (RFC 6895 §2.3), and CoreDNS's NOTIMPL."""


def rcode(word: str) -> int:
    """An rcode by its name, in any case."""
    if word.upper() not in _RCODES:
        raise ValueError(f"must be an rcode such as NXDOMAIN, not {word!r}")
    return _RCODES[word.upper()]


def rdtype(word: str) -> int:
    """A record type by its name (`AAAA`, `ANY`, `TYPE65`)."""
    import dns.exception  # noqa: PLC0415 - only the Corefiles that name types pay for it
    import dns.rdatatype  # noqa: PLC0415

    try:
        return int(dns.rdatatype.from_text(word))
    except (dns.exception.DNSException, ValueError):
        raise ValueError(f"must be a record type such as AAAA, not {word!r}") from None


def rdclass(word: str) -> int:
    """A class by its name (`IN`, `CH`, `ANY`)."""
    import dns.exception  # noqa: PLC0415
    import dns.rdataclass  # noqa: PLC0415

    try:
        return int(dns.rdataclass.from_text(word))
    except (dns.exception.DNSException, ValueError):
        raise ValueError(f"must be a class such as IN, not {word!r}") from None
