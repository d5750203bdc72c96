"""Types, classes and rcodes as logs, templates and rules write them; the spellings of miekg/dns."""

from functools import lru_cache

_TYPES = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10,
    "PTR": 12, "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19,
    "ISDN": 20, "RT": 21, "NSAP-PTR": 23, "SIG": 24, "KEY": 25, "PX": 26, "GPOS": 27, "AAAA": 28,
    "LOC": 29, "NXT": 30, "EID": 31, "NIMLOC": 32, "SRV": 33, "ATMA": 34, "NAPTR": 35, "KX": 36,
    "CERT": 37, "DNAME": 39, "OPT": 41, "APL": 42, "DS": 43, "SSHFP": 44, "IPSECKEY": 45,
    "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52,
    "SMIMEA": 53, "HIP": 55, "NINFO": 56, "RKEY": 57, "TALINK": 58, "CDS": 59, "CDNSKEY": 60,
    "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63, "SVCB": 64, "HTTPS": 65, "SPF": 99, "UINFO": 100,
    "UID": 101, "GID": 102, "UNSPEC": 103, "NID": 104, "L32": 105, "L64": 106, "LP": 107,
    "EUI48": 108, "EUI64": 109, "NXNAME": 128, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252,
    "MAILB": 253, "MAILA": 254, "ANY": 255, "URI": 256, "CAA": 257, "AVC": 258, "AMTRELAY": 260,
    "RESINFO": 261, "TA": 32768, "DLV": 32769,
}  # fmt: skip

CLASSES = {"IN": 1, "CS": 2, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}

_RCODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
    6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
    16: "BADSIG", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
    22: "BADTRUNC", 23: "BADCOOKIE",
}  # fmt: skip

# A stranger may ask for any of 65,536 types.
_TEXTS_REMEMBERED = 512

_TYPE_TEXTS = {rdtype: text for text, rdtype in _TYPES.items()}
_CLASS_TEXTS = {rdclass: text for text, rdclass in CLASSES.items()}


@lru_cache(_TEXTS_REMEMBERED)
def type_text(rdtype: int) -> str:
    """`AAAA`; `TYPE65280` where it has no name (RFC 3597 §5)."""
    return _TYPE_TEXTS.get(rdtype) or f"TYPE{rdtype}"


@lru_cache(_TEXTS_REMEMBERED)
def class_text(rdclass: int) -> str:
    """`IN`; `CLASS32` where it has no name (RFC 3597 §5)."""
    return _CLASS_TEXTS.get(rdclass) or f"CLASS{rdclass}"


def label_of(text: str) -> str:
    """A type's or class's text as a metric's label: those without a name share one, as strangers may ask for any."""
    return text if text in _TYPES or text in CLASSES else "other"


def rcode_word(rcode: int) -> str:
    """`NXDOMAIN`; the number where it has no name. 16 is BADSIG here, as in miekg/dns."""
    return _RCODES.get(rcode) or str(rcode)
