"""The worker's pages: metrics, health, readiness, at the addresses that flags and Corefile name."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from nodecache.config.flags import Flags
from nodecache.config.source import Config
from nodecache.forward.histogram import Histogram
from nodecache.metrics import AgentNumbers, Collector, Scrape
from nodecache.metrics.exposition import CONTENT_TYPE
from nodecache.metrics.history import SAMPLE_SECONDS, History
from nodecache.process.log import lines_lost
from nodecache.process.vitals import KeeperVitals
from nodecache.web import listen
from nodecache.web import server as web
from nodecache.web.secured import PLAIN, WebConfig, names_of, stamp_of

from . import front_page, pprof, probes
from .readings import Readings
from .serving import Serving

log = logging.getLogger(__name__)

_HEALTH_BOUNDS = (0.00025, 0.0025, 0.025, 0.25, 2.5)  # plugin/health of CoreDNS, seconds


@dataclass(frozen=True, slots=True)
class WantedPage:
    """A page that is asked for, where, and how it is to be served."""

    page: str
    address: str
    web_config: str = ""
    """A file of the Prometheus exporter toolkit; "" is plain HTTP."""
    is_continuous: bool = True
    """Of `/ready`: whether what was met once is looked at again."""


@dataclass(slots=True)
class OpenPage:
    """A page that is served, and how."""

    server: web.WebServer
    secured: WebConfig


class Pages:
    """The pages and their servers. An address that is taken is an error line, and tried again."""

    def __init__(self, flags: Flags, serving: Serving, vitals: KeeperVitals) -> None:
        self.readiness = probes.Readiness()
        self.readiness.require("sockets")
        if flags.sets_up_host:
            self.readiness.require("addresses")
        self._flags = flags
        self._serving = serving
        self._readings = Readings(serving)
        self._collector = Collector(self._read, vitals, serving.flush_in_slices)
        self._page_maker = web.PageMaker()
        self._health_duration = Histogram(_HEALTH_BOUNDS)
        self._reload_failures = 0
        self._loaded_at = time.time()
        self._servers: dict[WantedPage, OpenPage] = {}
        self._contents: dict[tuple[str, str], dict[str, web.Page]] = {}
        """By address and web configuration; the servers there have one and the same."""
        self._check: probes.SelfCheck | None = None
        self._checking: asyncio.Task[None] | None = None
        self._asked_for: list[WantedPage] = []
        self._refused: set[WantedPage] = set()
        self._opening: asyncio.Task[None] | None = None
        self._history = History()
        self._sampling: asyncio.Task[None] | None = None
        self._until_sample = 0.0  # seconds, which are ticks
        self._started_at = self._in_force_since = time.monotonic()
        self.take_vitals(vitals, 0)

    async def change_to(self, config: Config) -> None:
        """Open the pages a configuration asks for, and close those it no longer does."""
        self._loaded_at, self._in_force_since = time.time(), time.monotonic()
        for counted in self._readings.gone():
            self._collector.carry(counted)
        self.readiness.forget()
        # Where two blocks name the same page and address, the last one says how it is served.
        wanted = {(each.page, each.address): each for each in self._wanted(config)}
        self._asked_for = list(wanted.values())
        self._refused.intersection_update(self._asked_for)
        for gone in [each for each in self._servers if each not in self._asked_for]:
            self._servers.pop(gone).server.close()
        self._fill_contents()
        await self._open_missing()
        self._check_health(config)

    async def _open_missing(self) -> None:
        for wanted in self._asked_for:
            if wanted not in self._servers:
                await self._open(wanted)

    async def _open_late(self) -> None:
        """Try again to open what could not be opened: another process may have released the address."""
        before = len(self._servers)
        await self._open_missing()
        if len(self._servers) > before and self._serving.config is not None:
            self._check_health(self._serving.config)

    def _wanted(self, config: Config) -> Iterator[WantedPage]:
        if self._flags.metrics_listen_address:
            yield WantedPage("/metrics", self._flags.metrics_listen_address)
        for block in config.corefile.blocks:
            if (metrics := block.prometheus) is not None:
                yield WantedPage("/metrics", metrics.address, metrics.tls_config_file)
            if block.health is not None:
                yield WantedPage("/health", block.health.address)
            if (ready := block.ready) is not None:
                is_continuous = ready.monitor == "continuously"
                yield WantedPage("/ready", ready.address, is_continuous=is_continuous)
            if block.pprof is not None:
                yield WantedPage(pprof.PATH, block.pprof.address)

    def _fill_contents(self) -> None:
        """Have every server of an address serve all that is asked for there.

        The kernel deals an address's connections out to its sockets (SO_REUSEPORT): with one page each,
        as in CoreDNS, a probe and a scrape of one address would be 404 now and then.
        """
        for contents in self._contents.values():
            contents.clear()
        for wanted in sorted(self._asked_for, key=lambda each: each.page == "/ready"):
            key = wanted.address, wanted.web_config
            self._contents.setdefault(key, {}).update(self._pages_of(wanted))

    def _pages_of(self, wanted: WantedPage) -> Mapping[str, web.Page]:
        if wanted.page == "/metrics":
            metrics = partial(metrics_page, self._collector, self._page_maker)
            return {wanted.page: metrics, "/": self._front_page}
        if wanted.page == "/health":
            # With /ready beside it, so that a readiness probe needs no further port.
            return {wanted.page: probes.health_page, "/ready": self.readiness.page}
        if wanted.page == "/ready":
            ready = self.readiness
            return {wanted.page: ready.page if wanted.is_continuous else ready.page_until_ready}
        return pprof.pages()

    async def _open(self, wanted: WantedPage, secured: WebConfig | None = None) -> None:
        """Serve a page as its web configuration asks, which is read here unless it is given."""
        try:
            secured = secured or _read(wanted.web_config)
            listener = listen.open_listener(wanted.address)
        except (OSError, ValueError) as error:
            if wanted not in self._refused:
                log.error("cannot serve %s on %s: %s", wanted.page, wanted.address, error)
            self._refused.add(wanted)
            return
        host, port = listener.getsockname()[:2]
        if wanted.address.endswith(":0") or wanted in self._refused:
            log.info("%s is served on %s:%d", wanted.page, host, port)
        self._refused.discard(wanted)
        contents = self._contents[wanted.address, wanted.web_config]
        server = web.WebServer(contents, secured.headers, _access_rule(secured))
        self._servers[wanted] = OpenPage(server, secured)
        await server.serve(listener, secured.context)

    async def _renew(self) -> None:
        """Open pages again whose certificates or web configuration changed."""
        for wanted, opened in list(self._servers.items()):
            if not opened.secured.has_changed():
                continue
            stamp = stamp_of(opened.secured.files)  # before reading: what changes after is seen
            try:
                secured = _renewed(wanted.web_config, opened.secured)
            except (OSError, ValueError) as error:
                log.error("%s goes on as before: %s", wanted.page, error)
                opened.secured = replace(opened.secured, stamp=stamp)
                continue
            self._servers.pop(wanted).server.close()
            await self._open(wanted, secured)

    def _check_health(self, config: Config) -> None:
        """Ask for our own /health once a second, as CoreDNS does."""
        self._stop_health_check()
        health = next((b.health for b in config.corefile.blocks if b.health is not None), None)
        if health is not None and WantedPage("/health", health.address) in self._servers:
            host, port = listen.split_address(health.address)
            self._check = probes.SelfCheck(
                host=host or "127.0.0.1",
                port=port,
                observe=self._health_duration.observe,
                failures=self._check.failures if self._check else 0,
            )
            self._checking = asyncio.get_running_loop().create_task(self._check.run())

    def take_vitals(self, vitals: KeeperVitals, reload_failures: int) -> None:
        """Keep the keeper's message about itself and the host."""
        self._collector.keeper = vitals
        self._reload_failures = reload_failures
        if self._flags.sets_up_host:
            self.readiness.tell("addresses", is_met=bool(vitals.lease.get("is_held", 1)))

    async def _front_page(self, _: web.Request) -> web.Response:
        probed = (
            f"http://{wanted.address}{path}"
            for wanted in self._asked_for
            if not wanted.address.startswith(":")
            for path in self._pages_of(wanted)
            if path in ("/health", "/ready")
        )
        now = time.monotonic()  # the node's clock may have been set since
        info = front_page.AgentInfo(
            seconds_up=now - self._started_at,
            seconds_since_load=now - self._in_force_since,
            missing=list(self.readiness.missing),
            addresses=[str(address) for address in self._serving.listeners],
            links=["/metrics", *dict.fromkeys(probed)],
        )
        text = front_page.front_page(self._read(), self._collector.keeper, self._history, info)
        return web.Response(HTTPStatus.OK, text.encode(), front_page.CONTENT_TYPE)

    async def _sample(self) -> None:
        """Add the counts of now to the history of the page for people."""
        for _ in self._serving.flush_in_slices():
            await asyncio.sleep(0)
        scrape = self._read()
        for counts in scrape.servers:
            counts.flush()
        self._history.add(scrape, time.monotonic())

    def tick(self) -> None:
        """Once a second: try again for the addresses that were taken, look for new certificates."""
        if self._sampling is None or self._sampling.done():
            self._until_sample -= 1
            if self._until_sample <= 0:
                self._until_sample = SAMPLE_SECONDS
                self._sampling = asyncio.get_running_loop().create_task(self._sample())
        if self._opening is not None and not self._opening.done():
            return
        loop = asyncio.get_running_loop()
        if self._refused:
            self._opening = loop.create_task(self._open_late())
        elif any(opened.secured.has_changed() for opened in self._servers.values()):
            self._opening = loop.create_task(self._renew())

    def release_addresses(self, addresses: Sequence[str]) -> None:
        """Close the pages that another agent serves at `addresses`; `change_to` opens them again.

        The other pages stay: where two agents of one node do not replace each other, each has its
        own probe.
        """

        def is_elsewhere(wanted: WantedPage) -> bool:
            return not any(listen.overlap(wanted.address, address) for address in addresses)

        self._asked_for = [wanted for wanted in self._asked_for if is_elsewhere(wanted)]
        self._refused.intersection_update(self._asked_for)
        for gone in [each for each in self._servers if each not in self._asked_for]:
            self._servers.pop(gone).server.close()
        if self._check is not None and not any(each.page == "/health" for each in self._servers):
            self._stop_health_check()

    def _stop_health_check(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None

    def close(self) -> None:
        """Close every page."""
        self._asked_for = []
        self._refused.clear()
        self._stop_health_check()
        for opened in self._servers.values():
            opened.server.close()
        self._servers.clear()

    def _read(self) -> Scrape:
        """The counts for one scrape."""
        scrape = self._readings.scrape()
        scrape.agent = self._agent_numbers()
        return scrape

    def _agent_numbers(self) -> AgentNumbers:
        serving = self._serving
        config = serving.config
        ahead = serving.context.search_ahead.budget
        return AgentNumbers(
            panics=serving.panics,
            reload_failures=self._reload_failures,
            is_last_reload_good=self._collector.keeper.is_config_current,
            config_hash=config.hash if config is not None else "",
            is_config_last_good=config is not None and config.is_last_known_good,
            config_loaded_at=self._loaded_at,
            health_duration=self._health_duration,
            health_failures=self._check.failures if self._check else 0,
            cache_octets=serving.context.budget.used,
            cache_budget_octets=serving.context.budget.limit,
            reply_table_entries=sum(
                each.udp.finished_replies for each in serving.listeners.values()
            ),
            tasks=len(asyncio.all_tasks()),
            queries_in_flight=len(serving.context.limiter),
            queries_shed=serving.context.limiter.refused,
            queries_coalesced=serving.context.limiter.coalesced,
            ahead_asked=ahead.asked,
            ahead_used=ahead.used,
            ahead_unused=ahead.unused,
            log_lines_lost=lines_lost(),
        )


async def metrics_page(
    collector: Collector, maker: web.PageMaker, request: web.Request
) -> web.Response:
    """The metrics, gzipped where the scraper asks for it."""
    is_gzip = request.takes_gzip()
    collector.pages_in_flight += 1
    try:
        body = await maker.make(collector.pieces(), is_gzip=is_gzip)
    except Exception:
        collector.pages[HTTPStatus.INTERNAL_SERVER_ERROR] += 1
        raise
    finally:
        collector.pages_in_flight -= 1
    collector.pages[HTTPStatus.OK] += 1
    return web.Response(HTTPStatus.OK, body, CONTENT_TYPE, "gzip" if is_gzip else "")


def _read(web_config: str) -> WebConfig:
    """The web configuration in a file; plain HTTP without one. Raises OSError or ValueError."""
    if not web_config:
        return PLAIN
    from nodecache.web.webconfig import open_web_config  # noqa: PLC0415 - few have one

    return open_web_config(web_config)


def _renewed(web_config: str, before: WebConfig) -> WebConfig:
    """The web configuration that takes the place of `before`. Raises OSError or ValueError.

    What is served over TLS never becomes plain HTTP while we run, as in the exporter toolkit: a
    file is empty for a moment while somebody writes it.
    """
    secured = _read(web_config)
    if secured.context is None and before.context is not None:
        raise ValueError(f"{web_config}: asks for TLS no more, which takes a restart")
    return secured


def _access_rule(secured: WebConfig) -> Callable[[asyncio.StreamWriter], bool]:
    """Which connections may ask: all, or those whose certificate has an allowed name."""
    allowed = secured.allowed_names
    if allowed is None:
        return lambda _: True
    return lambda writer: not allowed.isdisjoint(names_of(writer.get_extra_info("peercert")))
