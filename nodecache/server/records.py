"""Records taken out of an answer, and answers made of records: for directives that change them.

Off the hot path: everything is expanded, changed, and written again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from nodecache.wire import (
    MAX_MESSAGE_SIZE,
    Answer,
    ExtendedErrors,
    Flag,
    Kind,
    Query,
    compressed,
    expanded_name,
    read_answer,
)
from nodecache.wire.rdata import name_offsets

_HEADER = Struct("!6H")
_COUNTS = Struct("!3H")
_FIXED = Struct("!HHIH")  # type, class, TTL, rdata size
_QUESTION_POINTER = b"\xc0\x0c"  # RFC 1035 §4.1.4: the name at offset 12
_MAX_HEADER_RCODE = 15  # RFC 6891 §6.1.3: more lives in the OPT
_AUTHORITATIVE = int(Flag.AA)
_MIN_RECORD_SIZE = 12  # a pointer, and what every record has
# Not more of them fit a message: the names of one address in a hosts file may be far more.
_MAX_RECORDS = MAX_MESSAGE_SIZE // _MIN_RECORD_SIZE


@dataclass(slots=True)
class Record:
    """One record, names whole and in the case they were sent in. `ttl` in seconds."""

    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes


@dataclass(slots=True)
class Sections:
    """The records of a message."""

    answer: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)

    def __iter__(self) -> Iterator[list[Record]]:
        return iter((self.answer, self.authority, self.additional))


def sections_of(answer: Answer) -> Sections:
    """The records of `answer`, which was read before, so that nothing here can run past its end."""
    wire = answer.wire
    sections = Sections()
    offset = answer.question_end
    for section, count in zip(sections, _COUNTS.unpack_from(wire, 6), strict=True):
        for _ in range(count):
            record, offset = _record_at(wire, offset)
            section.append(record)
    return sections


def _record_at(wire: bytes, start: int) -> tuple[Record, int]:
    """The record at `start`, and where the next one begins."""
    fixed = name_end(wire, start)
    rdtype, rdclass, ttl, rdata_size = _FIXED.unpack_from(wire, fixed)
    rdata = fixed + _FIXED.size
    end = rdata + rdata_size
    data = _expanded_rdata(wire, rdtype, rdata, end)
    return Record(expanded_name(wire, start), rdtype, rdclass, ttl, data), end


def _expanded_rdata(wire: bytes, rdtype: int, start: int, end: int) -> bytes:
    offset, names = name_offsets(wire, rdtype, start, end)
    data = wire[start:offset]
    for _ in range(names):
        data += expanded_name(wire, offset)
        offset = name_end(wire, offset)
    return data + wire[offset:end]


def name_end(wire: bytes, offset: int) -> int:
    """Where the name at `offset` ends."""
    while size := wire[offset]:
        if size > 0x3F:
            return offset + 2
        offset += size + 1
    return offset + 1


def rebuilt(
    answer: Answer, question: bytes, sections: Sections, flags: int | None = None
) -> Answer:
    """`answer` with other records, and perhaps another question or flags; all else stays."""
    return message(
        question,
        answer.flags if flags is None else flags,
        sections,
        answer.rcode,
        written_by=answer.written_by,
        ede=answer.ede,
    )


def reply_of(
    query: Query,
    sections: Sections | None = None,
    rcode: int = 0,
    *,
    written_by: str,
    flags: int = _AUTHORITATIVE,
    ede: ExtendedErrors = (),
) -> Answer:
    """An answer to `query` that a directive makes up; authoritative unless `flags` say otherwise."""
    own = query.flags & (Flag.RD | Flag.CD)
    return message(
        query.question,
        Flag.QR | own | flags,
        sections or Sections(),
        rcode,
        written_by=written_by,
        ede=ede,
    )


def message(
    question: bytes,
    flags: int,
    sections: Sections,
    rcode: int,
    *,
    written_by: str,
    ede: ExtendedErrors = (),
) -> Answer:
    """Write a message and read it back, cut and with TC where the records are more than a message can hold.

    MalformedMessage where a record's data is not its type's.
    """
    sections = Sections(*(section[:_MAX_RECORDS] for section in sections))
    counts = (len(section) for section in sections)
    header = _HEADER.pack(0, flags & ~0xF | rcode & 0xF, 1, *counts)
    qname = question[:-4]
    wire = b"".join(
        [header, question, *(_written(record, qname) for section in sections for record in section)]
    )
    answer = read_answer(wire, written_by)
    if len(answer.ttl_offsets) > 1:
        answer = read_answer(compressed(wire), written_by)
    answer.ede = ede
    if rcode > _MAX_HEADER_RCODE:
        answer.rcode = rcode
        answer.kind = Kind.OTHER
    return answer


def _written(record: Record, qname: bytes) -> bytes:
    owner = _QUESTION_POINTER if record.owner == qname != b"\0" else record.owner
    fixed = _FIXED.pack(record.rdtype, record.rdclass, record.ttl, len(record.rdata))
    return owner + fixed + record.rdata


def question_of(name: bytes, rdtype: int, rdclass: int) -> bytes:
    """A question section with one entry."""
    return name + rdtype.to_bytes(2, "big") + rdclass.to_bytes(2, "big")
