"""Matches answers with pending queries: message ids, and the rule against forged answers.

The law of this module: no socket, no clock. An answer counts only where it comes on the
connection that carried the query, as a response, with the query's id, name, type and class
(RFC 5452 §9.1). A query of ours that somebody sends back is none.
"""

import os
from array import array
from collections.abc import Callable, Iterator
from typing import Final

from nodecache.forward.outgoing import OutgoingQuery
from nodecache.wire import HEADER_SIZE, Flag, is_bare_reply

# Far below the 65,536 ids there are, or `add` would spin looking for a free one; and what one
# connection may owe us before another has to help.
MAX_PENDING: Final = 4096

# A query that nobody waits for any longer (ZoneOptions.deadline_seconds) is not answered late either.
LATE_SECONDS: Final = 5.0

_QR: Final = int(Flag.QR) >> 8  # in the header's third octet
_BLOCK_OCTETS: Final = 2048  # one system call for a thousand ids


def random_ids() -> Iterator[int]:
    """Message ids nobody can guess, without end: RFC 5452 §4.3, §9.2.

    Start one after a fork, never before: both processes would hand out the same ids.
    """
    while True:
        yield from array("H", os.urandom(_BLOCK_OCTETS))


class Pending:
    """Queries sent on one connection and not yet answered, by message id.

    Kept in two tables: what was sent a moment ago, and what turned out to be slow. So a look for
    slow ones meets each query once, however many wait. A third has those that were given up, whose
    answers are taken all the same: they do not count as pending.
    """

    __slots__ = ("_late", "_random_id", "_slow", "_young")

    def __init__(self, random_id: Callable[[], int]) -> None:
        self._random_id = random_id
        self._young: dict[int, OutgoingQuery] = {}
        self._slow: dict[int, OutgoingQuery] = {}
        self._late: dict[int, OutgoingQuery] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._slow)

    def add(self, query: OutgoingQuery) -> int:
        """Take a message id that no other pending query holds; the caller minds MAX_PENDING."""
        young, slow = self._young, self._slow
        message_id = self._random_id()
        while message_id in young or message_id in slow:
            message_id = self._random_id()
        young[message_id] = query
        return message_id

    def match(self, packet: bytes) -> OutgoingQuery | None:
        """Take the query that `packet` answers; None where the answer is late, unasked or forged."""
        if len(packet) < HEADER_SIZE or not packet[2] & _QR:
            return None
        message_id = packet[0] << 8 | packet[1]
        table = self._young
        query = table.get(message_id)
        if query is None:
            table = self._slow
            query = table.get(message_id)
            if query is None:
                table = self._late
                query = table.get(message_id)
                if query is None:
                    return None
        question = query.question
        if packet[HEADER_SIZE : HEADER_SIZE + len(question)] != question and not (
            _is_same_question(packet, question) or is_bare_reply(packet)
        ):
            return None
        del table[message_id]
        return query

    def oldest(self) -> OutgoingQuery | None:
        """The query that waits longest."""
        for table in (self._slow, self._young):
            if table:  # walking over the places of those that are gone takes time
                for query in table.values():
                    return query
        return None

    def slowed(self, sent_before: float) -> list[OutgoingQuery]:
        """Queries sent up to `sent_before` that were not reported yet."""
        young = self._young
        if not young:
            return []
        slow = _sent_up_to(sent_before, young)
        for message_id, query in slow:
            del young[message_id]
            self._slow[message_id] = query
        return [query for _, query in slow]

    def drop(self, sent_before: float) -> list[OutgoingQuery]:
        """Give up slow queries sent up to `sent_before`; what somebody waits for may be answered for LATE_SECONDS."""
        gone = _sent_up_to(sent_before, self._slow)
        for message_id, query in gone:
            del self._slow[message_id]
            if not query.is_done:
                self._late[message_id] = query
        return [query for _, query in gone]

    def forget(self, now: float) -> None:
        """Forget those given up whose answers would come too late."""
        if self._late:
            for message_id, _ in _sent_up_to(now - LATE_SECONDS, self._late):
                del self._late[message_id]

    @property
    def is_settled(self) -> bool:
        """Whether no answer may come any more."""
        return not (self._young or self._slow or self._late)

    def all(self) -> list[OutgoingQuery]:
        """Every query that waits, longest first."""
        return [*self._slow.values(), *self._young.values()]

    def clear(self) -> list[OutgoingQuery]:
        """Give up every query, longest waiting first."""
        waiting = self.all()
        self._slow.clear()
        self._young.clear()
        self._late.clear()
        return waiting


def _sent_up_to(
    sent_before: float, table: dict[int, OutgoingQuery]
) -> list[tuple[int, OutgoingQuery]]:
    """Those of a table, which is in the order of sending, that were sent up to then."""
    found = []
    for message_id, query in table.items():
        if query.sent_at > sent_before:
            break
        found.append((message_id, query))
    return found


def _is_same_question(packet: bytes, question: bytes) -> bool:
    """Whether `packet` repeats `question`, its name perhaps in other letter case.

    Only the name may differ in case: type 65 (HTTPS) is an A in upper case.
    """
    end = HEADER_SIZE + len(question)
    return (
        packet[end - 4 : end] == question[-4:]
        and packet[HEADER_SIZE : end - 4].lower() == question[:-4].lower()
    )
