"""Reading an upstream's message.

What may be kept follows RFC 2308 (negative answers need their SOA), and CoreDNS's
plugin/pkg/response and plugin/cache for the rest.
"""

from struct import Struct
from typing import Final

from .addresses import read_addresses
from .aliases import is_answered
from .answer import FORWARD, Answer, Kind, is_later
from .compress import rewritten
from .constants import (
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    OPCODE_MASK,
    RCODE_MASK,
    Flag,
    Rcode,
    Rdtype,
)
from .errors import MalformedMessage
from .names import has_stray_pointer, no_places, question_name_end
from .options import ExtendedErrors, extended_errors
from .rdata import WRITTEN_OUT, has_pointer
from .sections import FIXED_SIZE, TTL_PLACE, Record, read_additionals, read_records

# Plain ints: an enum member costs a look-up and a slow operator each time.
_QR: Final = int(Flag.QR)
_TC: Final = int(Flag.TC)
_QR_AND_OPCODE: Final = _QR | OPCODE_MASK
_NOT_PLAIN: Final = _TC | RCODE_MASK
_OPT: Final = int(Rdtype.OPT)
_SOA: Final = int(Rdtype.SOA)
_NS: Final = int(Rdtype.NS)
_RRSIG: Final = int(Rdtype.RRSIG)
_ON_THE_WAY: Final = frozenset({int(Rdtype.CNAME), int(Rdtype.DNAME), _RRSIG})
_PSEUDO: Final = frozenset({_OPT, int(Rdtype.TSIG)})
_TRANSFERS: Final = frozenset({int(Rdtype.AXFR), int(Rdtype.IXFR)})
_NOERROR: Final = int(Rcode.NOERROR)
_NXDOMAIN: Final = int(Rcode.NXDOMAIN)
_SERVER_FAILURES: Final = frozenset({int(Rcode.SERVFAIL), int(Rcode.NOTIMP)})

_HEADER: Final = Struct("!5H")  # flags and the four counts, from octet 2 on
_Head = tuple[int, int, int, int, int]  # said, they are plain integers to the compiler
_COUNTS: Final = Struct("!4H")
_ADDITIONALS_PLACE: Final = 10
_TWO: Final = Struct("!2H")
_U16: Final = Struct("!H")
_U32: Final = Struct("!I")
_SIGNATURE_TIMES: Final = Struct("!2I")  # expiration, inception: RFC 4034 §3.1
_SIGNATURE_TIMES_PLACE: Final = 8  # in the data


def read_answer(packet: bytes, written_by: str = FORWARD, question_end: int = 0) -> Answer:
    """Read a response; MalformedMessage where any octet of it breaks a rule.

    Of a truncated one only the answer section's records are taken that are whole: it may be cut
    anywhere. `question_end` is known, and not 0, where the question was compared with
    one that is sound.
    """
    if len(packet) < HEADER_SIZE:
        raise MalformedMessage("message is shorter than a header")
    head: _Head = _HEADER.unpack_from(packet, 2)
    flags, questions, answers, authorities, additionals = head
    if flags & _QR_AND_OPCODE != _QR:
        raise MalformedMessage("message is not a response to a query")
    if questions != 1:
        raise MalformedMessage("response does not hold one question")
    name_end = question_end - 4 if question_end else question_name_end(packet, HEADER_SIZE)
    if name_end + 4 > len(packet):
        raise MalformedMessage("question has no type and class")
    answer = None
    if answers and not (authorities or flags & _NOT_PLAIN):
        answer = read_addresses(packet, name_end, answers, additionals)
    if answer is None:
        answer = _truncated(packet, name_end) if flags & _TC else _whole(packet, name_end)
    if written_by != FORWARD:
        answer.written_by = written_by
    return answer


def read_cut_answer(packet: bytes, question_end: int) -> Answer:
    """What is left of a response that cannot be read, as if it said TC: perhaps it was cut off.

    Its question was compared; MalformedMessage where it is no response to one.
    """
    flags, questions, *_ = _HEADER.unpack_from(packet, 2)
    if flags & _QR_AND_OPCODE != _QR or questions != 1 or len(packet) < question_end:
        raise MalformedMessage("message is not a response to a query")
    return _truncated(packet, question_end - 4)


def _truncated(packet: bytes, name_end: int) -> Answer:
    """Header, question, and the answer section's records before the cut."""
    _, _, count, _, _ = _HEADER.unpack_from(packet, 2)
    places = no_places(name_end)
    records: list[Record] = []
    end = name_end + 4
    try:
        while len(records) < count:
            (record,), end = read_records(packet, end, 1, places)
            records.append(record)
    except MalformedMessage:
        pass
    if (
        any(record[0] in _PSEUDO for record in records)
        or _has_forbidden_pointer(packet, records)
        or has_stray_pointer(places)
    ):
        records, end = [], name_end + 4
    flags = bytes((packet[2] | _TC >> 8, packet[3]))
    counts = _COUNTS.pack(1, len(records), 0, 0)
    return Answer(
        packet[:2] + flags + counts + packet[HEADER_SIZE:end],
        name_end + 4,
        packet[3] & RCODE_MASK,
        Kind.OTHER,
        tuple([record[4] + TTL_PLACE for record in records]),
        _lowest_ttl(records),
    )


def _whole(packet: bytes, name_end: int) -> Answer:
    """Read a message of any kind, every record of it."""
    sections = _Sections(packet, name_end)
    if sections.missing:
        packet = _counted_down(packet, sections.missing)
    rcode = packet[3] & RCODE_MASK
    ede: ExtendedErrors = ()
    wire, records, ttl_offsets = packet[: sections.end], sections.records, None
    if sections.pseudo:
        extended_rcode, ede = _read_pseudo(packet, sections)
        rcode |= extended_rcode << 4
        wire, ttl_offsets = _without_pseudo(packet, sections, records)
    is_written_out = sections.has_stray_pointer or _has_forbidden_pointer(packet, records)
    if is_written_out:
        wire, ttl_offsets = _written_out(packet)
    soa_ttl = _soa_ttl(packet, sections.authorities)
    answer = Answer(
        wire,
        name_end + 4,
        rcode,
        _kind(rcode, packet, sections, has_soa=soa_ttl is not None),
        ttl_offsets or tuple([record[4] + TTL_PLACE for record in records]),
        _lowest_ttl(records),
        soa_ttl,
        ede=ede,
        is_compressed=is_written_out or len(records) <= 1,
    )
    for record in records:
        if record[0] == _RRSIG:
            _note_signature(answer, packet, record)
    return answer


def _counted_down(packet: bytes, less: int) -> bytes:
    """`packet`, its header telling of so many additional records less."""
    additionals = _U16.unpack_from(packet, _ADDITIONALS_PLACE)[0] - less
    return packet[:_ADDITIONALS_PLACE] + _U16.pack(additionals) + packet[HEADER_SIZE:]


class _Sections:
    """The records of a response, read and checked; `pseudo` are those that are none.

    `has_strays`: some of these are not in the additional section. `has_stray_pointer`: as in `names`.
    """

    __slots__ = (
        "answers",
        "authorities",
        "end",
        "has_stray_pointer",
        "has_strays",
        "missing",
        "pseudo",
        "qtype",
        "rdclass",
        "records",
    )

    def __init__(self, packet: bytes, name_end: int) -> None:
        question: tuple[int, int] = _TWO.unpack_from(packet, name_end)
        self.qtype, self.rdclass = question
        head: _Head = _HEADER.unpack_from(packet, 2)
        _, _, answers, authorities, additionals = head
        places = no_places(name_end)
        self.answers, end = read_records(packet, name_end + 4, answers, places)
        self.authorities, end = read_records(packet, end, authorities, places)
        self.records = self.answers + self.authorities
        self.missing = 0
        last_section = end
        if additionals:
            last, end = read_additionals(packet, end, additionals, places)
            self.records += last
            self.missing = additionals - len(last)
        self.end = end
        self.has_stray_pointer = has_stray_pointer(places)
        self.pseudo = [record for record in self.records if record[0] in _PSEUDO]
        self.has_strays = False
        if self.pseudo:
            self.records = _real(self.records)
            if self.pseudo[0][3] < last_section:
                self.has_strays = True
                self.answers = _real(self.answers)
                self.authorities = _real(self.authorities)


def _real(records: list[Record]) -> list[Record]:
    """`records` less those that are none: OPT and TSIG."""
    return [record for record in records if record[0] not in _PSEUDO]


def _has_forbidden_pointer(packet: bytes, records: list[Record]) -> bool:
    """Whether a name is compressed that RFC 3597 §4 wants written out."""
    for rdtype, _, _, _, fixed, end in records:
        if rdtype in WRITTEN_OUT and has_pointer(packet, rdtype, fixed + FIXED_SIZE, end):
            return True
    return False


def _written_out(packet: bytes) -> tuple[bytes, tuple[int, ...]]:
    """`packet` less OPT and TSIG, with those names written out; and the offsets of its TTLs."""
    wire, ttl_offsets = rewritten(packet, without=_PSEUDO)
    if len(wire) > MAX_MESSAGE_SIZE:
        raise MalformedMessage("message is too long with its names written out")
    return wire, ttl_offsets


def _lowest_ttl(records: list[Record]) -> int | None:
    """The lowest TTL, in seconds, where there is any record."""
    lowest: int | None = None
    for _, _, ttl, _, _, _ in records:
        if lowest is None or ttl < lowest:
            lowest = ttl
    return lowest


def _soa_ttl(packet: bytes, authorities: list[Record]) -> int | None:
    """The lower of the SOA's TTL and its last field, in seconds: RFC 2308 §5."""
    for rdtype, _, ttl, _, _, end in authorities:
        if rdtype == _SOA:
            minimum: int = _U32.unpack_from(packet, end - _U32.size)[0]
            return min(ttl, minimum)
    return None


def _read_pseudo(packet: bytes, sections: _Sections) -> tuple[int, ExtendedErrors]:
    """The OPT's share of the rcode, and the errors it tells.

    A second OPT, or one with an owner or in another section, is wrong and spoils nothing: the records
    are what counts.
    """
    opts = [record for record in sections.pseudo if record[0] == _OPT]
    if not opts:
        return 0, ()
    _, _, _, _, fixed, end = opts[0]
    return packet[fixed + TTL_PLACE], extended_errors(packet, fixed + FIXED_SIZE, end)


def _without_pseudo(
    packet: bytes, sections: _Sections, records: list[Record]
) -> tuple[bytes, tuple[int, ...] | None]:
    """`packet` less OPT and TSIG, which are hop by hop (RFC 6891 §6.2.1); its TTLs' places if moved.

    They stand last in all but strange messages; else what is behind them has to move.
    """
    start = sections.pseudo[0][3]
    if sections.has_strays or (records and records[-1][5] > start):
        return rewritten(packet, without=_PSEUDO)
    return _counted_down(packet[:start], len(sections.pseudo)), None


def _kind(rcode: int, packet: bytes, sections: _Sections, *, has_soa: bool) -> Kind:
    """Sort an answer as CoreDNS does (1.14.7), in its order."""
    if rcode == _NOERROR:
        if sections.qtype in _TRANSFERS:
            return Kind.OTHER
        return _kind_of_noerror(packet, sections, has_soa=has_soa)
    if rcode in _SERVER_FAILURES:
        return Kind.SERVFAIL
    is_denied = rcode == _NXDOMAIN and has_soa and _are_aliases(sections.answers)
    return Kind.NXDOMAIN if is_denied else Kind.OTHER


def _are_aliases(answers: list[Record]) -> bool:
    """Whether there is nothing but the way to the name that is denied: RFC 2308 §2.1.

    CoreDNS keeps them up to 1.14.4, as other caches do; 1.14.7 does not.
    """
    return all(record[0] in _ON_THE_WAY for record in answers)


def _kind_of_noerror(packet: bytes, sections: _Sections, *, has_soa: bool) -> Kind:
    answers = sections.answers
    if answers and is_answered(packet, sections.qtype, sections.rdclass, answers):
        return Kind.POSITIVE
    if has_soa:
        return Kind.NODATA
    if answers:
        return Kind.OTHER
    has_ns = any(record[0] == _NS for record in sections.authorities)
    return Kind.REFERRAL if has_ns else Kind.POSITIVE


def _note_signature(answer: Answer, packet: bytes, record: Record) -> None:
    """Narrow the time in which all of the answer's signatures hold."""
    place = record[4] + FIXED_SIZE + _SIGNATURE_TIMES_PLACE
    until, since = _SIGNATURE_TIMES.unpack_from(packet, place)
    if answer.signed_until is None or is_later(answer.signed_until, until):
        answer.signed_until = until
    if answer.signed_from is None or is_later(since, answer.signed_from):
        answer.signed_from = since
