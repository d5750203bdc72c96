"""Series of the cache, `coredns_cache_*`, and of its bytes."""

from collections.abc import Iterator

from .exposition import Family, counter, gauge, singles
from .scrape import CacheNumbers, Scrape

_ZONES = ("server", "zones", "view")
_TYPED = ("server", "type", "zones", "view")
# Fields of CacheNumbers, and what the series of that name says of them.
_PLAIN = {
    "requests": "Queries the cache was asked for.",
    "misses": "Queries the cache could not answer.",
    "prefetch": "Answers fetched again before they expired.",
    "served_stale": "Queries answered past the TTL.",
    "drops": "Answers not kept: not what was asked.",
}


def cache_families(scrape: Scrape) -> Iterator[Family]:
    """Contents and counts of every zone's cache."""
    caches = scrape.caches
    entries = gauge("coredns_cache_entries", "Answers kept that can still be served.", *_TYPED)
    hits = counter("coredns_cache_hits_total", "Queries answered from the cache.", *_TYPED)
    evictions = counter("coredns_cache_evictions_total", "Answers evicted for room.", *_TYPED)
    for numbers in caches:
        _add_typed(entries, numbers, numbers.success_entries, numbers.denial_entries)
        _add_typed(hits, numbers, numbers.hits_success, numbers.hits_denial)
        _add_typed(evictions, numbers, numbers.evictions_success, numbers.evictions_denial)
    yield entries
    yield hits
    yield evictions
    for field, text in _PLAIN.items():
        family = counter(f"coredns_cache_{field}_total", text, *_ZONES)
        for numbers in caches:
            family.add((numbers.server, numbers.zones, ""), getattr(numbers, field))
        yield family
    yield from _room_families(scrape)


def _add_typed(family: Family, numbers: CacheNumbers, success: int, denial: int) -> None:
    family.add((numbers.server, "success", numbers.zones, ""), success)
    family.add((numbers.server, "denial", numbers.zones, ""), denial)


def _room_families(scrape: Scrape) -> Iterator[Family]:
    agent = scrape.agent
    yield from singles(
        ("nodecache_cache_bytes", "Memory of cached answers, all zones together.", agent.cache_octets),
        ("nodecache_cache_budget_bytes", "Limit of the memory of cached answers.", agent.cache_budget_octets),
        ("nodecache_reply_table_entries", "Finished replies ready for equal queries.", agent.reply_table_entries),
    )  # fmt: skip
