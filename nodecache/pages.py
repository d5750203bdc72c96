"""The worker's pages: metrics, health, readiness, at the addresses that flags and Corefile name."""

import asyncio
import logging
import time
from collections.abc import Iterator

from nodecache import probes, web
from nodecache.config import Config
from nodecache.flags import Flags
from nodecache.histogram import Histogram
from nodecache.metrics import (
    AgentNumbers,
    CacheNumbers,
    Collector,
    DirectiveCounts,
    Source,
    UpstreamState,
)
from nodecache.server import Outcome
from nodecache.serving import Serving
from nodecache.vitals import KeeperVitals

log = logging.getLogger(__name__)

_HEALTH_BOUNDS = (0.00025, 0.0025, 0.025, 0.25, 2.5)  # plugin/health of CoreDNS, seconds
# Directives that handle queries, as CoreDNS's `coredns_plugin_enabled` counts them.
_NOT_HANDLERS = frozenset(
    ("bind", "bufsize", "debug", "health", "pprof", "ready", "reload", "timeouts", "nodecache")
)


class Pages:
    """What is told over HTTP. An address that is taken is an error line, never the end."""

    def __init__(self, flags: Flags, serving: Serving, vitals: KeeperVitals) -> None:
        self.readiness = probes.Readiness()
        self.readiness.require("sockets")
        if flags.sets_up_host:
            self.readiness.require("addresses")
        self._flags = flags
        self._serving = serving
        self._collector = Collector(self._read, vitals)
        self._health_duration = Histogram(_HEALTH_BOUNDS)
        self._reload_failures = 0
        self._loaded_at = time.time()
        self._servers: dict[tuple[str, str], web.WebServer] = {}
        self._check: probes.SelfCheck | None = None
        self._checking: asyncio.Task[None] | None = None
        self.take_vitals(vitals, 0)

    async def begin(self, config: Config) -> None:
        """Open every page."""
        await self.change_to(config)

    async def change_to(self, config: Config) -> None:
        """Open the pages a configuration asks for, and close those it no longer does."""
        self._loaded_at = time.time()
        wanted = dict.fromkeys(self._wanted(config))
        for gone in [each for each in self._servers if each not in wanted]:
            self._servers.pop(gone).close()
        for page, address in wanted:
            if (page, address) not in self._servers:
                await self._open(page, address)
        self._check_health(config)

    def _wanted(self, config: Config) -> Iterator[tuple[str, str]]:
        yield "/metrics", self._flags.metrics_listen_address
        for block in config.corefile.blocks:
            if block.prometheus is not None:
                yield "/metrics", block.prometheus.address
            if block.health is not None:
                yield "/health", block.health.address
            if block.ready is not None:
                yield "/ready", block.ready.address

    async def _open(self, page: str, address: str) -> None:
        pages = {
            "/metrics": self._collector.page,
            "/health": probes.health_page,
            "/ready": self.readiness.page,
        }
        shown = {page: pages[page]}
        if page == "/health":  # so that a readiness probe needs no further port
            shown["/ready"] = pages["/ready"]
        try:
            listener = web.open_listener(address)
        except (OSError, ValueError) as error:
            log.error("cannot serve %s on %s: %s", page, address, error)  # noqa: TRY400
            return
        host, port = listener.getsockname()[:2]
        if address.endswith(":0"):
            log.info("%s is served on %s:%d", page, host, port)
        server = web.WebServer(shown)
        await server.serve(listener)
        self._servers[page, address] = server

    def _check_health(self, config: Config) -> None:
        """Ask for our own /health once a second, as CoreDNS does."""
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        health = next((b.health for b in config.corefile.blocks if b.health is not None), None)
        if health is not None and ("/health", health.address) in self._servers:
            host, port = web.split_address(health.address)
            self._check = probes.SelfCheck(
                host=host or "127.0.0.1", port=port, observe=self._health_duration.observe
            )
            self._checking = asyncio.get_running_loop().create_task(self._check.run())

    def take_vitals(self, vitals: KeeperVitals, reload_failures: int) -> None:
        """The keeper tells how it and the host are."""
        self._collector.keeper = vitals
        self._reload_failures = reload_failures
        if self._flags.sets_up_host:
            self.readiness.tell("addresses", is_met=bool(vitals.lease.get("is_held", 1)))

    def tick(self) -> None:
        """Once a second: fold the counts, so that a scrape finds little to do."""
        self._serving.fold()

    def close(self) -> None:
        """Close every page."""
        if self._checking is not None:
            self._checking.cancel()
        for server in self._servers.values():
            server.close()

    # What a scrape reads

    def _read(self) -> Source:
        serving = self._serving
        serving.fold()
        upstreams = serving.shop.upstreams.all()
        return Source(
            servers=list(serving.counts.values()),
            plugins=self._plugins(),
            caches=list(self._caches()),
            upstreams=[upstream.counts for upstream in upstreams],
            upstream_states=[
                UpstreamState(
                    to=upstream.to,
                    is_quarantined=upstream.is_quarantined,
                    round_trip_seconds=upstream.round_trip_seconds,
                    in_flight=upstream.in_flight,
                )
                for upstream in upstreams
            ],
            forwarders=[f.counts for made in serving.built for f in made.forwarders],
            directives=self._directive_counts(),
            agent=self._agent_numbers(),
        )

    def _directive_counts(self) -> DirectiveCounts:
        totals = self._serving.shop.totals
        hosts = [each for made in self._serving.built if (each := made.directives.hosts)]
        return DirectiveCounts(
            template_matches=totals.template.matches,
            template_failures=totals.template.failures,
            template_rr_failures=totals.template.rr_failures,
            dns64_translated=totals.translated,
            acl=totals.acl,
            hosts_entries={each.file.path: len(each) for each in hosts},
            hosts_reloaded_at=max((each.file.changed_at for each in hosts), default=0.0),
        )

    def _plugins(self) -> list[tuple[str, str, str]]:
        return [
            (server, zone, name)
            for server, zone, made in self._serving.placed
            for name in made.block.directives
            if name not in _NOT_HANDLERS
        ]

    def _caches(self) -> Iterator[CacheNumbers]:
        """Hits and misses at each address; what the zone's one cache holds, at its first."""
        told: set[int] = set()
        for server, zone, made in self._serving.placed:
            if not made.zone.options.uses_cache:
                continue
            outcomes = self._serving.counts[server, zone].outcomes
            hits = outcomes[Outcome.HIT_SUCCESS], outcomes[Outcome.HIT_DENIAL]
            numbers = CacheNumbers(
                server=server,
                zones=zone,
                requests=sum(hits) + outcomes[Outcome.MISS],
                hits_success=hits[0],
                hits_denial=hits[1],
                misses=outcomes[Outcome.MISS],
            )
            cache = made.zone.cache
            if id(cache) not in told:
                told.add(id(cache))
                numbers.prefetches = cache.counts.prefetches
                numbers.served_stale = cache.counts.served_stale
                numbers.drops = cache.counts.drops
                numbers.evictions_success = cache.success.evictions
                numbers.evictions_denial = cache.denial.evictions
                numbers.success_entries = len(cache.success)
                numbers.denial_entries = len(cache.denial)
            yield numbers

    def _agent_numbers(self) -> AgentNumbers:
        serving = self._serving
        config = serving.config
        return AgentNumbers(
            panics=serving.shop.chains.panics,
            reload_failures=self._reload_failures,
            is_last_reload_good=self._collector.keeper.is_config_current,
            config_hash=config.hash if config is not None else "",
            is_config_last_good=config is not None and config.is_last_known_good,
            config_loaded_at=self._loaded_at,
            health_duration=self._health_duration,
            health_failures=self._check.failures if self._check else 0,
            cache_octets=serving.shop.budget.used,
            cache_budget_octets=serving.shop.budget.limit,
            reply_table_entries=sum(len(each.udp.replies) for each in serving.listeners.values()),
            tasks=len(asyncio.all_tasks()),
            queries_in_flight=len(serving.shop.room),
            queries_shed=serving.shop.room.refused,
        )
