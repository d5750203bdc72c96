"""A client's message: the question, and what the client can receive."""

from struct import Struct
from typing import Final

from mypy_extensions import mypyc_attr

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
from .names import expanded_name, question_name_end
from .options import check_options
from .sections import FIXED_SIZE, read_records
from .tsig import check_tsig

# Plain ints: an enum member costs a look-up and a slow operator each time.
_QR: Final = int(Flag.QR)
_RD: Final = int(Flag.RD)
_AD: Final = int(Flag.AD)
_CD: Final = int(Flag.CD)
_RD_CD: Final = _RD | _CD
_OPT_TYPE: Final = int(Rdtype.OPT)
_TSIG_TYPE: Final = int(Rdtype.TSIG)

_HEADER: Final = Struct("!5H")  # flags and the four counts, from octet 2 on
_TWO: Final = Struct("!2H")
_OPT: Final = Struct("!HHBBHH")  # type, payload size, extended rcode, version, flags, rdata size
_ROOT_OPT: Final = b"\x00\x00\x29"  # root owner, type 41

KEY_CD: Final = 2
KEY_END_SIZE: Final = 5
"""Octets of a key behind the name: type, class, and the one for DO and CD."""
_KEY_FLAGS: Final = (b"\0", b"\1", b"\2", b"\3")

# What a client may have in the other sections without being refused; CoreDNS's accept policy.
_MAX_ANSWERS: Final = 1
_MAX_AUTHORITIES: Final = 1
_MAX_ADDITIONALS: Final = 2


@mypyc_attr(acyclic=True)
class Query:
    """One question as a client sent it.

    `key` is what the cache compares: the name in lower case, type, class, and one octet for
    DO and CD. `payload_size` is the client's EDNS limit in octets, 0 where it sent no OPT;
    `options` are the OPT's options as sent. `question_end` is an offset into `packet`. `is_plain`:
    nothing follows the question but at most one OPT. `upstream_options` are options that a directive
    wants sent upstream, with an OPT.
    """

    __slots__ = (
        "flags",
        "has_do",
        "is_plain",
        "key",
        "options",
        "packet",
        "payload_size",
        "qtype",
        "question_end",
        "rdclass",
        "upstream_options",
    )

    def __init__(
        self,
        packet: bytes,
        question_end: int,
        key: bytes,
        flags: int,
        qtype: int,
        rdclass: int,
        payload_size: int = 0,
        has_do: bool = False,  # noqa: FBT001, FBT002 - made for every query, and keywords cost
    ) -> None:
        self.packet = packet
        self.question_end = question_end
        self.key = key
        self.flags = flags
        self.qtype = qtype
        self.rdclass = rdclass
        self.payload_size = payload_size
        self.has_do = has_do
        self.options = b""
        self.is_plain = True
        self.upstream_options: bytes | None = None

    def copy(self) -> "Query":
        """A copy that may be changed."""
        other = Query(
            self.packet,
            self.question_end,
            self.key,
            self.flags,
            self.qtype,
            self.rdclass,
            self.payload_size,
            self.has_do,
        )
        other.options = self.options
        other.is_plain = self.is_plain
        other.upstream_options = self.upstream_options
        return other

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
        return self.key[:-KEY_END_SIZE]

    @property
    def has_opt_upstream(self) -> bool:
        """Whether it is sent upstream with an OPT."""
        return bool(self.payload_size) or self.upstream_options is not None

    def without_edns(self) -> "Query":
        """A copy without OPT, for an upstream that does not know it: RFC 6891 §7."""
        other = self.copy()
        other.payload_size = 0
        other.upstream_options = None
        return other

    @property
    def is_alike_for_all(self) -> bool:
        """Whether other clients are likely to send the same octets, and would get the same reply.

        Not with options or signatures, which are one client's own, nor with names in random case (0x20)
        or octets behind the message, which come once and would only fill the reply table.
        """
        return (
            self.is_plain
            and not self.options
            and self.packet[HEADER_SIZE : self.question_end - 4] == self.key[:-KEY_END_SIZE]
        )


def read_query(packet: bytes) -> Query:
    """Read a client's packet. MalformedMessage has the rcode to reply with, or None for no reply."""
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
    if len(packet) != question_end or additionals or answers or authorities:
        is_one = additionals == 1 and not (answers or authorities)
        if is_one and packet.startswith(_ROOT_OPT, question_end):
            end = _take_opt(query, question_end + 1)
            query.is_plain = end == len(packet)
        else:
            query.is_plain = False
            _read_sections(query, answers, authorities, additionals)
    cd = KEY_CD if flags & _CD else 0
    query.key = (
        # Only the name: lowering all of it would turn type 65 (HTTPS, 0x41) into 97. Length
        # octets are safe, being at most 63.
        packet[HEADER_SIZE:name_end].lower()
        + packet[name_end:question_end]
        + _KEY_FLAGS[cd | query.has_do]
    )
    return query


def _take_opt(query: Query, start: int) -> int:
    """Read the OPT record whose type is at `start` into `query`; returns its end. RFC 6891 §6.1.3."""
    packet = query.packet
    options = start + FIXED_SIZE
    if options > len(packet):
        raise MalformedMessage("record is cut off")
    _, payload_size, _, version, flags, options_size = _OPT.unpack_from(packet, start)
    end: int = options + options_size
    if end > len(packet):
        raise MalformedMessage("record data runs past the end")
    query.has_do = flags & EDNS_DO != 0
    if version:
        rule = f"EDNS version is {version}"
        raise MalformedMessage(rule, Rcode.BADVERS, has_do=query.has_do)
    query.payload_size = payload_size or 1  # a claim of 0 counts as 512, but it is an OPT
    if options_size:
        query.options = packet[options:end]
        check_options(query.options)
    return end


def _read_sections(query: Query, answers: int, authorities: int, additionals: int) -> None:
    """Read an OPT among the records after the question; other records are ignored."""
    if answers > _MAX_ANSWERS or authorities > _MAX_AUTHORITIES or additionals > _MAX_ADDITIONALS:
        raise MalformedMessage("query holds more records than a query may")
    packet = query.packet
    places: dict[int, int] = {}
    before, end = read_records(packet, query.question_end, answers + authorities, places)
    records, _ = read_records(packet, end, additionals, places)
    opts = [record for record in before + records if record[0] == _OPT_TYPE]
    signatures = [record for record in before + records if record[0] == _TSIG_TYPE]
    if signatures and (len(signatures) > 1 or signatures[0] not in records[-1:]):
        raise MalformedMessage("TSIG record is not the last one")  # RFC 8945 §5.1
    for _, rdclass, _, _, fixed, end in signatures:
        check_tsig(packet, rdclass, fixed + FIXED_SIZE, end)
    if len(opts) > 1:
        raise MalformedMessage("message holds two OPT records")  # RFC 6891 §6.1.1
    for opt in opts:
        _, _, _, owner, fixed, _ = opt
        if opt in before or expanded_name(packet, owner) != b"\0":
            raise MalformedMessage("OPT record is not the root's, or not in the last section")
        _take_opt(query, fixed)


_LENGTH_AND_ID: Final = Struct("!2H")
_LENGTH_SIZE: Final = 2
_FLAGS_AND_COUNTS: Final = Struct("!5H")


def _head(flags: int, *, has_opt: bool) -> bytes:
    """The octets between id and question of a query of ours."""
    return _FLAGS_AND_COUNTS.pack(flags, 1, 0, 0, int(has_opt))


def _opt(options: bytes, *, has_do: bool) -> bytes:
    do = EDNS_DO if has_do else 0
    return b"\0" + _OPT.pack(Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, do, len(options)) + options


# By the flags that are kept of the client's.
_HEADS: Final = {
    flags: (_head(flags | _AD, has_opt=False), _head(flags | _AD, has_opt=True))
    for flags in (0, _RD, _CD, _RD_CD)
}
_UPSTREAM_OPT: Final = _opt(b"", has_do=False)
_UPSTREAM_OPT_DO: Final = _opt(b"", has_do=True)


def framed_upstream_query(query: Query, question: bytes, message_id: int) -> bytes:
    """`query` as sent upstream, with its length prefix: our id, RD and CD as the client's, AD set.

    With an OPT if the query had one. AD says that we understand the bit (RFC
    6840 §5.7), so that the answer's AD can be cached for clients that ask for it, as CoreDNS's cache
    does. A client's options are not sent, since the answer goes to other clients too.
    """
    bare, with_opt = _HEADS[query.flags & _RD_CD]
    if query.upstream_options is not None:
        opt = _opt(query.upstream_options, has_do=query.has_do)
    elif query.payload_size:
        opt = _UPSTREAM_OPT_DO if query.has_do else _UPSTREAM_OPT
    else:
        return _LENGTH_AND_ID.pack(HEADER_SIZE + len(question), message_id) + bare + question
    size = HEADER_SIZE + len(question) + len(opt)
    return _LENGTH_AND_ID.pack(size, message_id) + with_opt + question + opt


def upstream_query(query: Query, message_id: int) -> bytes:
    """The same without length prefix, for a datagram."""
    return framed_upstream_query(query, query.question, message_id)[_LENGTH_SIZE:]
