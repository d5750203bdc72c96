"""Queries that wait for upstreams, written down where they outlive this process.

A worker that dies takes along the queries it has read and not answered. So each one that has to
wait is noted in memory which the keeper shares with every worker (an anonymous mapping, inherited
by a fork); the next worker answers what it finds there. Noting costs about a microsecond, and a
query that is answered at once is never noted.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

_SLOT_OCTETS = 512
_SLOTS = 4096
JOURNAL_OCTETS = _SLOT_OCTETS * _SLOTS
# When (monotonic seconds), client's port, and the octets of label, host and packet that follow.
_HEAD = Struct("=dHBBH")
_HEAD_SIZE = _HEAD.size
_PUT_HEAD = _HEAD.pack_into
_MOST_TEXT = _SLOT_OCTETS - _HEAD_SIZE
_PUT_FREE = Struct("=q").pack_into
# After this long a client has asked again by itself, or given up.
_MOST_AGE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Noted:
    """A query that was read and not answered. `label` names the listen address it came to.

    `at` is when it was read, monotonic seconds. It stays so when it is noted again: a query that
    kills every worker is let go once its client has given it up.
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
        self._free = list(range(0, min(len(memory), JOURNAL_OCTETS), _SLOT_OCTETS))

    def take_over(self, now: float) -> Iterator[Noted]:
        """What a worker before us left unanswered; every slot is free after that."""
        memory = self._memory
        for slot in self._free:
            noted_at, port, label_size, host_size, packet_size = _HEAD.unpack_from(memory, slot)
            _PUT_FREE(memory, slot, 0)
            if noted_at and now - noted_at < _MOST_AGE_SECONDS:
                start = slot + _HEAD_SIZE
                host = start + label_size
                packet = host + host_size
                yield Noted(
                    noted_at,
                    memory[start:host].decode(),
                    memory[host:packet].decode(),
                    port,
                    memory[packet : packet + packet_size],
                )

    def note(self, noted_at: float, label: bytes, host: str, port: int, packet: bytes) -> int:
        """Write a query down; the slot to be freed, or -1 where it could not be noted."""
        text = label + host.encode() + packet
        size = len(text)
        free = self._free
        if not free or size > _MOST_TEXT:
            return -1
        slot = free.pop()
        memory = self._memory
        start = slot + _HEAD_SIZE
        memory[start : start + size] = text
        # The head last: what it tells of is there by then.
        _PUT_HEAD(memory, slot, noted_at, port, len(label), len(host), len(packet))
        return slot

    def free(self, slot: int) -> None:
        """The query is answered."""
        _PUT_FREE(self._memory, slot, 0)
        self._free.append(slot)


def shared_memory() -> mmap.mmap:
    """Memory for a journal, shared with every process forked from this one."""
    return mmap.mmap(-1, JOURNAL_OCTETS)
