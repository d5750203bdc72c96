"""A journal of the queries that wait for upstreams, in memory that outlives this process.

Queries that a worker has read and not answered would be lost when it dies. So each one that has to
wait is noted in memory which the keeper shares with every worker (an anonymous mapping, inherited by
fork); the next worker answers what it finds there. Noting costs about a microsecond, and a
query that is answered at once is never noted.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from struct import Struct
from typing import Final

_SLOT_OCTETS: Final = 512
# Client's port, the octets of label, host and packet, as much of these as nearly all queries
# have, and when (monotonic seconds), which is written last: what it tells of is there by then.
_SHORT_TEXT: Final = 112
_SLOT: Final = Struct(f"=HBBH{_SHORT_TEXT}sd")
_PUT_SLOT: Final = _SLOT.pack_into
_MAX_TEXT: Final = _SHORT_TEXT + _SLOT_OCTETS - _SLOT.size
_FREE: Final = Struct("=d")
_TIME_PLACE: Final = _SLOT.size - _FREE.size
_PUT_TIME: Final = _FREE.pack_into
_LOWEST: Final = Struct("=I")
# After this time a client has asked again, or given up.
_MAX_AGE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A query that was read and not answered. `label` names the listen address it came to.

    `at` is when it was read, monotonic seconds. It stays so when it is noted again: a query that
    kills every worker is dropped once its client has given up.
    """

    at: float
    label: str
    host: str
    port: int
    packet: bytes


class Journal:
    """Slots in shared memory, one for each waiting query; those beyond them are not noted."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        # Slots are used from the end on, and again before others are: memory that was never touched
        # costs nothing. The first slot tells how far down they were used, by any worker.
        self._lowest = _lowest_used(memory)
        self._free = list(range(self._lowest, len(memory), _SLOT_OCTETS))

    def take_over(self, now: float) -> Iterator[JournalEntry]:
        """The queries that a former worker left unanswered; every slot is free after that.

        That worker may have been taken over by a stranger: malformed slots are skipped.
        """
        memory = self._memory
        for slot in range(self._lowest, len(memory), _SLOT_OCTETS):
            port, label, host, packet, text, noted_at = _SLOT.unpack_from(memory, slot)
            _PUT_TIME(memory, slot + _TIME_PLACE, 0.0)
            if noted_at and 0 <= now - noted_at < _MAX_AGE_SECONDS:
                rest = slot + _SLOT.size
                text += memory[rest : slot + _SLOT_OCTETS]
                ends = label, label + host, label + host + packet
                if (noted := _noted(noted_at, port, text, *ends)) is not None:
                    yield noted

    def note(self, noted_at: float, label: bytes, host: str, port: int, packet: bytes) -> int:
        """Write a query down; the slot to be freed, or -1 where it could not be noted."""
        text = label + host.encode() + packet
        size = len(text)
        if size > _MAX_TEXT:
            return -1
        slot = self._free.pop() if self._free else self._take_unused()
        if slot < 0:
            return -1
        if size > _SHORT_TEXT:
            rest = slot + _SLOT.size
            self._memory[rest : rest + size - _SHORT_TEXT] = text[_SHORT_TEXT:]
        _PUT_SLOT(self._memory, slot, port, len(label), len(host), len(packet), text, noted_at)
        return slot

    def _take_unused(self) -> int:
        """A slot that no worker has used yet; -1 where there is none."""
        if self._lowest <= _SLOT_OCTETS:
            return -1
        self._lowest -= _SLOT_OCTETS
        _LOWEST.pack_into(self._memory, 0, self._lowest)
        return self._lowest

    def free(self, slot: int) -> None:
        """The query is answered."""
        _PUT_TIME(self._memory, slot + _TIME_PLACE, 0.0)
        self._free.append(slot)


def _lowest_used(memory: mmap.mmap) -> int:
    """Where the slots begin that were ever used; all of them where a worker wrote anything else."""
    (lowest,) = _LOWEST.unpack_from(memory, 0)
    if lowest == 0:
        return len(memory)
    is_slot = lowest % _SLOT_OCTETS == 0 and lowest < len(memory)
    return int(lowest) if is_slot else _SLOT_OCTETS


def _noted(
    at: float, port: int, text: bytes, label_end: int, host_end: int, packet_end: int
) -> JournalEntry | None:
    """What a slot tells, where its client has an address."""
    try:
        label, host = text[:label_end].decode(), text[label_end:host_end].decode()
        ip_address(host)
    except ValueError:
        return None
    return JournalEntry(at, label, host, port, text[host_end:packet_end])
