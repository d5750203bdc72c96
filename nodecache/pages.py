"""The worker's pages: metrics, health, readiness, at the addresses that flags and Corefile name."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping

from nodecache import pprof, probes, web
from nodecache.config import Config
from nodecache.flags import Flags
from nodecache.histogram import Histogram
from nodecache.log import lines_lost
from nodecache.metrics import AgentNumbers, Collector, Source
from nodecache.readings import Readings
from nodecache.serving import Serving
from nodecache.vitals import KeeperVitals

log = logging.getLogger(__name__)

_HEALTH_BOUNDS = (0.00025, 0.0025, 0.025, 0.25, 2.5)  # plugin/health of CoreDNS, seconds


class Pages:
    """What is told over HTTP. An address that is taken is an error line, never the end."""

    def __init__(self, flags: Flags, serving: Serving, vitals: KeeperVitals) -> None:
        self.readiness = probes.Readiness()
        self.readiness.require("sockets")
        if flags.sets_up_host:
            self.readiness.require("addresses")
        self._flags = flags
        self._serving = serving
        self._readings = Readings(serving)
        self._collector = Collector(self._read, vitals, serving.folding)
        self._health_duration = Histogram(_HEALTH_BOUNDS)
        self._reload_failures = 0
        self._loaded_at = time.time()
        self._servers: dict[tuple[str, str], web.WebServer] = {}
        self._check: probes.SelfCheck | None = None
        self._checking: asyncio.Task[None] | None = None
        self._asked_for: dict[tuple[str, str], None] = {}
        self._refused: set[tuple[str, str]] = set()
        self._opening: asyncio.Task[None] | None = None
        self.take_vitals(vitals, 0)

    async def begin(self, config: Config) -> None:
        """Open every page."""
        await self.change_to(config)

    async def change_to(self, config: Config) -> None:
        """Open the pages a configuration asks for, and close those it no longer does."""
        self._loaded_at = time.time()
        for counted in self._readings.gone():
            self._collector.carry(counted)
        self._collector.forget_texts()
        self._asked_for = wanted = dict.fromkeys(self._wanted(config))
        for gone in [each for each in self._servers if each not in wanted]:
            self._servers.pop(gone).close()
        await self._open_missing()
        self._check_health(config)

    async def _open_missing(self) -> None:
        for page, address in self._asked_for:
            if (page, address) not in self._servers:
                await self._open(page, address)

    async def _open_late(self) -> None:
        """Try again what could not be opened: its owner, such as an agent before us, may be gone."""
        before = len(self._servers)
        await self._open_missing()
        if len(self._servers) > before and self._serving.config is not None:
            self._check_health(self._serving.config)

    def _wanted(self, config: Config) -> Iterator[tuple[str, str]]:
        yield "/metrics", self._flags.metrics_listen_address
        for block in config.corefile.blocks:
            if block.prometheus is not None:
                yield "/metrics", block.prometheus.address
            if block.health is not None:
                yield "/health", block.health.address
            if block.ready is not None:
                yield "/ready", block.ready.address
            if block.pprof is not None:
                yield pprof.PATH, block.pprof.address

    async def _open(self, page: str, address: str) -> None:
        pages: dict[str, Mapping[str, web.Page]] = {
            "/metrics": {page: self._collector.page},
            # With /ready beside it, so that a readiness probe needs no further port.
            "/health": {page: probes.health_page, "/ready": self.readiness.page},
            "/ready": {page: self.readiness.page},
            pprof.PATH: pprof.pages(),
        }
        try:
            listener = web.open_listener(address)
        except (OSError, ValueError) as error:
            if (page, address) not in self._refused:
                log.error("cannot serve %s on %s: %s", page, address, error)  # noqa: TRY400
            self._refused.add((page, address))
            return
        host, port = listener.getsockname()[:2]
        if address.endswith(":0") or (page, address) in self._refused:
            log.info("%s is served on %s:%d", page, host, port)
        self._refused.discard((page, address))
        self._servers[page, address] = server = web.WebServer(pages[page])
        await server.serve(listener)

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
        """Once a second: try again for the addresses that were taken."""
        if self._refused:
            self._opening = asyncio.get_running_loop().create_task(self._open_late())

    def close(self) -> None:
        """Close every page."""
        self._asked_for = {}
        self._refused.clear()
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _read(self) -> Source:
        """What a scrape tells."""
        source = self._readings.source()
        source.agent = self._agent_numbers()
        return source

    def _agent_numbers(self) -> AgentNumbers:
        serving = self._serving
        config = serving.config
        return AgentNumbers(
            panics=serving.panics,
            reload_failures=self._reload_failures,
            is_last_reload_good=self._collector.keeper.is_config_current,
            config_hash=config.hash if config is not None else "",
            is_config_last_good=config is not None and config.is_last_known_good,
            config_loaded_at=self._loaded_at,
            health_duration=self._health_duration,
            health_failures=self._check.failures if self._check else 0,
            cache_octets=serving.shop.budget.used,
            cache_budget_octets=serving.shop.budget.limit,
            reply_table_entries=sum(
                each.udp.finished_replies for each in serving.listeners.values()
            ),
            tasks=len(asyncio.all_tasks()),
            queries_in_flight=len(serving.shop.room),
            queries_shed=serving.shop.room.refused,
            log_lines_lost=lines_lost(),
        )
