"""Messages for tests, written as dig shows them, or octet by octet where no library would."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import strategies as st

HEADER = 12
TO_QUESTION = b"\xc0\x0c"


def query(question: str = "a.example. A", *, flags: str = "RD", **edns: object) -> bytes:
    """A query's octets: `query("a.example. A", use_edns=0, payload=512)`."""
    qname, *kind = question.split()
    rdtype, rdclass = kind[-1], kind[0] if len(kind) > 1 else "IN"
    edns.setdefault("use_edns", 0 if edns else False)
    message = dns.message.make_query(qname, rdtype, rdclass, id=0x1234, **edns)
    message.flags = dns.flags.from_text(flags)
    return message.to_wire()


def response(
    question: str = "a.example. A",
    *answer: str,
    authority: tuple[str, ...] = (),
    additional: tuple[str, ...] = (),
    rcode: str = "NOERROR",
    flags: str = "QR RD RA",
    options: tuple[dns.edns.Option, ...] | None = None,
) -> bytes:
    """A response's octets, its records as zone lines; `options` gives it an OPT."""
    qname, *kind = question.split()
    message = dns.message.make_query(qname, kind[-1], kind[0] if len(kind) > 1 else "IN", id=0x1234)
    message.flags = dns.flags.from_text(flags)
    if options is not None:
        message.use_edns(0, 0, 1232, options=list(options))
    message.set_rcode(dns.rcode.from_text(rcode))
    sections = (message.answer, message.authority, message.additional)
    for section, lines in zip(sections, (answer, authority, additional), strict=True):
        section.extend(rrset(line) for line in lines)
    return message.to_wire()


def rrset(line: str) -> dns.rrset.RRset:
    """One record: owner, TTL, class, type, data."""
    owner, ttl, rdclass, rdtype, data = line.split(maxsplit=4)
    return dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, data)


def name(text: str) -> bytes:
    """A name as it stands on the wire when nothing is compressed."""
    return dns.name.from_text(text).to_wire()


def pointer(place: int) -> bytes:
    return struct.pack("!H", 0xC000 | place)


def record(
    owner: bytes,
    rdtype: str | int,
    data: bytes,
    *,
    ttl: int = 30,
    rdclass: int = 1,
    size: int = -1,
) -> bytes:
    """One record's octets; `size` for a data size that is not true."""
    number = rdtype if isinstance(rdtype, int) else dns.rdatatype.from_text(rdtype)
    data_size = len(data) if size < 0 else size
    return owner + struct.pack("!HHIH", number, rdclass, ttl, data_size) + data


def raw(
    *parts: bytes,
    question: bytes = name("a.example.") + b"\0\1\0\1",
    counts: tuple[int, int, int, int] = (1, 0, 0, 0),
    flags: int = 0x8180,
) -> bytes:
    """A message octet by octet, its counts as told."""
    return struct.pack("!6H", 0x1234, flags, *counts) + question + b"".join(parts)


def opt(
    payload: int = 1232,
    data: bytes = b"",
    *,
    owner: bytes = b"\0",
    rcode: int = 0,
    version: int = 0,
    flags: int = 0,
) -> bytes:
    """An OPT record's octets."""
    ttl = rcode << 24 | version << 16 | flags
    return record(owner, "OPT", data, ttl=ttl, rdclass=payload)


def option(code: int, data: bytes = b"") -> bytes:
    return struct.pack("!2H", code, len(data)) + data


def ede(code: int, text: bytes = b"") -> bytes:
    """An Extended DNS Error."""
    return option(15, code.to_bytes(2, "big") + text)


def parsed(wire: bytes | bytearray) -> dns.message.Message:
    """What dnspython makes of our octets: the oracle."""
    return dns.message.from_wire(bytes(wire))


def parsed_apart(wire: bytes | bytearray) -> dns.message.Message:
    """The same with an RRset for each record, so that odd ones (two CNAMEs of a name) stay."""
    return dns.message.from_wire(bytes(wire), one_rr_per_rrset=True)


def texts(section: list[dns.rrset.RRset]) -> list[str]:
    """A section's records as sorted zone lines, names in lower case."""
    return sorted(line.lower() for each in section for line in each.to_text().splitlines())


# Octets that make a message go wrong in more ways than chance would.
_TELLING = st.sampled_from(
    [0, 1, 2, 5, 6, 12, 0x0C, 0x29, 0x2E, 0x3F, 0x40, 0x80, 0xC0, 0xFA, 0xFF]
)
_PIECES = st.one_of(
    st.integers(0, 80).map(pointer),
    st.sampled_from([b"\0", b"\1a", b"\3www", b"\7example\0", b"\x3f" + b"x" * 63]),
    st.builds(
        record,
        st.one_of(st.integers(0, 80).map(pointer), st.just(b"\0"), st.just(b"\1b\0")),
        st.sampled_from([1, 2, 5, 6, 15, 16, 24, 28, 30, 33, 35, 39, 41, 46, 64, 250, 65280]),
        st.binary(max_size=40),
        ttl=st.integers(0, 2**32 - 1),
        rdclass=st.sampled_from([1, 3, 255, 1232]),
        size=st.sampled_from([-1, -1, -1, 0, 4, 300]),
    ),
    st.binary(max_size=8),
)


@st.composite
def mangled(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of `seeds` with some octets changed, cut out, put in, or the end missing."""
    packet = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(packet)))
        match draw(st.sampled_from(["set", "set", "set", "insert", "cut", "end"])):
            case "set":
                packet[place : place + 1] = bytes([draw(st.one_of(_TELLING, st.integers(0, 255)))])
            case "insert":
                packet[place:place] = draw(_PIECES)
            case "cut":
                del packet[place : place + draw(st.integers(1, 12))]
            case "end":
                del packet[place:]
    return bytes(packet)


@st.composite
def assembled(draw: st.DrawFn, flags: int) -> bytes:
    """A header, a question, and pieces of messages behind them."""
    counts = draw(st.tuples(*[st.integers(0, 3)] * 3))
    question = draw(st.sampled_from(["a.example.", ".", "x.y.z.a.example."]))
    kind = draw(st.sampled_from([b"\0\1\0\1", b"\0\x1c\0\1", b"\0\xff\0\1", b"\0\5\0\1"]))
    pieces = draw(st.lists(_PIECES, max_size=7))
    return raw(*pieces, question=name(question) + kind, counts=(1, *counts), flags=flags)


def strangers_packets(seeds: list[bytes], flags: int) -> st.SearchStrategy[bytes]:
    """Any octets, most of them near to a message."""
    return st.one_of(mangled(seeds), assembled(flags), st.binary(max_size=64))
