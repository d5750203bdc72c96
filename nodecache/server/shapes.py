"""The shapes of queries: what reading and routing tell of a query, apart from id and first label.

Nearly all queries differ from others in these two only. So a query is read by finding its shape: by
one look-up where the other octets are known, else after it was read, because 0x20 and EDNS options
make octets differ that mean the same.
"""

from collections.abc import Iterator
from typing import Final

from nodecache.wire import (
    CLASS_IN,
    HEADER_SIZE,
    KEY_END_SIZE,
    MAX_LABEL_SIZE,
    MAX_NAME_SIZE,
    AnswerReader,
    Flag,
    Query,
    reply_limit,
)

from .replies import ZoneBinding

_AD: Final = int(Flag.AD)
_NO_AD: Final = 0xFFFF & ~_AD
_MAX_SHAPES: Final = 2048  # at 1 to 3 KiB each, with the denials that its reader knows


class Shape:
    """What queries of one shape have in common.

    `rest_size` is how many octets of the question stand behind the first label, `most_label` how
    long that may be. `limit` is the octets that a reply by UDP may have, `shown_flags` what of its
    flags clients see. `serve` is the function that serves them. `key_end` is the end of their keys in the cache. `own_zones` are first labels
    that make a name another zone's, each with its length.
    """

    __slots__ = (
        "binding",
        "flags",
        "has_do",
        "key_end",
        "limit",
        "most_label",
        "own_zones",
        "payload_size",
        "qtype",
        "rdclass",
        "reader",
        "rest_size",
        "serve",
        "shown_flags",
    )

    def __init__(self, query: Query, binding: ZoneBinding, own_zones: frozenset[bytes]) -> None:
        behind_label = HEADER_SIZE + 1 + query.packet[HEADER_SIZE]
        self.binding = binding
        self.flags = query.flags
        self.qtype = query.qtype
        self.rdclass = query.rdclass
        self.has_do = query.has_do
        self.payload_size = query.payload_size
        if bufsize := binding.zone.bufsize:
            self.payload_size = min(query.payload_size, bufsize)  # 0 stays: there is no OPT
        self.limit = reply_limit(self.payload_size)
        # AD is for those who ask for it, by AD or DO: RFC 6840 §5.8.
        self.shown_flags = 0xFFFF if query.has_do or query.flags & _AD else _NO_AD
        self.key_end = query.key[-KEY_END_SIZE:]
        self.rest_size = query.question_end - behind_label
        self.most_label = min(MAX_LABEL_SIZE, MAX_NAME_SIZE - 1 - (self.rest_size - 4))
        self.own_zones = own_zones
        self.reader = AnswerReader()
        self.serve = binding.zone.entry_point()

    def query(self, packet: bytes) -> Query:
        """The query that a packet of this shape is."""
        question_end = HEADER_SIZE + 1 + packet[HEADER_SIZE] + self.rest_size
        return Query(
            packet,
            question_end,
            packet[HEADER_SIZE : question_end - 4].lower() + self.key_end,
            self.flags,
            self.qtype,
            self.rdclass,
            self.payload_size,
            self.has_do,
        )


class Shapes:
    """Shapes by what packets have in common, and by what reading them tells."""

    __slots__ = ("_by_octets", "_by_query")

    def __init__(self) -> None:
        self._by_octets: dict[bytes, Shape] = {}
        self._by_query: dict[bytes, Shape] = {}

    def __len__(self) -> int:
        return len(self._by_octets) + len(self._by_query)

    def __iter__(self) -> Iterator[Shape]:
        return iter([*self._by_octets.values(), *self._by_query.values()])

    def of_packet(self, packet: bytes) -> Shape | None:
        """The shape of a packet whose octets, but for id and first label, are known."""
        if len(packet) <= HEADER_SIZE:
            return None
        label_size = packet[HEADER_SIZE]
        behind_label = HEADER_SIZE + 1 + label_size
        shape = self._by_octets.get(packet[2:HEADER_SIZE] + packet[behind_label:])
        if shape is None or not 0 < label_size <= shape.most_label:
            return None
        if shape.own_zones and packet[HEADER_SIZE:behind_label].lower() in shape.own_zones:
            return None
        return shape

    def of_query(self, query: Query) -> Shape | None:
        """The shape of a query that was read."""
        return self._by_query.get(_in_common(query))

    def learn(self, query: Query, shape: Shape) -> None:
        """Know the shape of a query that was read, from its octets too where others may repeat them."""
        if len(self._by_query) >= _MAX_SHAPES:
            self._by_query.clear()
        self._by_query[_in_common(query)] = shape
        self.learn_octets(query, shape)

    def learn_octets(self, query: Query, shape: Shape) -> None:
        """Know the shape from the query's octets.

        Options and signatures are one client's own, and a name in random case (0x20) comes once.
        """
        packet = query.packet
        label_size = packet[HEADER_SIZE]
        behind_label = HEADER_SIZE + 1 + label_size
        if (
            label_size
            and query.is_plain
            and not query.options
            and query.rdclass == CLASS_IN
            and packet.startswith(query.key[1 + label_size : -KEY_END_SIZE], behind_label)
        ):
            if len(self._by_octets) >= _MAX_SHAPES:
                self._by_octets.clear()
            self._by_octets[packet[2:HEADER_SIZE] + packet[behind_label:]] = shape


def _in_common(query: Query) -> bytes:
    """What queries of one shape have in common once they are read."""
    rest = query.key[1 + query.packet[HEADER_SIZE] :]
    return query.packet[2:HEADER_SIZE] + query.payload_size.to_bytes(2, "big") + rest
