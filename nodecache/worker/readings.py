"""Collects the counts of everything that serves now into a Scrape, for a scrape."""

from collections.abc import Callable, Iterator
from functools import partial

from nodecache.cache import Cache
from nodecache.metrics import CacheNumbers, Scrape, UpstreamState
from nodecache.server import Outcome

from .assembly import BuiltZone
from .serving import Serving

# Directives that handle no query, which CoreDNS's `coredns_plugin_enabled` leaves out.
_NOT_HANDLERS = frozenset(
    ("bind", "bufsize", "debug", "health", "pprof", "ready", "reload", "timeouts", "nodecache")
)

# A part that a reload may take away, and what it has counted.
Part = tuple[object, Callable[[], Scrape]]


class Readings:
    """Reads the counts of the parts of `serving`."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._parts: dict[int, Part] = {}

    def scrape(self) -> Scrape:
        """Everything but the agent's own numbers."""
        serving = self._serving
        hosts = [each for made in serving.built if (each := made.directives.hosts)]
        return Scrape(
            servers=list(serving.counts.values()),
            plugins=self._plugins(),
            caches=list(self._caches()),
            upstreams=serving.context.upstreams.counts(),
            upstream_states=[
                UpstreamState(
                    to=upstream.to,
                    is_quarantined=upstream.is_quarantined,
                    round_trip_seconds=upstream.round_trip_seconds,
                    in_flight=upstream.in_flight,
                )
                for upstream in serving.context.upstreams.all()
            ],
            cluster_pods=serving.pods.counted(),
            forwarders=[f.counts for made in serving.built for f in made.forwarders],
            directives=serving.context.directive_counts,
            hosts_entries={each.file.path: len(each) for each in hosts},
            hosts_reloaded_at=max((each.file.changed_at for each in hosts), default=0.0),
        )

    def gone(self) -> Iterator[Scrape]:
        """What each part had counted that a reload took away; to be asked after every reload.

        The counts of zones and upstreams are not among them: they outlive reloads.
        """
        before, self._parts = self._parts, {id(part[0]): part for part in self._live()}
        for key, (_, read) in before.items():
            if key not in self._parts:
                yield read()

    def _live(self) -> Iterator[Part]:
        for made in self._serving.built:
            for forwarder in made.forwarders:
                yield forwarder.counts, partial(Scrape, forwarders=[forwarder.counts])
        for server, zones, cache in self._first_places():
            yield cache, partial(_cache_scrape, server, zones, cache)

    def _plugins(self) -> list[tuple[str, str, str]]:
        return [
            (server, zone, name)
            for server, zone, made in self._serving.placed
            for name in made.block.directives
            if name not in _NOT_HANDLERS
        ]

    def _caches(self) -> Iterator[CacheNumbers]:
        """Hits and misses at each address; what the zone's one cache holds, at its first."""
        for server, zones, cache in self._first_places():
            yield _cache_numbers(server, zones, cache)
        for server, zone, made in self._serving.placed:
            if made.zone.options.uses_cache:
                outcomes = self._serving.counts[server, zone].outcomes
                success, denial = outcomes[Outcome.HIT_SUCCESS], outcomes[Outcome.HIT_DENIAL]
                misses = outcomes[Outcome.MISS]
                yield CacheNumbers(
                    server=server,
                    zones=_zones_label(made),
                    requests=success + denial + misses,
                    hits_success=success,
                    hits_denial=denial,
                    misses=misses,
                )

    def _first_places(self) -> Iterator[tuple[str, str, Cache]]:
        """Each cache once, with the first address that it is used at, and its zones."""
        told: set[int] = set()
        for server, _, made in self._serving.placed:
            cache = made.zone.cache
            if made.zone.options.uses_cache and id(cache) not in told:
                told.add(id(cache))
                yield server, _zones_label(made), cache


def _zones_label(made: BuiltZone) -> str:
    """The zones of a block's cache, as CoreDNS joins them to one label (plugin/cache/setup.go)."""
    block = made.block
    return ",".join((block.cache.zones if block.cache else ()) or block.zone_names)


def _cache_scrape(server: str, zones: str, cache: Cache) -> Scrape:
    return Scrape(caches=[_cache_numbers(server, zones, cache)])


def _cache_numbers(server: str, zones: str, cache: Cache) -> CacheNumbers:
    """What a cache holds, and what it did besides answering."""
    return CacheNumbers(
        server=server,
        zones=zones,
        prefetch=cache.counts.prefetches,
        served_stale=cache.counts.served_stale,
        drops=cache.counts.drops,
        evictions_success=cache.success.evictions,
        evictions_denial=cache.denial.evictions,
        success_entries=len(cache.success),
        denial_entries=len(cache.denial),
    )
