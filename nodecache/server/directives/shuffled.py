"""Cached replies whose addresses stand in another order each time: `loadbalance`, out of the table."""

from struct import Struct
from typing import Final

from nodecache.server.replies import CachedReply, Finish
from nodecache.wire import Query

from .loadbalance import Pick, address_block, permutation

_COUNTS: Final = Struct("!2H")  # of the last two sections
_COUNTS_PLACE: Final = 8
_ID_SIZE: Final = 2


class AddressOrder:
    """The addresses of a cached reply, in another order for each client.

    `block` is what `address_block` says of the whole reply: where they begin, the size of each, how many.
    """

    __slots__ = ("_head", "_pick", "_records", "_rest", "_size", "_start", "_tail")

    def __init__(self, pick: Pick, block: tuple[int, int, int]) -> None:
        start, self._size, count = block
        self._start = start - _ID_SIZE
        self._pick = pick
        self._tail = b""
        self._head = b""
        self._rest = b""
        self._records: list[bytes] = [b""] * count

    def drawn(self, tail: bytes) -> bytes:
        """`tail`, a reply behind its id, with its addresses in a new order."""
        if tail is not self._tail:
            self._take(tail)
        records = self._records
        order = permutation(len(records), self._pick)
        return self._head + b"".join([records[index] for index in order]) + self._rest

    def _take(self, tail: bytes) -> None:
        """The reply's TTLs have changed."""
        start, size = self._start, self._size
        end = start + size * len(self._records)
        self._tail = tail
        self._head, self._rest = tail[:start], tail[end:]
        self._records = [tail[at : at + size] for at in range(start, end, size)]


def as_it_is(cached: CachedReply, _: Query) -> CachedReply:
    """Every reply is for the table."""
    return cached


def never(_: CachedReply, __: Query) -> None:
    """No reply is for the table: directives treat each query or client on its own."""


def shuffling(pick: Pick) -> Finish:
    """Have addresses in orders that `pick` draws; where that takes more, the zone does it."""

    def finish(cached: CachedReply, query: Query) -> CachedReply | None:
        reply = bytes(_ID_SIZE) + cached.tail
        if _COUNTS.unpack_from(reply, _COUNTS_PLACE) != (0, int(query.payload_size > 0)):
            return None
        block = address_block(reply, query.question_end)
        if block is None:
            return None
        if block[2] > 1:
            cached.order = AddressOrder(pick, block)
        return cached

    return finish
