"""`minimal`: positive answers without authority and additional section."""

from struct import Struct

from nodecache.server.directive import AskNext, Client, Steps
from nodecache.server.records import name_end
from nodecache.wire import Answer, Kind, Query, Rcode

_COUNTS = Struct("!3H")
_RDATA_SIZE = 8  # from the end of a record's name
_FIXED_SIZE = 10


class Minimal:
    """Takes the authority and additional sections out of positive answers.

    Denials keep their SOA, and referrals are nothing but these sections.
    """

    name = "minimal"

    def serve(self, query: Query, client: Client) -> Steps:  # noqa: ARG002 (anyone's)
        """Pass the query on, and shorten its answer."""
        outcome = yield AskNext(query)
        return shortened(outcome) if isinstance(outcome, Answer) else outcome


def shortened(answer: Answer) -> Answer:
    """A positive answer with its answer section only; any other unchanged."""
    answers, authorities, additionals = _COUNTS.unpack_from(answer.wire, 6)
    says_it_all = (answers and answer.rcode == Rcode.NOERROR) or answer.kind is Kind.POSITIVE
    if not says_it_all or not authorities + additionals:
        return answer
    end = _answers_end(answer.wire, answer.question_end, answers)
    wire = answer.wire[:6] + _COUNTS.pack(answers, 0, 0) + answer.wire[12:end]
    short = answer.with_wire(wire, answer.ttl_offsets[:answers])
    short.soa_ttl = None
    return short


def _answers_end(wire: bytes, offset: int, answers: int) -> int:
    for _ in range(answers):
        fixed = name_end(wire, offset)
        offset = fixed + _FIXED_SIZE + int.from_bytes(wire[fixed + _RDATA_SIZE : fixed + 10], "big")
    return offset
