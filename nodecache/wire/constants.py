"""Numbers of the DNS, each with the section that fixes it."""

from enum import IntEnum
from typing import Final

HEADER_SIZE: Final = 12  # RFC 1035 §4.1.1
MAX_LABEL_SIZE: Final = 63  # RFC 1035 §2.3.4
MAX_NAME_SIZE: Final = 255  # RFC 1035 §2.3.4, on the wire, with the root's octet
MAX_MESSAGE_SIZE: Final = 65535  # RFC 1035 §4.2.2: what a TCP length prefix can say
MAX_DATAGRAM_SIZE: Final = 65507  # what UDP over IPv4 can carry: RFC 768, less both headers
MIN_PAYLOAD_SIZE: Final = 512  # RFC 1035 §4.2.1, and RFC 6891 §6.2.3 for smaller claims
OUR_PAYLOAD_SIZE: Final = 1232  # what crosses every path unfragmented: DNS flag day 2020
POINTER_BITS: Final = 0xC0  # RFC 1035 §4.1.4
POINTER_MASK: Final = 0x3FFF
MAX_TTL: Final = 0x7FFFFFFF  # RFC 2181 §8: a TTL with the top bit set counts as 0
EDNS_DO: Final = 0x8000  # RFC 3225 §3, in the low half of the OPT's TTL
OPTION_EDE: Final = 15  # RFC 8914 §2


class Flag(IntEnum):
    """Bits of the header's second word: RFC 1035 §4.1.1, RFC 4035 §3."""

    QR = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    AD = 0x0020
    CD = 0x0010


OPCODE_MASK: Final = 0x7800
RCODE_MASK: Final = 0x000F


class Rcode(IntEnum):
    """Outcome codes: RFC 1035 §4.1.1, RFC 2136 §2.2, RFC 6891 §9."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16


class Rdtype(IntEnum):
    """The record types that code names."""

    A = 1
    NS = 2
    MD = 3
    MF = 4
    CNAME = 5
    SOA = 6
    MB = 7
    MG = 8
    MR = 9
    PTR = 12
    HINFO = 13
    MINFO = 14
    MX = 15
    TXT = 16
    RP = 17
    AFSDB = 18
    RT = 21
    SIG = 24
    PX = 26
    AAAA = 28
    NXT = 30
    SRV = 33
    NAPTR = 35
    KX = 36
    DNAME = 39
    OPT = 41
    DS = 43
    RRSIG = 46
    NSEC = 47
    SVCB = 64
    HTTPS = 65
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


CLASS_IN: Final = 1
CLASS_ANY: Final = 255  # RFC 1035 §3.2.5


class Ede(IntEnum):
    """Extended DNS Errors that nodecache sends: RFC 8914 §4."""

    OTHER = 0
    STALE_ANSWER = 3
    BLOCKED = 15
    PROHIBITED = 18
    STALE_NXDOMAIN = 19
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23


def rcode_text(rcode: int) -> str:
    """`rcode` as logs and metrics write it: its name, or RCODE and the number."""
    try:
        return Rcode(rcode).name
    except ValueError:
        return f"RCODE{rcode}"
