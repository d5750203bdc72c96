"""An upstream's message: what kind of answer it is, and where its TTLs stand.

What may be kept follows RFC 2308 (negative answers need their SOA), and CoreDNS's
plugin/pkg/response for the rest.
"""

from dataclasses import dataclass
from enum import Enum
from struct import Struct

from .constants import (
    HEADER_SIZE,
    MAX_TTL,
    OPCODE_MASK,
    OPTION_EDE,
    RCODE_MASK,
    Flag,
    Rcode,
    Rdtype,
)
from .errors import MalformedMessage
from .names import question_name_end, read_name_end
from .rdata import check_rdata

# Plain ints: an enum member costs a look-up and a slow operator each time.
_QR, _TC = int(Flag.QR), int(Flag.TC)
_A, _AAAA = int(Rdtype.A), int(Rdtype.AAAA)
_OPT, _TSIG, _SOA, _NS, _RRSIG = (
    int(rdtype) for rdtype in (Rdtype.OPT, Rdtype.TSIG, Rdtype.SOA, Rdtype.NS, Rdtype.RRSIG)
)
_TO_QUESTION = b"\xc0\x0c"  # a pointer to the question's name: RFC 1035 §4.1.4
_BARE_OPT = b"\x00\x00\x29"
_BARE_OPT_SIZE = 11

_HEADER = Struct("!5H")  # flags and the four counts, from octet 2 on
_RECORD = Struct("!HHIH")  # type, class, TTL, rdata size
_RECORD_SIZE = 10  # without its owner name
_U16 = Struct("!H")
_U32 = Struct("!I")
_TTL_AND_SIZE = Struct("!IH")
_TTL_OFFSET = 6  # in a record whose owner name is a pointer: name, type and class before it
_SIGNATURE_TIMES = Struct("!II")  # expiration, inception: RFC 4034 §3.1.5


class Kind(Enum):
    """What an answer says, as far as keeping it goes."""

    POSITIVE = "positive"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    REFERRAL = "referral"
    SERVFAIL = "servfail"
    OTHER = "other"  # never kept: other rcodes, negative answers without SOA, open CNAME chains


@dataclass(slots=True)
class Answer:
    """One whole message from upstream, or from a directive that made it up.

    `wire` is the message with its OPT and TSIG taken out; the TTLs stand at `ttl_offsets`, in
    seconds. `lowest_ttl` is None where there are no records. `soa_ttl` is the lower of the
    SOA's TTL and minimum (RFC 2308 §5) where the authority section holds one. `signed_until`
    and `signed_from` bound the RRSIGs' common validity (seconds since 1970), where there are any.
    `ede` are the upstream's Extended DNS Errors, code and text (RFC 8914).
    """

    wire: bytes
    question_end: int
    rcode: int
    kind: Kind
    ttl_offsets: tuple[int, ...] = ()
    lowest_ttl: int | None = None
    soa_ttl: int | None = None
    signed_from: int | None = None
    signed_until: int | None = None
    ede: tuple[tuple[int, bytes], ...] = ()
    written_by: str = "forward"

    @property
    def flags(self) -> int:
        """The header's second word as it came."""
        return self.wire[2] << 8 | self.wire[3]

    @property
    def is_truncated(self) -> bool:
        """Whether upstream had more to say (TC)."""
        return bool(self.wire[2] & Flag.TC >> 8)

    @property
    def question(self) -> bytes:
        """Name, type and class as upstream wrote them."""
        return self.wire[HEADER_SIZE : self.question_end]


class _Reader:
    """One walk over the records of a message."""

    __slots__ = (
        "ede",
        "extended_rcode",
        "has_asked_type",
        "has_ns",
        "lowest_ttl",
        "offset",
        "opt_start",
        "packet",
        "removed",
        "signed_from",
        "signed_until",
        "sizes",
        "soa_ttl",
        "ttl_offsets",
    )

    def __init__(self, packet: bytes, sizes: dict[int, int], offset: int) -> None:
        self.packet = packet
        self.sizes = sizes
        self.offset = offset
        self.ttl_offsets: list[int] = []
        self.lowest_ttl: int | None = None
        self.soa_ttl: int | None = None
        self.signed_from: int | None = None
        self.signed_until: int | None = None
        self.has_asked_type = False
        self.has_ns = False
        self.extended_rcode = 0
        self.ede: list[tuple[int, bytes]] = []
        self.opt_start = -1
        self.removed: list[tuple[int, int]] = []

    def section(self, count: int, qtype: int, *, is_answer: bool, is_last: bool) -> None:
        """Read `count` records."""
        packet, sizes, size = self.packet, self.sizes, len(self.packet)
        for _ in range(count):
            owner = self.offset
            if packet.startswith(_TO_QUESTION, owner):  # the question's name, as nearly always
                fixed = owner + 2
            else:
                fixed = read_name_end(packet, owner, sizes)
            rdata = fixed + _RECORD_SIZE
            if rdata > size:
                raise MalformedMessage("record is cut off")
            rdtype, _, ttl, rdata_size = _RECORD.unpack_from(packet, fixed)
            self.offset = end = rdata + rdata_size
            if end > size:
                raise MalformedMessage("record data runs past the end")
            if rdtype in (_OPT, _TSIG):
                self._pseudo_record(rdtype, ttl, owner, rdata, is_last=is_last)
                continue
            check_rdata(packet, rdtype, rdata, end, sizes)
            if ttl > MAX_TTL:
                ttl = 0
            if self.lowest_ttl is None or ttl < self.lowest_ttl:
                self.lowest_ttl = ttl
            self.ttl_offsets.append(fixed + 4)
            if is_answer:
                if rdtype == qtype:
                    self.has_asked_type = True
            elif rdtype == _SOA and not is_last:
                self.soa_ttl = min(ttl, _U32.unpack_from(packet, end - 4)[0])
            elif rdtype == _NS:
                self.has_ns = True
            if rdtype == _RRSIG:
                self._signature(rdata)

    def _pseudo_record(
        self, rdtype: int, ttl: int, owner: int, rdata: int, *, is_last: bool
    ) -> None:
        """Note an OPT or TSIG for removal: hop by hop, never kept (RFC 6891 §6.2.1)."""
        if not is_last:
            raise MalformedMessage("OPT or TSIG record outside the additional section")
        self.removed.append((owner, self.offset))
        if rdtype == _OPT:
            if self.opt_start >= 0:
                raise MalformedMessage("message holds two OPT records")
            self.opt_start = owner
            self.extended_rcode = ttl >> 24
            self._options(rdata)

    def _options(self, offset: int) -> None:
        """Pick the Extended DNS Errors out of an OPT's options; skip what is not well formed."""
        while offset + 4 <= self.offset:
            code, size = _U16.unpack_from(self.packet, offset)[0], self.packet[offset + 2 :]
            length = size[0] << 8 | size[1]
            data = self.packet[offset + 4 : min(offset + 4 + length, self.offset)]
            if code == OPTION_EDE and len(data) >= 2:
                self.ede.append((_U16.unpack_from(data)[0], data[2:]))
            offset += 4 + length

    def _signature(self, rdata: int) -> None:
        """Narrow the time in which all signatures hold."""
        if self.offset - rdata < 18:
            raise MalformedMessage("RRSIG record is cut off")
        until, since = _SIGNATURE_TIMES.unpack_from(self.packet, rdata + 8)
        self.signed_until = until if self.signed_until is None else min(until, self.signed_until)
        self.signed_from = since if self.signed_from is None else max(since, self.signed_from)


def read_answer(packet: bytes, written_by: str = "forward") -> Answer:
    """Read a response; MalformedMessage where any octet of it breaks a rule."""
    if len(packet) < HEADER_SIZE:
        raise MalformedMessage("message is shorter than a header")
    flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet, 2)
    if not flags & _QR or flags & OPCODE_MASK:
        raise MalformedMessage("message is not a response to a query")
    if questions != 1:
        raise MalformedMessage("response does not hold one question")
    name_end = question_name_end(packet, HEADER_SIZE)
    if name_end + 4 > len(packet):
        raise MalformedMessage("question has no type and class")
    qtype = _U16.unpack_from(packet, name_end)[0]
    if not authorities and not flags & (_TC | RCODE_MASK) and qtype in _ADDRESS_RECORDS:
        addresses = _addresses(packet, name_end + 4, qtype, answers, additionals)
        if addresses is not None:
            addresses.written_by = written_by
            return addresses
    reader = _Reader(packet, _question_sizes(packet, name_end), name_end + 4)
    reader.section(answers, qtype, is_answer=True, is_last=False)
    reader.section(authorities, qtype, is_answer=False, is_last=False)
    reader.section(additionals, qtype, is_answer=False, is_last=True)
    rcode = flags & RCODE_MASK | reader.extended_rcode << 4
    return Answer(
        wire=_without_removed(packet[: reader.offset], reader, additionals),
        question_end=name_end + 4,
        rcode=rcode,
        kind=_kind(rcode, answers, qtype, reader, is_truncated=bool(flags & Flag.TC)),
        ttl_offsets=tuple(reader.ttl_offsets),
        lowest_ttl=reader.lowest_ttl,
        soa_ttl=reader.soa_ttl,
        signed_from=reader.signed_from,
        signed_until=reader.signed_until,
        ede=tuple(reader.ede),
        written_by=written_by,
    )


# type → what an address record under the question's name begins with, and its data's size.
_ADDRESS_RECORDS = {
    _A: (_TO_QUESTION + b"\x00\x01\x00\x01", 4),
    _AAAA: (_TO_QUESTION + b"\x00\x1c\x00\x01", 16),
}


def _addresses(
    packet: bytes, question_end: int, qtype: int, answers: int, additionals: int
) -> Answer | None:
    """The commonest answer by far, read in a quarter of the time: addresses, perhaps an OPT.

    None where it is anything else, down to a byte, for the general way to judge.
    """
    start, rdata_size = _ADDRESS_RECORDS[qtype]
    size = _TTL_OFFSET + 6 + rdata_size
    end = question_end + answers * size
    if additionals:
        is_bare = packet.startswith(_BARE_OPT, end) and packet.endswith(b"\0\0")
        if additionals > 1 or not is_bare or len(packet) != end + _BARE_OPT_SIZE or packet[end + 5]:
            return None
    elif len(packet) != end:
        return None
    if not answers:
        return None
    lowest = MAX_TTL
    for offset in range(question_end, end, size):
        if not packet.startswith(start, offset):
            return None
        ttl, data_size = _TTL_AND_SIZE.unpack_from(packet, offset + _TTL_OFFSET)
        if data_size != rdata_size or ttl > MAX_TTL:
            return None
        lowest = min(lowest, ttl)
    return Answer(
        packet[:10] + b"\0\0" + packet[12:end] if additionals else packet,
        question_end,
        0,
        Kind.POSITIVE,
        tuple(range(question_end + _TTL_OFFSET, end, size)),
        lowest,
    )


def _question_sizes(packet: bytes, name_end: int) -> dict[int, int]:
    """What `read_name_end` needs to know of a question name that was already checked."""
    sizes = {}
    offset = HEADER_SIZE
    while label_size := packet[offset]:
        sizes[offset] = name_end - offset
        offset += label_size + 1
    sizes[offset] = 1
    return sizes


def _without_removed(packet: bytes, reader: _Reader, additionals: int) -> bytes:
    """`packet` less its OPT and TSIG, which stand last in all but strange messages."""
    if not reader.removed:
        return packet
    if reader.removed[-1][1] != len(packet) or len(reader.removed) > 1:
        _move_records(packet, reader)
        kept = packet
        for start, end in reversed(reader.removed):
            kept = kept[:start] + kept[end:]
    else:
        kept = packet[: reader.removed[0][0]]
    return kept[:10] + _U16.pack(additionals - len(reader.removed)) + kept[12:]


def _move_records(packet: bytes, reader: _Reader) -> None:
    """Correct the TTL offsets for what is cut out before them.

    Names behind the cut may not be pointed at, or the pointers would be off by its size. No
    server known does that: they would have to compress against a record behind the OPT.
    """
    first = reader.removed[0][0]
    if any(offset > first for offset in reader.sizes if packet[offset]):
        raise MalformedMessage("names stand behind the OPT record")
    reader.ttl_offsets = [
        offset - sum(end - start for start, end in reader.removed if start < offset)
        for offset in reader.ttl_offsets
    ]


def _kind(rcode: int, answers: int, qtype: int, reader: _Reader, *, is_truncated: bool) -> Kind:
    """Sort an answer as CoreDNS does (1.14.7), in its order."""
    if is_truncated or qtype in (Rdtype.AXFR, Rdtype.IXFR):
        return Kind.OTHER
    if rcode in (Rcode.SERVFAIL, Rcode.NOTIMP):
        return Kind.SERVFAIL
    if rcode == Rcode.NXDOMAIN and reader.soa_ttl is not None and not answers:
        return Kind.NXDOMAIN
    if rcode != Rcode.NOERROR:
        return Kind.OTHER
    if answers:
        if reader.has_asked_type or qtype == Rdtype.ANY:
            return Kind.POSITIVE
        return Kind.OTHER if reader.soa_ttl is None else Kind.NODATA
    if reader.soa_ttl is not None:
        return Kind.NODATA
    return Kind.REFERRAL if reader.has_ns else Kind.POSITIVE
