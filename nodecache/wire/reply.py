"""Our messages to clients.

The body of a reply is an upstream's message with the client's own question laid over it: the
same octets but for letter case, so every pointer into it stays true and owner names that point
there take the client's case (draft-vixie-dnsext-dns0x20).
"""

from struct import Struct

from .compress import compressed, cut_to
from .constants import (
    EDNS_DO,
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    MIN_PAYLOAD_SIZE,
    OPTION_EDE,
    OUR_PAYLOAD_SIZE,
    RCODE_MASK,
    Flag,
    Rdtype,
)
from .errors import MalformedMessage
from .names import question_name_end
from .query import Query

# Plain ints: an enum member costs a look-up and a slow operator each time.
_QR = int(Flag.QR)
_OWN = int(Flag.RD | Flag.CD)
_NOT_OWN = 0xFFFF & ~_OWN

_U16 = Struct("!H")
_U32 = Struct("!I")
_HEADER = Struct("!5H")
_OPT = Struct("!BHHBBHH")
_PUT_FLAGS = Struct("!2sH").pack_into
_PUT_TTL = _U32.pack_into
_OPT_NO_DO = _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, 0, 0)
_OPT_DO = _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, EDNS_DO, 0)

ExtendedErrors = tuple[tuple[int, bytes], ...]


def reply_limit(query: Query, *, is_stream: bool) -> int:
    """The octets that `query`'s sender can take."""
    return MAX_MESSAGE_SIZE if is_stream else max(MIN_PAYLOAD_SIZE, query.payload_size)


def reply_to(
    query: Query,
    wire: bytes,
    flags: int,
    ttl_offsets: tuple[int, ...],
    ttl: int | None,
    limit: int,
    ede: ExtendedErrors = (),
    extended_rcode: int = 0,
) -> bytes | bytearray:
    """`wire` as `query`'s reply, every TTL set to `ttl` seconds, at most `limit` octets.

    `flags` is the header's second word; RD and CD are taken from the query instead. `ttl` None
    leaves the TTLs as they are. `extended_rcode` are the rcode's upper eight bits, told only to
    clients with an OPT.
    """
    reply = bytearray(wire)
    _PUT_FLAGS(reply, 0, query.packet[:2], flags & _NOT_OWN | query.flags & _OWN)
    reply[HEADER_SIZE : query.question_end] = query.packet[HEADER_SIZE : query.question_end]
    if ttl is not None:
        for offset in ttl_offsets:
            _PUT_TTL(reply, offset, ttl)
    opt = b"" if not query.payload_size else opt_record(query, ede, extended_rcode)
    if len(reply) + len(opt) > limit:
        reply = cut_to(compressed(bytes(reply)), limit - len(opt))
    if opt:
        _U16.pack_into(reply, 10, (reply[10] << 8 | reply[11]) + 1)
        reply += opt
    return reply


def opt_record(query: Query, ede: ExtendedErrors = (), extended_rcode: int = 0) -> bytes:
    """Our OPT for a client that sent one: our payload size, its DO, no options but errors."""
    if not ede and not extended_rcode:
        return _OPT_DO if query.has_do else _OPT_NO_DO
    options = b"".join(
        _U16.pack(OPTION_EDE) + _U16.pack(len(text) + 2) + _U16.pack(code) + text
        for code, text in ede
    )
    do = EDNS_DO if query.has_do else 0
    return _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, extended_rcode, 0, do, len(options)) + options


def empty_reply(query: Query, rcode: int, ede: ExtendedErrors = (), flags: int = 0) -> bytes:
    """A reply without records: header, question, and an OPT where the client sent one.

    As CoreDNS has it for what the server itself says: RA and AA 0 unless in `flags`.
    """
    own = query.flags & _OWN
    has_opt = bool(query.payload_size)
    header = _HEADER.pack(_QR | flags | own | rcode & 0xF, 1, 0, 0, int(has_opt))
    reply = query.packet[:2] + header + query.question
    return reply + opt_record(query, ede, rcode >> 4) if has_opt else reply


def error_reply(packet: bytes, rcode: int) -> bytes:
    """A reply to a message that was refused: its id, opcode and RD echoed, and its question.

    Without the question where that is what could not be read. BADVERS lives in the OPT alone
    (RFC 6891 §6.1.3), so there the reply has one.
    """
    flags = _QR | (packet[2] & 0x79) << 8 | rcode & 0xF
    question = _whole_question(packet)
    opt = b""
    if rcode > RCODE_MASK:
        opt = _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, rcode >> 4, 0, 0, 0)
    counts = _HEADER.pack(flags, int(bool(question)), 0, 0, int(bool(opt)))
    return packet[:2] + counts + question + opt


def _whole_question(packet: bytes) -> bytes:
    """The one question of `packet`, or nothing where there is not one, or it is broken."""
    if packet[4:6] != b"\0\1":
        return b""
    try:
        end = question_name_end(packet, HEADER_SIZE) + 4
    except MalformedMessage:
        return b""
    return packet[HEADER_SIZE:end] if end <= len(packet) else b""
