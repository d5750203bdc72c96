"""CachedReply replies whose addresses stand in another order each time: `loadbalance`, out of the table."""

from struct import Struct

from nodecache.server.replies import CachedReply, Finish
from nodecache.wire import Query

from .loadbalance import Pick, address_block, permutation

_COUNTS = Struct("!2H")  # of the last two sections
_COUNTS_PLACE = 8
_ID_SIZE = 2


class Shuffled(CachedReply):
    """A cached reply that is asked for its octets anew for each client."""

    __slots__ = ("_head", "_pick", "_records", "_rest", "_size", "_start")

    def __init__(self, pick: Pick, block: tuple[int, int, int], cached: CachedReply) -> None:
        """The same as `cached`; `block` is what `address_block` says of the whole reply."""
        start, self._size, count = block
        self._start = start - _ID_SIZE
        self._pick = pick
        self._records: list[bytes] = [b""] * count
        super().__init__(
            cached.tail,
            cached.good_until,
            cached.entry,
            cached.binding,
            cached.tally,
            cached.ttl_offsets,
            cached.alike,
        )

    @property
    def tail(self) -> bytes:
        """The reply behind its id, its addresses in a new order."""
        records = self._records
        order = permutation(len(records), self._pick)
        return self._head + b"".join([records[index] for index in order]) + self._rest

    @tail.setter
    def tail(self, tail: bytes) -> None:
        """Take octets in any order."""
        start, size = self._start, self._size
        end = start + size * len(self._records)
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
        return Shuffled(pick, block, cached) if block[2] > 1 else cached

    return finish
