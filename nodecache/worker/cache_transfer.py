"""Writes the cache for the next agent's worker, and reads that of the previous one in small steps.

A block's answers go to a block that would get the same answers for the same names, and keep them
by the same rules. A step takes half a millisecond; between two of them queries are answered.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Iterator
from time import monotonic, time

from nodecache.cache import (
    FORM,
    Entry,
    MalformedCache,
    SnapshotEntry,
    end,
    packed,
    reply_ttl,
    seconds_to_keep,
    unpacked,
    zone_head,
)
from nodecache.corefile import ServerBlock
from nodecache.process.memory_file import new_memory_file, open_sealed, seal
from nodecache.process.protocol import MAX_CACHE_OCTETS

from .assembly import BuiltZone

log = logging.getLogger(__name__)

STEP_SECONDS = 0.0005
_BUFFER_OCTETS = 65_536


def digest(block: ServerBlock) -> bytes:
    """A hash that is equal for two blocks whose caches may be exchanged, in this version."""
    made = (block.rewrites, block.templates, block.hosts, block.whoami)
    told = (block.zones, block.forwards, block.cache, block.nodecache, made)
    return hashlib.sha256(repr(told).encode()).digest()


async def write(built: Iterable[BuiltZone], max_octets: int, now: float) -> int:
    """Write every answer that has not expired, up to `max_octets`; returns a descriptor to read them from."""
    descriptor = new_memory_file()
    pause = monotonic() + STEP_SECONDS
    with open(descriptor, "wb", _BUFFER_OCTETS, closefd=False) as file:  # noqa: ASYNC230 - memory
        left = max_octets - file.write(FORM)
        for octets in _pieces(built, now):
            left -= len(octets)
            if left <= 0:
                break
            file.write(octets)
            if monotonic() >= pause:
                await asyncio.sleep(0)
                pause = monotonic() + STEP_SECONDS
        file.write(end())
    seal(descriptor)
    return descriptor


def _pieces(built: Iterable[BuiltZone], now: float) -> Iterator[bytes]:
    for one in built:
        cache = one.zone.cache
        yield zone_head(digest(one.block))
        for segment in (cache.success, cache.denial):
            for entry in segment.entries():
                if _is_of_use(entry, cache.stale_seconds, now):
                    yield packed(entry)


def _is_of_use(entry: Entry, stale_seconds: float, now: float) -> bool:
    return entry.owner is not None and now < entry.stored_at + entry.ttl + stale_seconds


async def read(descriptor: int, built: Iterable[BuiltZone]) -> int:
    """Cache what another agent wrote, up to what is malformed; how many answers. Closes the descriptor.

    Raises MalformedControlMessage if the descriptor is not that of a file that `write` makes.
    """
    zones = {digest(one.block): one for one in built if one.block.cache is not None}
    taken = 0
    pause = monotonic() + STEP_SECONDS
    with open_sealed(descriptor, MAX_CACHE_OCTETS) as file:
        try:
            for kept in unpacked(file.read):
                if kept is not None:
                    taken += take(kept, zones.get(kept.digest), monotonic())
                if monotonic() >= pause:
                    await asyncio.sleep(0)
                    pause = monotonic() + STEP_SECONDS
        except (MalformedCache, OSError) as error:
            log.warning("the rest of the cache of the previous agent is not taken: %s", error)
    return taken


def take(kept: SnapshotEntry, one: BuiltZone | None, now: float) -> bool:
    """Cache an answer with the age it has; whether it was cached."""
    if one is None or not kept.stored_at <= now:
        return False
    answer, zone = kept.answer, one.zone
    cache = zone.cache
    ttl = seconds_to_keep(answer, reply_ttl(answer, zone.options.bounds), time)
    is_of_use = ttl > 0 and now < kept.stored_at + ttl + cache.stale_seconds
    if not is_of_use or cache.get(kept.key, now) is not None:
        return False
    entry = cache.put(kept.key, answer, ttl, kept.stored_at)
    if entry is None:
        return False
    entry.note_uses(kept.frequency)
    return True
