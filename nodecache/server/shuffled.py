"""Finished replies whose addresses stand in another order each time: `loadbalance`, out of the table."""

from collections.abc import Callable
from struct import Struct
from typing import Any

from .loadbalance import Pick, address_block, permutation
from .replies import Finished

_COUNTS = Struct("!2H")  # of the last two sections
_COUNTS_PLACE = 8
_ID_SIZE = 2


class Shuffled(Finished):
    """A finished reply that is asked for its octets anew for each client."""

    __slots__ = ("_head", "_pick", "_records", "_rest", "_size", "_start")

    def __init__(self, pick: Pick, block: tuple[int, int, int], *finished: Any) -> None:
        """`block` is what `address_block` says of the reply; the rest is `Finished`'s."""
        start, self._size, count = block
        self._start = start - _ID_SIZE
        self._pick = pick
        self._records: list[bytes] = [b""] * count
        super().__init__(*finished)

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


def unfinished(*_: Any, **__: Any) -> None:
    """No reply is for the table: directives treat each query or client on its own."""


def finisher(pick: Pick | None) -> Callable[..., Finished | None]:
    """Make what makes replies for the table: in an order that `pick` draws, if there is one.

    It takes the whole reply, the octets of its question and its OPT, and what `Finished` takes
    behind the tail; None says that the reply has to be made each time.
    """

    def finish(
        reply: bytes | bytearray, question_end: int, *finished: Any, has_opt: bool
    ) -> Finished | None:
        tail = bytes(reply[_ID_SIZE:])
        if pick is None:
            return Finished(tail, *finished)
        if _COUNTS.unpack_from(reply, _COUNTS_PLACE) != (0, int(has_opt)):
            return None
        block = address_block(bytes(reply), question_end)
        if block is None:
            return None
        return Shuffled(pick, block, tail, *finished) if block[2] > 1 else Finished(tail, *finished)

    return finish
