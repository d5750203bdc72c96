"""Families of queries: alike in all but the id and the name's first label.

Reading one of them tells of all: whose zone it is, what goes upstream, what a reply needs. The
others are known by one look-up, and only their first label is looked at.
"""

from itertools import pairwise
from struct import Struct
from typing import TYPE_CHECKING

from nodecache.cache import Entry, is_denial
from nodecache.wire import (
    ADDRESS_SHAPES,
    HEADER_SIZE,
    KEY_END_SIZE,
    MAX_LABEL_SIZE,
    MAX_MESSAGE_SIZE,
    MAX_NAME_SIZE,
    OPCODE_MASK,
    POINTER_BITS,
    POINTER_MASK,
    RCODE_MASK,
    SURELY_FITS,
    Answer,
    Flag,
    Kind,
    Query,
    framed_upstream_query,
    opt_record,
    reply_to,
)

from .asker import shown_flags

if TYPE_CHECKING:
    from .plain import PlainWay
    from .replies import Served

_RD = int(Flag.RD)
_QR = int(Flag.QR)
_TOLD = _QR | OPCODE_MASK | int(Flag.TC) | RCODE_MASK
_MOST_HEADS = 16
_MOST_DENIALS = 16  # at about 500 octets each
_PUT_TTL = Struct("!I").pack_into
_PUT_COUNT = Struct("!H").pack_into
_ADDITIONALS_PLACE = 10
_ONE_QUESTION = b"\0\1\0\0\0\0\0\0"  # the counts
_HEADER = Struct("!5H")  # flags and the four counts, from octet 2 on


class Head:
    """What an upstream's header says, behind the id, and what stands there in our reply.

    Of a response with at least one record in its answer section, and none in the next.
    """

    __slots__ = ("additionals", "answers", "in_reply")

    def __init__(self, answers: int, additionals: int, in_reply: bytes) -> None:
        self.answers = answers
        self.additionals = additionals
        self.in_reply = in_reply


class Denial:
    """A denial that holds for many names alike: a SOA and no more, behind the question.

    `question_end` is where it has to stand, for it may hold pointers; 0 where it holds none.
    `head` stands between id and question in the entry's message, `tail` behind the question, with
    the TTL at `ttl_place` in it; `head_in_reply` and `tail_in_reply` are those of a reply.
    """

    __slots__ = (
        "head",
        "head_in_reply",
        "kind",
        "question_end",
        "rcode",
        "tail",
        "tail_in_reply",
        "ttl",
        "ttl_place",
    )

    def __init__(self, answer: Answer, reply: bytes, ttl: int, question_end: int) -> None:
        end = answer.question_end
        self.question_end = question_end
        self.head = answer.wire[2:HEADER_SIZE]
        self.tail = answer.wire[end:]
        self.ttl_place = answer.ttl_offsets[0] - end
        self.head_in_reply = reply[2:HEADER_SIZE]
        self.tail_in_reply = reply[end:]
        self.kind = answer.kind
        self.rcode = answer.rcode
        self.ttl = ttl


class Family:
    """Queries for addresses, with RD, that are `Query.is_alike_for_all` but for the first label.

    `query` is one of them; `way` is where they go. `behind_name` is the octets behind the name; `most_label` the longest
    that the first label may be. `key_end` is the end of their keys in the cache. `head_upstream`
    and `opt_upstream` stand around the question in what goes upstream, `opt` behind our replies.
    """

    __slots__ = (
        "_denials",
        "_flags",
        "_heads",
        "behind_name",
        "head_upstream",
        "key_end",
        "most_label",
        "opt",
        "opt_upstream",
        "query",
        "served",
        "shape",
        "way",
    )

    def __init__(self, query: Query, served: "Served", way: "PlainWay") -> None:
        packet, end = query.packet, query.question_end
        framed = framed_upstream_query(query, 0)
        self.served = served
        self.way = way
        self.shape = ADDRESS_SHAPES[packet[end - 4 : end]]
        self.behind_name = len(packet) - end + 4
        self.most_label = min(
            MAX_LABEL_SIZE, MAX_NAME_SIZE - len(query.qname) + packet[HEADER_SIZE]
        )
        self.key_end = query.key[-KEY_END_SIZE:]
        self.head_upstream = framed[4:14]  # what stands between id and question, behind the length
        self.opt_upstream = framed[2 + end :]
        self.opt = opt_record(query) if query.payload_size else b""
        self.query = query
        self._heads: dict[bytes, Head | None] = {}
        self._flags: dict[int, bytes] = {}
        self._denials: dict[bytes, Denial] = {}

    def reply_from(self, entry: Entry, packet: bytes, ttl: int) -> bytearray:
        """The reply to `packet`, with `ttl` seconds on every record; it surely fits."""
        end = len(packet) - self.behind_name + 4
        reply = bytearray(entry.wire)
        reply[:4] = packet[:2] + (self._flags.get(entry.flags) or self._make_flags(entry.flags))
        reply[HEADER_SIZE:end] = packet[HEADER_SIZE:end]
        for offset in entry.ttl_offsets:
            _PUT_TTL(reply, offset, ttl)
        if self.opt:
            _PUT_COUNT(reply, _ADDITIONALS_PLACE, (reply[10] << 8 | reply[11]) + 1)
            reply += self.opt
        return reply

    def reply_with(self, answer: Answer, packet: bytes, ttl: int) -> bytearray:
        """The same of an upstream's answer."""
        alike = self.query
        query = Query(
            packet,
            answer.question_end,
            alike.key,  # another name's, which replies do not look at
            alike.flags,
            alike.qtype,
            alike.rdclass,
            alike.payload_size,
            alike.has_do,
        )
        flags = shown_flags(answer.flags, query)
        return reply_to(query, answer, flags, ttl, SURELY_FITS + len(self.opt))

    def _make_flags(self, flags: int) -> bytes:
        if len(self._flags) >= _MOST_HEADS:
            self._flags.clear()
        made = self._flags[flags] = _head_in_reply(self.query, flags, _ONE_QUESTION)[:2]
        return made

    def denial_in(self, packet: bytes, question_end: int) -> Denial | None:
        """The denial that an upstream's answer is, where it was read before for another name."""
        denial = self._denials.get(packet[2:HEADER_SIZE] + packet[question_end:])
        if (
            denial is None
            or denial.question_end not in (0, question_end)
            or question_end + len(denial.tail) > SURELY_FITS
        ):
            return None
        return denial

    def learn(self, answer: Answer, packet: bytes, reply: bytes, ttl: int) -> None:
        """Know a denial again, which `packet` brought, where it says nothing of one name alone."""
        if not is_denial(answer.kind) or len(answer.ttl_offsets) != 1:
            return
        end = answer.question_end
        tail = packet[end:]
        has_pointers = max(tail) >= POINTER_BITS
        if has_pointers and _may_lead_into(tail, HEADER_SIZE + packet[HEADER_SIZE]):
            return
        if len(self._denials) >= _MOST_DENIALS:
            self._denials.clear()
        self._denials[packet[2:HEADER_SIZE] + tail] = Denial(
            answer, reply, ttl, end if has_pointers else 0
        )

    def head_of(self, packet: bytes) -> Head | None:
        """What an answer's header says; None where it is anything but plain."""
        octets = packet[2:HEADER_SIZE]
        try:
            return self._heads[octets]
        except KeyError:
            head = _read_head(packet, self.query)
            if len(self._heads) < _MOST_HEADS:
                self._heads[octets] = head
            return head


def _may_lead_into(tail: bytes, label_end: int) -> bool:
    """Whether any two octets of `tail`, taken for a pointer, lead into the question's first label.

    Its octets are another name's next time. Its start is the whole name, which is as good as any.
    """
    return any(
        HEADER_SIZE < (first << 8 | second) & POINTER_MASK <= label_end
        for first, second in pairwise(tail)
        if first >= POINTER_BITS
    )


def _read_head(packet: bytes, query: Query) -> Head | None:
    flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet, 2)
    if flags & _TOLD != _QR or questions != 1 or not answers or authorities or additionals > 1:
        return None
    counts = packet[4:_ADDITIONALS_PLACE] + b"\0\0"
    return Head(answers, additionals, _head_in_reply(query, flags, counts))


def _head_in_reply(query: Query, flags: int, counts: bytes) -> bytes:
    """What stands between id and question in a reply, where upstream's header says this."""
    wire = bytes(2) + flags.to_bytes(2, "big") + counts + query.question
    body = Answer(wire, query.question_end, 0, Kind.OTHER)
    return bytes(
        reply_to(query, body, shown_flags(flags, query), None, MAX_MESSAGE_SIZE)[2:HEADER_SIZE]
    )


def family_of(query: Query, served: "Served") -> Family | None:
    """The family of a query that was read, where those like it can go the plain way."""
    way = served.zone.plain_way
    packet, end = query.packet, query.question_end
    if (
        way is None
        or not query.flags & _RD
        or not query.is_alike_for_all
        or packet[end - 4 : end] not in ADDRESS_SHAPES
        or not packet[HEADER_SIZE]
    ):
        return None
    return Family(query, served, way)
