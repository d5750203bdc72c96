"""`loadbalance`: another order of addresses for each reply, on the octets of the answer.

Records of one size, whose owner and data no pointer points into, can be exchanged while every pointer
and TTL offset stays valid; that is the usual answer. Others are written again.
"""

from collections.abc import Callable, Sequence
from struct import Struct

from nodecache.server.directive import AskNext, Client, Steps
from nodecache.server.records import Record, Sections, name_end, rebuilt, sections_of
from nodecache.wire import Answer, Query, Rcode, Rdtype

_COUNTS = Struct("!3H")
_COUNT = Struct("!H")
_FIXED = Struct("!HHIH")
_ADDRESSES = (Rdtype.A, Rdtype.AAAA)
_TRANSFERS = (Rdtype.AXFR, Rdtype.IXFR)
_POINTER = 0xC0

Pick = Callable[[int], int]
"""A number from 0 up to, not including, its argument."""

Arrange = Callable[[Sequence[Record]], Sequence[Record]]
"""Puts the address records of a section into another order."""


class LoadBalance:
    """Shuffles A and AAAA records together, and MX records; CNAMEs come first.

    `weigh` replaces the shuffle by another order (the `weighted` policy); `prefer` moves addresses
    of some networks to the front of what comes out.
    """

    name = "loadbalance"

    def __init__(
        self, pick: Pick, weigh: Arrange | None = None, prefer: Arrange | None = None
    ) -> None:
        self._pick = pick
        self._weigh = weigh
        self._prefer = prefer

    @property
    def is_any_order(self) -> bool:
        """Whether all orders are equal: neither weights nor preferred networks."""
        return self._weigh is None and self._prefer is None

    def serve(self, query: Query, client: Client) -> Steps:  # noqa: ARG002 (anyone's)
        """Let the query pass, and put what comes back into another order."""
        outcome = yield AskNext(query)
        if isinstance(outcome, Answer) and outcome.rcode == Rcode.NOERROR:
            return self.arranged(outcome, query.qtype)
        return outcome

    def arranged(self, answer: Answer, qtype: int) -> Answer:
        """`answer` with its records in this reply's order."""
        if qtype in _TRANSFERS or len(answer.ttl_offsets) < 2:
            return answer
        if self.is_any_order:
            wire = shuffled(answer, self._pick)
            if wire is not None:
                return answer if wire is answer.wire else answer.with_wire(wire)
        return self._rewritten(answer, qtype)

    def _rewritten(self, answer: Answer, qtype: int) -> Answer:
        sections = sections_of(answer)
        if self._weigh is None:
            sections = Sections(*(self._round_robin(section) for section in sections))
        elif qtype in (*_ADDRESSES, Rdtype.SRV):
            sections.answer = in_order(sections.answer, self._weigh)
            sections.additional = in_order(sections.additional, self._weigh)
        if self._prefer is not None:
            sections.answer = preferred(sections.answer, self._prefer)
            sections.additional = preferred(sections.additional, self._prefer)
        return rebuilt(answer, answer.question, sections)

    def _round_robin(self, records: list[Record]) -> list[Record]:
        aliases, others, addresses, exchanges = parted(records)
        return [*aliases, *others, *self._mixed(addresses), *self._mixed(exchanges)]

    def _mixed(self, records: list[Record]) -> list[Record]:
        return [records[index] for index in permutation(len(records), self._pick)]


def permutation(size: int, pick: Pick) -> list[int]:
    """The numbers below `size`, every order as likely as any other (Fisher and Yates)."""
    order = list(range(size))
    for index in range(size - 1):
        other = index + pick(size - index)
        order[index], order[other] = order[other], order[index]
    return order


def shuffled(answer: Answer, pick: Pick) -> bytes | None:
    """The octets with the answer section's addresses shuffled; None if that is not enough.

    It is enough if all addresses are together at the message's end, of one size and with a pointer
    as owner.
    """
    wire = answer.wire
    _, authorities, additionals = _COUNTS.unpack_from(wire, 6)
    block = address_block(wire, answer.question_end)
    if authorities or additionals or block is None:
        return None
    start, size, count = block
    if count < 2:
        return wire
    records = [wire[at : at + size] for at in range(start, start + size * count, size)]
    order = permutation(count, pick)
    return wire[:start] + b"".join([records[index] for index in order])


def address_block(wire: bytes, question_end: int) -> tuple[int, int, int] | None:
    """The offset of the answer section's addresses, octets of each, and their number.

    None if they are not together at the section's end, of one size, with pointers as owners.
    """
    offset = start = question_end
    size = count = 0
    (answers,) = _COUNT.unpack_from(wire, 6)
    for _ in range(answers):
        fixed = name_end(wire, offset)
        rdtype, _, _, rdata_size = _FIXED.unpack_from(wire, fixed)
        end = fixed + _FIXED.size + rdata_size
        if rdtype in _ADDRESSES:
            if wire[offset] < _POINTER or (count and end - offset != size):
                return None
            if not count:
                start, size = offset, end - offset
            count += 1
        elif count or rdtype != Rdtype.CNAME:
            return None
        offset = end
    return start, size, count


def parted(
    records: Sequence[Record],
) -> tuple[list[Record], list[Record], list[Record], list[Record]]:
    """CNAMEs, others, addresses and MX records, each in the order they came."""
    parts: tuple[list[Record], ...] = ([], [], [], [])
    kinds = {Rdtype.CNAME: 0, Rdtype.A: 2, Rdtype.AAAA: 2, Rdtype.MX: 3}
    for record in records:
        parts[kinds.get(record.rdtype, 1)].append(record)  # type: ignore[call-overload]
    return parts[0], parts[1], parts[2], parts[3]


def in_order(records: list[Record], arrange: Arrange) -> list[Record]:
    """`records` as the `weighted` policy sorts them; unchanged without an address."""
    aliases, others, addresses, exchanges = parted(records)
    if not addresses:
        return records
    return [*aliases, *others, *arrange(addresses), *exchanges]


def preferred(records: list[Record], arrange: Arrange) -> list[Record]:
    """`records` as `prefer` sorts them: addresses before all but aliases."""
    aliases, others, addresses, exchanges = parted(records)
    return [*aliases, *arrange(addresses), *exchanges, *others]
