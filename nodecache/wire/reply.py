"""Our messages to clients.

The body of a reply is an upstream's message with the client's own question laid over it: the
same octets but for letter case, so every pointer into it stays true and owner names that point
there take the client's case (draft-vixie-dnsext-dns0x20).
"""

from struct import Struct
from typing import Final, Protocol

from .compress import cut_to, rewritten
from .constants import (
    EDNS_DO,
    HEADER_SIZE,
    MAX_DATAGRAM_SIZE,
    MIN_PAYLOAD_SIZE,
    OPCODE_MASK,
    OUR_PAYLOAD_SIZE,
    RCODE_MASK,
    Flag,
    Rcode,
    Rdtype,
)
from .errors import MalformedMessage
from .names import question_name_end
from .options import ExtendedErrors, errors_as_options
from .query import Query

# Plain ints: an enum member costs a look-up and a slow operator each time.
_QR: Final = int(Flag.QR)
_TC: Final = int(Flag.TC)
_SERVFAIL: Final = int(Rcode.SERVFAIL)
_OWN: Final = int(Flag.RD | Flag.CD)
_RESERVED: Final = 0x0040  # "must be zero in all queries and responses": RFC 1035 §4.1.1
_KEPT: Final = 0xFFFF & ~(_OWN | _RESERVED)
# What an error reply has of the refused message's header: opcode, RD; and CD (RFC 4035 §3.2.2).
_OPCODE_RD_CD: Final = 0x7910

_ONLY_QUESTION: Final = b"\0\1\0\0\0\0"  # the first three counts
_ROOT_OPT: Final = b"\x00\x00\x29"  # root owner, type 41
_DO_PLACE: Final = 7  # of the octet that begins with DO, in an OPT: RFC 6891 §6.1.3
_DO: Final = b"\x80"

_HEADER: Final = Struct("!5H")
_RECORD_COUNTS: Final = Struct("!3H")
_RECORD_COUNTS_PLACE: Final = 6
_OPT: Final = Struct("!BHHBBHH")
_OPT_NO_DO: Final = _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, 0, 0)
_OPT_DO: Final = _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, 0, 0, EDNS_DO, 0)


class Body(Protocol):
    """What replies are made of: an `Answer`, or an entry of the cache."""

    wire: bytes
    ttl_offsets: tuple[int, ...]
    is_compressed: bool


def reply_limit(payload_size: int) -> int:
    """The octets that a client can take by UDP who claims so many, or none (0)."""
    return min(max(MIN_PAYLOAD_SIZE, payload_size), MAX_DATAGRAM_SIZE)


def reply_to(
    query: Query,
    body: Body,
    flags: int,
    ttl: int | None,
    limit: int,
    ede: ExtendedErrors = (),
    extended_rcode: int = 0,
) -> bytes:
    """`body` as `query`'s reply, every TTL set to `ttl` seconds, at most `limit` octets.

    `flags` is the header's second word; RD and CD are taken from the query instead. `ttl` None
    leaves the TTLs as they are. `extended_rcode` are the rcode's upper eight bits, which only
    clients with an OPT can be told: the others hear SERVFAIL.
    """
    opt = opt_record(query, ede, extended_rcode) if query.payload_size else b""
    wire, ttl_offsets = body.wire, body.ttl_offsets
    if len(wire) + len(opt) > limit:
        _compress(body)
        if opt:
            opt = _fitting_opt(query, ede, extended_rcode, limit - len(body.wire))
        wire, ttl_offsets = cut_to(body.wire, body.ttl_offsets, limit - len(opt))
        flags |= wire[2] << 8 & _TC
    if extended_rcode and not opt:
        flags = flags & ~RCODE_MASK | _SERVFAIL
    packet, at = query.packet, query.question_end
    flags = flags & _KEPT | query.flags & _OWN
    parts = [
        packet[:2],
        flags.to_bytes(2, "big"),
        wire[4:HEADER_SIZE] if not opt else _counts_with_one_more(wire),
        packet[HEADER_SIZE:at],
    ]
    if ttl is not None:
        octets = ttl.to_bytes(4, "big")
        for offset in ttl_offsets:
            parts.append(wire[at:offset])
            parts.append(octets)
            at = offset + 4
    parts.append(wire[at:])
    parts.append(opt)
    return b"".join(parts)


def records_of_body(query: Query, reply: bytes) -> int:
    """How many of its body's records a reply to `query` has, the first ones: what did not fit is missing."""
    counts: tuple[int, int, int] = _RECORD_COUNTS.unpack_from(reply, _RECORD_COUNTS_PLACE)
    has_opt = query.payload_size > 0
    return counts[0] + counts[1] + counts[2] - has_opt


def _counts_with_one_more(wire: bytes) -> bytes:
    """The header's counts, with an additional record more than `wire` has."""
    additionals = (wire[10] << 8 | wire[11]) + 1
    return wire[4:10] + additionals.to_bytes(2, "big")


def _compress(body: Body) -> None:
    """Compress a body's names, for good: the next reply made of it will not have to."""
    if not body.is_compressed:
        body.wire, body.ttl_offsets = rewritten(body.wire)
        body.is_compressed = True


def _fitting_opt(query: Query, ede: ExtendedErrors, extended_rcode: int, room: int) -> bytes:
    """Our OPT with as much of the errors as fits `room` octets: no record goes for their sake.

    They are extra information, and not to cause a truncation: RFC 8914 §3.
    """
    bare = _without_texts(ede)
    for told in (ede, *(bare[:count] for count in range(len(bare), 0, -1))):
        opt = opt_record(query, told, extended_rcode)
        if len(opt) <= room:
            return opt
    return opt_record(query, (), extended_rcode)


def _without_texts(errors: ExtendedErrors) -> ExtendedErrors:
    """Texts are the first to go where room is short: RFC 8914 §2 wants no truncation for them."""
    return tuple([(code, b"") for code, _ in errors])


def opt_record(query: Query, ede: ExtendedErrors = (), extended_rcode: int = 0) -> bytes:
    """Our OPT for a client that sent one: our payload size, its DO, no options but errors."""
    if not ede and not extended_rcode:
        return _OPT_DO if query.has_do else _OPT_NO_DO
    options = errors_as_options(ede)
    do = EDNS_DO if query.has_do else 0
    return _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, extended_rcode, 0, do, len(options)) + options


def empty_reply(query: Query, rcode: int, ede: ExtendedErrors = (), flags: int = 0) -> bytes:
    """A reply without records: header, question, and an OPT where the client sent one.

    As CoreDNS has it for what the server itself says: RA and AA 0 unless in `flags`.
    """
    opt = b""
    if query.payload_size:
        opt = opt_record(query, ede, rcode >> 4)
        if query.question_end + len(opt) > max(MIN_PAYLOAD_SIZE, query.payload_size):
            opt = opt_record(query, _without_texts(ede), rcode >> 4)
    elif rcode > RCODE_MASK:
        rcode = _SERVFAIL
    flags |= _QR | query.flags & _OWN | rcode & RCODE_MASK
    packet = query.packet
    counts = _HEADER.pack(flags, 1, 0, 0, int(bool(opt)))
    return packet[:2] + counts + packet[HEADER_SIZE : query.question_end] + opt


def error_reply(packet: bytes, rcode: int, *, has_do: bool = False) -> bytes:
    """A reply to a message that was refused: id, opcode, RD and CD echoed, and the question.

    Without the question where that is what could not be read. With an OPT where one was sent, as
    far as can be seen (RFC 6891 §6.1.1), or the sender would take it that EDNS is unknown here (§7);
    BADVERS lives in the OPT alone (§6.1.3). It has the DO that was sent (RFC 3225 §3).
    """
    flags = _QR | (packet[2] << 8 | packet[3]) & _OPCODE_RD_CD | rcode & RCODE_MASK
    question = _whole_question(packet)
    sent = _opt_behind_question(packet)
    opt = b""
    if sent or rcode > RCODE_MASK:
        do = EDNS_DO if has_do or sent[_DO_PLACE : _DO_PLACE + 1] >= _DO else 0
        opt = _OPT.pack(0, Rdtype.OPT, OUR_PAYLOAD_SIZE, rcode >> 4, 0, do, 0)
    counts = _HEADER.pack(flags, int(bool(question)), 0, 0, int(bool(opt)))
    return packet[:2] + counts + question + opt


def _opt_behind_question(packet: bytes) -> bytes:
    """The OPT that a refused message has where nearly all have it, whole or not; else nothing."""
    if not packet.startswith(_ONLY_QUESTION, 4) or packet[10:12] == b"\0\0":
        return b""
    try:
        end = question_name_end(packet, HEADER_SIZE) + 4
    except MalformedMessage:
        return b""
    return packet[end:] if packet.startswith(_ROOT_OPT, end) else b""


def _whole_question(packet: bytes) -> bytes:
    """The one question of `packet`; nothing where it is broken, or the opcode may mean others."""
    if packet[4:6] != b"\0\1" or packet[2] & OPCODE_MASK >> 8:
        return b""
    try:
        end = question_name_end(packet, HEADER_SIZE) + 4
    except MalformedMessage:
        return b""
    return packet[HEADER_SIZE:end] if end <= len(packet) else b""
