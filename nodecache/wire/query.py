"""A client's message: what is asked, and what the asker can take."""

from dataclasses import dataclass
from struct import Struct

from .constants import (
    EDNS_DO,
    HEADER_SIZE,
    OPCODE_MASK,
    OUR_PAYLOAD_SIZE,
    Flag,
    Rcode,
    Rdtype,
)
from .errors import MalformedMessage
from .names import question_name_end, read_name_end

# Plain ints: an enum member costs a look-up and a slow operator each time.
_QR, _RD, _AD, _CD = int(Flag.QR), int(Flag.RD), int(Flag.AD), int(Flag.CD)
_RD_CD = _RD | _CD

_HEADER = Struct("!5H")  # flags and the four counts, from octet 2 on
_TWO = Struct("!2H")
_OPT = Struct("!HHBBHH")  # type, payload size, extended rcode, version, flags, rdata size
_RECORD = Struct("!HHIH")  # type, class, TTL, rdata size
_OPT_SIZE = 11  # with its root owner and no options: RFC 6891 §6.1.2
_BARE_OPT = b"\x00\x00\x29"  # root owner, type 41

KEY_DO = 1
KEY_CD = 2
_KEY_FLAGS = (b"\0", b"\1", b"\2", b"\3")

# What a client may have in the other sections without being refused; CoreDNS's accept policy.
_MAX_ANSWERS, _MAX_AUTHORITIES, _MAX_ADDITIONALS = 1, 1, 2


@dataclass(slots=True)
class Query:
    """One question as a client sent it.

    `key` is what the cache compares: the name in lower case, type, class, and one octet for
    DO and CD. `payload_size` is the client's EDNS limit in octets, 0 where it sent no OPT;
    `options` are the OPT's options as sent. `question_end` is an offset into `packet`.
    """

    packet: bytes
    question_end: int
    key: bytes
    flags: int
    qtype: int
    rdclass: int
    payload_size: int = 0
    has_do: bool = False
    options: bytes = b""
    has_tsig: bool = False
    upstream_options: bytes | None = None
    """Options to send upstream, where a directive wants some; they bring an OPT with them."""

    @property
    def id(self) -> bytes:
        """The message id, two octets."""
        return self.packet[:2]

    @property
    def question(self) -> bytes:
        """Name, type and class with the client's letter case."""
        return self.packet[HEADER_SIZE : self.question_end]

    @property
    def qname(self) -> bytes:
        """The name asked for, in lower case, as on the wire."""
        return self.key[:-5]

    @property
    def is_alike_for_all(self) -> bool:
        """Whether another client's equal octets deserve an equal reply: no options, no TSIG.

        And no upper case: names in random case (0x20) come once and would only fill a table.
        """
        question = self.packet[HEADER_SIZE : self.question_end - 4]
        return not self.options and not self.has_tsig and question == self.key[:-5]


def read_query(packet: bytes) -> Query:
    """Read a client's packet. MalformedMessage says which reply it deserves, or silence."""
    if len(packet) < HEADER_SIZE:
        raise MalformedMessage("message is shorter than a header", None)
    flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet, 2)
    if flags & _QR:
        raise MalformedMessage("message is a response", None)
    if flags & OPCODE_MASK:
        raise MalformedMessage("opcode is not QUERY", Rcode.NOTIMP)
    if questions != 1:
        raise MalformedMessage("message does not hold one question")
    name_end = question_name_end(packet, HEADER_SIZE)
    question_end = name_end + 4
    if question_end > len(packet):
        raise MalformedMessage("question has no type and class")
    qtype, rdclass = _TWO.unpack_from(packet, name_end)
    query = Query(packet, question_end, b"", flags, qtype, rdclass)
    if additionals or answers or authorities:
        if (
            additionals == 1
            and not (answers or authorities)
            and len(packet) == question_end + _OPT_SIZE
            and packet.startswith(_BARE_OPT, question_end)
        ):
            _take_opt(query, question_end)
        else:
            _read_records(query, answers, authorities, additionals)
    cd = KEY_CD if flags & _CD else 0
    query.key = (
        # Only the name: lowering all of it would turn type 65 (HTTPS, 0x41) into 97. Length
        # octets are safe, being at most 63.
        packet[HEADER_SIZE:name_end].lower()
        + packet[name_end:question_end]
        + _KEY_FLAGS[cd | query.has_do]
    )
    return query


def _take_opt(query: Query, start: int) -> None:
    """Take over the OPT record whose owner is at `start`; RFC 6891 §6.1.3."""
    _, payload_size, _, version, flags, rdata_size = _OPT.unpack_from(query.packet, start + 1)
    if version:
        raise MalformedMessage(f"EDNS version is {version}", Rcode.BADVERS)
    query.payload_size = payload_size or 1  # a claim of 0 counts as 512, but it is an OPT
    query.has_do = bool(flags & EDNS_DO)
    if rdata_size:
        options = start + _OPT_SIZE
        query.options = query.packet[options : options + rdata_size]
        _check_options(query.options)


def _check_options(options: bytes) -> None:
    """Options are code, size, data; nothing may stick out: RFC 6891 §6.1.2."""
    offset = 0
    while offset < len(options):
        if offset + 4 > len(options):
            raise MalformedMessage("EDNS option has no size")
        offset += 4 + _TWO.unpack_from(options, offset)[1]
    if offset != len(options):
        raise MalformedMessage("EDNS option runs past its record")


def _read_records(query: Query, answers: int, authorities: int, additionals: int) -> None:
    """Walk the records behind the question for an OPT and a TSIG."""
    if answers > _MAX_ANSWERS or authorities > _MAX_AUTHORITIES or additionals > _MAX_ADDITIONALS:
        raise MalformedMessage("query holds more records than a query may")
    packet = query.packet
    sizes: dict[int, int] = {}
    read_name_end(packet, HEADER_SIZE, sizes)
    offset = query.question_end
    for index in range(answers + authorities + additionals):
        owner = offset
        offset = read_name_end(packet, owner, sizes)
        if offset + 10 > len(packet):
            raise MalformedMessage("record is cut off")
        rdtype, _, _, rdata_size = _RECORD.unpack_from(packet, offset)
        offset += 10 + rdata_size
        if offset > len(packet):
            raise MalformedMessage("record data runs past the end")
        if rdtype == Rdtype.OPT:
            if query.payload_size:
                raise MalformedMessage("message holds two OPT records")
            if packet[owner] or index < answers + authorities:
                raise MalformedMessage("OPT record is not the root's, or not in the last section")
            _take_opt(query, owner)
        elif rdtype == Rdtype.TSIG:
            query.has_tsig = True


_UPSTREAM_HEADER = Struct("!6H")
_UPSTREAM_OPT = b"\x00" + _OPT.pack(Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, 0, 0)
_UPSTREAM_OPT_DO = b"\x00" + _OPT.pack(Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, EDNS_DO, 0)


def upstream_query(query: Query, message_id: int) -> bytes:
    """`query` as we ask it upstream: our id, RD and CD kept, AD set, an OPT where it had one.

    AD says that we understand the bit (RFC 6840 §5.7), so that an answer's own AD can be kept
    for clients who ask for it; CoreDNS's cache does the same. A client's options stay with us:
    the answer goes to others too.
    """
    flags = query.flags & _RD_CD | _AD
    if query.upstream_options is not None:
        options = query.upstream_options
        do = EDNS_DO if query.has_do else 0
        opt = b"\0" + _OPT.pack(Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, do, len(options)) + options
        return _UPSTREAM_HEADER.pack(message_id, flags, 1, 0, 0, 1) + query.question + opt
    if not query.payload_size:
        return _UPSTREAM_HEADER.pack(message_id, flags, 1, 0, 0, 0) + query.question
    opt = _UPSTREAM_OPT_DO if query.has_do else _UPSTREAM_OPT
    return _UPSTREAM_HEADER.pack(message_id, flags, 1, 0, 0, 1) + query.question + opt
