"""`loadbalance` for replies in the reply table: each reply is sent with its addresses shuffled again."""

from struct import Struct
from typing import Final

from nodecache.server.replies import CachedReply, PrepareReply
from nodecache.wire import Query

from .loadbalance import Pick, address_block, permutation

_COUNTS: Final = Struct("!2H")  # of the last two sections
_COUNTS_PLACE: Final = 8
_ID_SIZE: Final = 2


class ShuffledReply:
    """A cached reply whose address records are sent in another order each time.

    `block` is the result of `address_block` for the whole reply: offset, size of a record, count.
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

    def shuffled_tail(self, tail: bytes) -> bytes:
        """`tail`, a reply without its id, with its addresses in a new order."""
        if tail is not self._tail:
            self._split(tail)
        records = self._records
        order = permutation(len(records), self._pick)
        return self._head + b"".join([records[index] for index in order]) + self._rest

    def _split(self, tail: bytes) -> None:
        """Split a reply whose TTLs have changed into its records."""
        start, size = self._start, self._size
        end = start + size * len(self._records)
        self._tail = tail
        self._head, self._rest = tail[:start], tail[end:]
        self._records = [tail[at : at + size] for at in range(start, end, size)]


def keep_reply(cached: CachedReply, _: Query) -> CachedReply:
    """Put every reply into the reply table as it is."""
    return cached


def skip_table(_: CachedReply, __: Query) -> None:
    """Put no reply into the reply table: a directive treats each query or client on its own."""


def shuffle_addresses(pick: Pick) -> PrepareReply:
    """Shuffle addresses by `pick`; a reply that needs more than that stays out of the reply table."""

    def prepare(cached: CachedReply, query: Query) -> CachedReply | None:
        reply = bytes(_ID_SIZE) + cached.tail
        if _COUNTS.unpack_from(reply, _COUNTS_PLACE) != (0, int(query.payload_size > 0)):
            return None
        block = address_block(reply, query.question_end)
        if block is None:
            return None
        if block[2] > 1:
            cached.order = ShuffledReply(pick, block)
        return cached

    return prepare
