"""Normalized queries: those that differ only in letter case or EDNS options get the same reply.

Resolvers that protect themselves by 0x20 (draft-vixie-dnsext-dns0x20) or cookies (RFC 7873) send
every query in other octets. The normalized form finds them a cached reply all the same, in which
only the question is the client's own: none of a client's options is sent back.
"""

from dataclasses import dataclass
from typing import Final

from nodecache.wire import HEADER_SIZE, Query, are_options_whole

_ADDITIONALS_PLACE: Final = 11  # of their count's lower octet
_ROOT_OPT: Final = b"\x00\x00\x29"  # root owner, type 41
_OPT_SIZE: Final = 11  # without options: RFC 6891 §6.1.2


def normalized_key(packet: bytes) -> bytes:
    """What finds queries like `packet`: its octets behind the id in lower case, options cut off.

    Coarser than what deserves the same reply, since type 65 in lower case is type 97: `NormalizedQuery.fits` tells.
    """
    tail = packet[2:].lower()
    if len(packet) > HEADER_SIZE and packet[_ADDITIONALS_PLACE]:
        opt = tail.find(_ROOT_OPT, HEADER_SIZE - 2)
        if opt >= 0:
            return tail[: opt + _OPT_SIZE]
    return tail


@dataclass(frozen=True, slots=True)
class NormalizedQuery:
    """What queries must have in common with one that was answered, beside `key`.

    `size` is that of the whole message, `flags_and_counts` its octets 2 to 12, `rest` what stands
    from `name_end` on, up to `end`, where options may follow.
    """

    key: bytes
    size: int
    flags_and_counts: bytes
    rest: bytes
    name_end: int
    end: int

    def fits(self, packet: bytes) -> bool:
        """Whether `packet`, which has the same key, deserves the same reply."""
        return (
            len(packet) == self.size
            and packet[2:HEADER_SIZE] == self.flags_and_counts
            and packet[self.name_end : self.end] == self.rest
            and (self.end == self.size or are_options_whole(packet, self.end))
        )

    def reply(self, packet: bytes, tail: bytes) -> bytes:
        """The reply to `packet`, with the question as it has it; `tail` is without the id."""
        question_end = self.name_end + 4
        return (
            packet[:2]
            + tail[: HEADER_SIZE - 2]
            + packet[HEADER_SIZE:question_end]
            + tail[question_end - 2 :]
        )


def normalized(query: Query) -> NormalizedQuery | None:
    """What a query has in common with others like it; None where that cannot be told."""
    if not query.is_plain:
        return None
    packet = query.packet
    key = normalized_key(packet)
    end = len(key) + 2
    name_end = query.question_end - 4
    if end != query.question_end + (_OPT_SIZE if query.payload_size else 0):
        return None  # octets that look like an OPT stand somewhere else
    return NormalizedQuery(
        key, len(packet), packet[2:HEADER_SIZE], packet[name_end:end], name_end, end
    )
