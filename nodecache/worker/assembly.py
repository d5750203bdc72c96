"""From one server block's options to its running zone."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from time import monotonic, monotonic_ns, time_ns
from typing import TYPE_CHECKING

from nodecache.cache import Bounds, Budget, Cache, Failures, Prefetch
from nodecache.corefile import CacheOptions, DnstapOptions, ServerBlock
from nodecache.corefile.options import MIN_CAPACITY
from nodecache.forward import Forwarder, UpstreamRegistry
from nodecache.server import (
    Chain,
    ChainCounts,
    ChainSource,
    DirectiveCounts,
    Directives,
    ErrorLog,
    ForwardSource,
    InflightLimiter,
    Lookup,
    SearchAhead,
    Source,
    StalePolicy,
    Zone,
    ZoneOptions,
    forward_lookup,
    no_forward,
    open_directives,
)
from nodecache.wire import wire_of

from .forwarding import DnsService, open_forwarders
from .refreshing import Refreshing

if TYPE_CHECKING:
    from nodecache.server.directives.dnstap.sink import Sink
    from nodecache.server.directives.trace.spans import Tracer

_ROOT = frozenset((b"\0",))
_EVERYWHERE = (".", "in-addr.arpa.", "ip6.arpa.")
_CLUSTER_DOMAIN = ".cluster.local."
_CLUSTER_DENIAL_SECONDS = 5
# Popular names are fetched again before they expire: asked ten times without a pause of a minute,
# a tenth of the TTL before the end. Each costs one query a TTL, as it would by a miss.
_DEFAULT_PREFETCH = Prefetch(amount=10, seconds=60.0, percentage=10)
# A cache that nobody needs any more is emptied beside the queries: 1 ms of work, 100 times a second.
_LOT = 250
_LOT_PAUSE_SECONDS = 0.01


@dataclass(slots=True)
class WorkerContext:
    """What all zones of a worker share."""

    loop: asyncio.AbstractEventLoop
    upstreams: UpstreamRegistry
    budget: Budget
    limiter: InflightLimiter
    directive_counts: DirectiveCounts = field(default_factory=DirectiveCounts)
    chains: ChainCounts = field(default_factory=ChainCounts)
    lookup: Lookup = no_forward
    """How the server asks itself."""
    search_ahead: SearchAhead = field(init=False)

    def __post_init__(self) -> None:
        self.search_ahead = SearchAhead(self.limiter)


@dataclass(slots=True)
class BuiltZone:
    """A block's running zone, its forwarders, and the options it was made from."""

    block: ServerBlock
    zone: Zone
    forwarders: Sequence[Forwarder]
    directives: Directives
    refreshing: Refreshing
    loop: asyncio.AbstractEventLoop

    def close(self, *, keeps_cache: bool) -> None:
        """Close everything of the zone; the cache only if no other zone has taken it over."""
        for forwarder in self.forwarders:
            forwarder.close()
        self.directives.close()
        self.refreshing.close()
        if self.zone.errors is not None:
            self.zone.errors.close()
        if not keeps_cache:
            self.zone.cache.close()
            release_cache(self.zone.cache, self.loop)


def release_cache(cache: Cache, loop: asyncio.AbstractEventLoop) -> None:
    """Free a closed cache's entries in steps: half a million take more than a second."""
    if cache.release(_LOT):
        loop.call_later(_LOT_PAUSE_SECONDS, release_cache, cache, loop)


def build(
    block: ServerBlock,
    context: WorkerContext,
    before: BuiltZone | None = None,
    dns_service: DnsService | None = None,
    *,
    waits: bool = False,
) -> BuiltZone:
    """Make a block's zone, with the cache of `before` if that asked the same upstreams.

    `dns_service` has kube-dns' pods. Nothing that is running is changed; `adjust_cache` does that when the
    zone is put in force. Raises OSError or ValueError with the reason, about a file that the block names;
    files of upstreams are no reason if it `waits` for them.
    """
    options = zone_options(block)
    with contextlib.ExitStack() as undoing:
        forwarders = open_forwarders(block, context.upstreams, dns_service, waits=waits)
        for forwarder in forwarders:
            undoing.callback(forwarder.close)
        source = ForwardSource(forwarders, context.upstreams.is_loop_probe)
        directives = open_directives(
            block,
            context.directive_counts,
            partial(_open_sink, context.loop),
            source.covers,
            partial(_open_tracer, context.loop),
        )
        undoing.callback(directives.close)
        source.observe_by(directives.forward_observer)
        zone = Zone(
            options,
            new_cache(block, options, context.budget) if before is None else before.zone.cache,
            Failures(block.cache.servfail_seconds if block.cache is not None else None),
            _below(directives, source, options, context),
            context.limiter,
            context.loop,
            ErrorLog(block.errors, context.loop.call_later) if block.errors else None,
            context.search_ahead if searches_ahead(block) else None,
        )
        if (acl := directives.acl) is not None:
            zone.admits = acl.admits
        if directives.above:
            zone.above = Chain(
                directives.above,
                zone.terminal(),
                context.lookup,
                context.chains,
                context.loop.call_later,
            )
            zone.prepare_reply = directives.prepare_reply()
        if block.loop:
            for forwarder in forwarders:
                forwarder.watch_for_loops(block.zone_names[0])
        refreshing = Refreshing(directives.refreshed, context.loop)
        undoing.pop_all()
    return BuiltZone(block, zone, forwarders, directives, refreshing, context.loop)


def _open_sink(loop: asyncio.AbstractEventLoop, options: DnstapOptions) -> "Sink":
    from nodecache.server.directives.dnstap.sink import open_sink  # noqa: PLC0415 - few have `dnstap`

    return open_sink(options, loop)


def _open_tracer(loop: asyncio.AbstractEventLoop, block: ServerBlock) -> "Tracer | None":
    """The tracer of a block with `trace`; None without Zipkin or with `every 0`."""
    options = block.trace
    if options is None or options.endpoint_type != "zipkin" or not options.every:
        return None
    from nodecache.server.directives.trace.sink import ZipkinSink  # noqa: PLC0415 - few have `trace`
    from nodecache.server.directives.trace.spans import Tracer  # noqa: PLC0415

    sink = ZipkinSink(options, _first_address(block), loop)
    bits = random.Random(secrets.randbits(64)).getrandbits  # noqa: S311 (no secret)
    return Tracer(sink, monotonic_ns, time_ns, bits)


def _first_address(block: ServerBlock) -> tuple[str, int] | None:
    """The first address and port that a block binds; None if it names none."""
    if block.bind is None:
        return None
    host = block.bind.lines[0].addresses[0]
    try:
        ip_address(host)
    except ValueError:
        return None
    return host, block.zones[0].port


def _below(
    directives: Directives, source: ForwardSource, options: ZoneOptions, context: WorkerContext
) -> Source:
    """The source of a zone's misses: its forwarders, behind the directives below the cache."""
    if not directives.below:
        return source
    end = forward_lookup(source, options.deadline_seconds, monotonic)
    return ChainSource(Chain(directives.below, end, context.lookup, context.chains), source)


def searches_ahead(block: ServerBlock) -> bool:
    """Whether a block's questions are asked ahead of clients.

    Not with directives that answer here (`template` counts its matches, `hosts` and `whoami` take no
    time), nor with `metadata` and `trace`, which are about queries that clients sent.
    """
    answers_itself = block.templates or block.hosts is not None or block.whoami
    notes_queries = block.metadata is not None or block.trace is not None
    return bool(block.nodecache.searches_ahead and not answers_itself and not notes_queries)


def new_cache(block: ServerBlock, options: ZoneOptions, budget: Budget) -> Cache:
    """An empty cache with the block's capacities."""
    return Cache(budget, *_capacities(block), _stale_seconds(options))


def adjust_cache(built: BuiltZone) -> None:
    """Set the capacities and stale time of the zone's block on the cache that it took over."""
    cache = built.zone.cache
    cache.success.capacity, cache.denial.capacity = _capacities(built.block)
    cache.stale_seconds = _stale_seconds(built.zone.options)


def _capacities(block: ServerBlock) -> tuple[int, int]:
    """The highest number of positive and of negative answers."""
    cache = block.cache or CacheOptions()
    return (
        max(cache.success_capacity, MIN_CAPACITY),
        max(cache.denial_capacity, MIN_CAPACITY),
    )


def _stale_seconds(options: ZoneOptions) -> float:
    return options.stale.seconds if options.stale else 0.0


def zone_options(block: ServerBlock) -> ZoneOptions:
    """The zone's options by the block's directives, with our defaults."""
    cache = block.cache
    if cache is None:
        is_alike_for_all = not (block.rewrites or block.templates or block.whoami)
        return ZoneOptions(
            uses_cache=False, stale=None, joins_misses=is_alike_for_all, bufsize=block.bufsize or 0
        )
    return ZoneOptions(
        bufsize=block.bufsize or 0,
        bounds=bounds_of(block, cache),
        stale=_stale(block, cache),
        prefetch=_prefetch(cache),
        keeps_ttl=cache.keepttl,
        success_disabled=frozenset(map(wire_of, cache.disable_success)),
        denial_disabled=frozenset(map(wire_of, cache.disable_denial)),
        cached_zones=frozenset(map(wire_of, cache.zones)) or _ROOT,
    )


def bounds_of(block: ServerBlock, cache: CacheOptions) -> Bounds:
    """The TTL bounds of `cache`; for the cluster's domain 5 s for negative answers if it gives none."""
    denial_ttl = cache.denial_ttl
    if not cache.has_denial and (cap := _denial_cap(block)) is not None:
        denial_ttl = min(denial_ttl, cap)
    return Bounds(
        success_min_ttl=cache.success_min_ttl,
        success_ttl=cache.success_ttl,
        denial_min_ttl=min(cache.denial_min_ttl, denial_ttl),
        denial_ttl=denial_ttl,
    )


def _stale(block: ServerBlock, cache: CacheOptions) -> StalePolicy | None:
    """`serve_stale` as CoreDNS has it; without it RFC 8767, for an hour at most."""
    asked = cache.serve_stale
    if asked is None:
        own = block.nodecache
        if not own.stale_seconds:
            return None
        return StalePolicy(
            seconds=own.stale_seconds, client_timeout_seconds=own.client_deadline_seconds
        )
    if not asked.seconds:
        return None
    patience = 0.0 if asked.mode == "immediate" else asked.verify_timeout_seconds or None
    return StalePolicy(
        seconds=asked.seconds,
        client_timeout_seconds=patience,
        ttl=asked.response_ttl,
        recheck_seconds=asked.failure_recheck_seconds,
        prefers_positive=asked.prefers_positive,
    )


def _prefetch(cache: CacheOptions) -> Prefetch | None:
    asked = cache.prefetch
    if asked is None:
        return _DEFAULT_PREFETCH
    if not asked.amount:
        return None
    return Prefetch(amount=asked.amount, seconds=asked.seconds, percentage=asked.percentage)


def _denial_cap(block: ServerBlock) -> int | None:
    """Whole seconds. Services come and go in the cluster's domain; the stock file says 5 s for it."""
    names = [zone.zone_name for zone in block.zones]
    own = block.nodecache.denial_cap_seconds
    if own is not None:
        is_capped = not any(name in _EVERYWHERE for name in names)
    else:
        own = _CLUSTER_DENIAL_SECONDS
        is_capped = all(f".{name}".endswith(_CLUSTER_DOMAIN) for name in names)
    return int(own) if is_capped else None
