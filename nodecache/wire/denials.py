"""Recognises negative answers that were read before, by their octets.

A server denies all names of a zone with the same octets after the question: one SOA. The result of
reading one such message holds for the next, whose question differs in the first label only.
"""

from itertools import pairwise
from typing import Final

from .answer import Answer, Kind
from .constants import HEADER_SIZE, POINTER_BITS, POINTER_MASK
from .reader import read_answer

_DENIALS: Final = (Kind.NXDOMAIN, Kind.NODATA)
# At about 500 octets each. A server tells all names the same within a second, two servers perhaps another TTL each.
_MAX_KNOWN: Final = 4


class KnownDenial:
    """The result of reading a negative answer.

    `question_end` is the offset at which the question must end, because pointers behind it depend on that;
    0 without pointers. `counts_and_flags` are the octets between id and question, `tail` those after the
    question, both without the OPT; the TTL is at `ttl_place` of `tail`.
    """

    __slots__ = ("answer", "flags_and_counts", "question_end", "tail", "ttl_place")

    def __init__(self, answer: Answer, question_end: int) -> None:
        end = answer.question_end
        self.answer = answer
        self.question_end = question_end
        self.flags_and_counts = answer.wire[2:HEADER_SIZE]
        self.tail = answer.wire[end:]
        self.ttl_place = answer.ttl_offsets[0] - end


class AnswerReader:
    """Reads answers to questions that differ only in their first label; remembers negative ones."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, KnownDenial] = {}

    @property
    def known(self) -> int:
        """How many negative answers are remembered."""
        return len(self._known)

    def read(self, packet: bytes, question_end: int) -> Answer:
        """The same as `read_answer`, for a response whose question was compared with the query's."""
        if packet[_ANSWERS_PLACE : _ANSWERS_PLACE + 2] != _NO_ANSWERS:
            return read_answer(packet, question_end=question_end)
        octets = packet[2:HEADER_SIZE] + packet[question_end:]
        known = self._known.get(octets)
        if known is not None and known.question_end in (0, question_end):
            return _as_known(known, packet, question_end)
        answer = read_answer(packet, question_end=question_end)
        if answer.kind in _DENIALS and not answer.ede and len(answer.ttl_offsets) == 1:
            self._learn(answer, packet, octets)
        return answer

    def _learn(self, answer: Answer, packet: bytes, octets: bytes) -> None:
        """Remember a negative answer, unless its octets depend on the name asked."""
        end = answer.question_end
        tail = answer.wire[end:]
        if not packet.startswith(tail, end):
            return  # it was written anew, perhaps with the name in it
        has_pointers = max(tail) >= POINTER_BITS
        if has_pointers and _may_lead_into(tail, HEADER_SIZE + packet[HEADER_SIZE]):
            return
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[octets] = KnownDenial(answer, end if has_pointers else 0)


_ANSWERS_PLACE: Final = 6
_NO_ANSWERS: Final = b"\0\0"


def _as_known(known: KnownDenial, packet: bytes, question_end: int) -> Answer:
    answer = known.answer
    wire = packet[:2] + known.flags_and_counts + packet[HEADER_SIZE:question_end] + known.tail
    return Answer(
        wire,
        question_end,
        answer.rcode,
        answer.kind,
        (question_end + known.ttl_place,),
        answer.lowest_ttl,
        answer.soa_ttl,
    )


def _may_lead_into(tail: bytes, label_end: int) -> bool:
    """Whether any two octets of `tail`, read as a pointer, point into the question's first label.

    That label is another one next time. A pointer to its start is the whole name, and allowed.
    """
    return any(
        HEADER_SIZE < (first << 8 | second) & POINTER_MASK <= label_end
        for first, second in pairwise(tail)
        if first >= POINTER_BITS
    )
