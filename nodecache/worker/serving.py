"""The zones and listeners in force, and how they are replaced in one step."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic

from nodecache.config.source import Config
from nodecache.corefile import ServerBlock
from nodecache.forward import Failure
from nodecache.process import log as logs
from nodecache.process.cgroup import budget_within, max_waiting_within, memory_limit
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import Sockets
from nodecache.server import (
    Client,
    Handler,
    HostsFile,
    Journal,
    OnOutcome,
    PendingLookup,
    ReplyBudget,
    ServerCounts,
    TcpLimits,
    ZoneBinding,
    Zones,
    read_hosts_files,
)
from nodecache.wire import Query, Rcode, wire_of

from .assembly import BuiltZone, WorkerContext, adjust_cache, bounds_of, build
from .listener import Listener, tcp_limits
from .pods import ClusterPods

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Routing:
    """The zones, limits and counts of a configuration by address."""

    zones: dict[ListenAddress, Zones]
    placed: list[tuple[str, str, BuiltZone]]
    counts: dict[tuple[str, str], ServerCounts]
    limits: dict[ListenAddress, TcpLimits]

    def count(self, server: str, zone: str) -> ServerCounts:
        """The counts of a zone at an address: those it had before, else new ones."""
        return self.counts.setdefault((server, zone), ServerCounts(server, zone))


class Serving:
    """Everything made from the configuration in force.

    Counts outlive reloads: they are kept by server label and zone name.
    """

    def __init__(self, context: WorkerContext, journal: Journal, pods: ClusterPods) -> None:
        self._journal = journal
        self._replies = ReplyBudget(context.budget)
        self.pods = pods
        self.context = context
        self.config: Config | None = None
        self.built: list[BuiltZone] = []
        self.listeners: dict[ListenAddress, Listener] = {}
        self.counts: dict[tuple[str, str], ServerCounts] = {}
        self.placed: list[tuple[str, str, BuiltZone]] = []
        self.is_paused = False
        context.lookup = self.lookup
        context.search_ahead.zones_at = self.zones_at

    async def begin(self, config: Config, sockets: Mapping[ListenAddress, Sockets]) -> None:
        """Build everything and start to read, beginning with queries that a dead worker left unanswered."""
        await self.change_to(config, sockets)
        for noted in list(self._journal.take_over(monotonic())):
            any(listener.udp.take_over(noted) for listener in self.listeners.values())

    async def change_to(self, config: Config, sockets: Mapping[ListenAddress, Sockets]) -> None:
        """Replace the zones behind the listeners, in one step; or change nothing at all.

        Raises whatever goes wrong: OSError or ValueError with the reason, from what a block names
        (files, keys), and anything else that a fault of ours may raise.
        """
        files = await self._read_ahead(config)
        with contextlib.ExitStack() as undoing:
            built, kept = self._build(config, undoing)
            routing = self._route(config, sockets, built)
            fresh = self._make_listeners(sockets, routing)
            for listener in fresh.values():
                undoing.callback(listener.close)
            for listener in fresh.values():
                await listener.tcp.start(self.context.loop)
            undoing.pop_all()
        del files  # the zones have them
        old = self.built
        self._switch(config, sockets, built, routing, fresh)
        for gone in old:
            gone.close(keeps_cache=id(gone) in kept)
            gone.zone.above = None  # a cycle, and the collector does not see what is frozen

    async def _read_ahead(self, config: Config) -> list[HostsFile]:
        """Read large files in a thread, so that queries are answered meanwhile; not at the start."""
        blocks = config.corefile.blocks
        if self.config is None or not any(block.hosts for block in blocks):
            return []
        return await self.context.loop.run_in_executor(None, read_hosts_files, blocks)

    def _build(
        self, config: Config, undoing: contextlib.ExitStack
    ) -> tuple[list[BuiltZone], set[int]]:
        """The new zones, and the ids of the old ones whose cache they use."""
        built: list[BuiltZone] = []
        kept: set[int] = set()
        dns_service = self.pods.dns_service(config.cluster_dns)
        for block in config.corefile.blocks:
            # One cache for each: two blocks may differ in nothing but their `bind`.
            unclaimed = (old for old in self.built if id(old) not in kept)
            before = next((old for old in unclaimed if _asks_alike(old, block)), None)
            # Before anything is served, one block's missing file must not be all blocks' end.
            waits = self.config is None
            made = build(block, self.context, before, dns_service, waits=waits)
            undoing.callback(made.close, keeps_cache=before is not None)
            built.append(made)
            if before is not None:
                kept.add(id(before))
        return built, kept

    def _route(
        self, config: Config, sockets: Mapping[ListenAddress, Sockets], built: list[BuiltZone]
    ) -> Routing:
        """Which zone answers what, at each address."""
        routing = Routing({}, [], dict(self.counts), {a: tcp_limits(config, a) for a in sockets})
        for address in sockets:
            zones = []
            for served in config.served_zones:
                if served.address == address:
                    made = built[served.block]
                    counts = routing.count(address.label, served.zone_name)
                    routing.placed.append((address.label, served.zone_name, made))
                    zones.append((wire_of(served.zone_name), ZoneBinding(made.zone, counts)))
            routing.zones[address] = Zones(zones)
        return routing

    def _make_listeners(
        self, sockets: Mapping[ListenAddress, Sockets], routing: Routing
    ) -> dict[ListenAddress, Listener]:
        """Listeners for new addresses; they do not read yet."""
        fresh: dict[ListenAddress, Listener] = {}
        for address in sockets:
            if address not in self.listeners:
                counts = routing.count(address.label, "dropped")
                handler = Handler(routing.zones[address], counts)
                fresh[address] = Listener(
                    address, sockets[address], handler, self._journal, self._replies
                )
                fresh[address].tcp.limits = routing.limits[address]
        return fresh

    def _switch(
        self,
        config: Config,
        sockets: Mapping[ListenAddress, Sockets],
        built: list[BuiltZone],
        routing: Routing,
        fresh: Mapping[ListenAddress, Listener],
    ) -> None:
        """Put the new zones in force. Nothing here waits or fails."""
        context, own = self.context, config.own
        context.upstreams.listen_on(frozenset((a.host, a.port) for a in sockets))
        context.budget.limit = own.budget_octets or budget_within(memory_limit())
        max_waiting = own.max_waiting or max_waiting_within(memory_limit())
        context.limiter.resize(max_waiting, own.max_waiting_per_client)
        logs.set_debug(is_debug=any(block.debug for block in config.corefile.blocks))
        for made in built:
            adjust_cache(made)
        self.built, self.config = built, config
        self.placed, self.counts = routing.placed, routing.counts
        for address, listener in self.listeners.items():
            if address in sockets:
                listener.handler.zones = routing.zones[address]
                listener.tcp.limits = routing.limits[address]
                listener.udp.forget_replies()
                if listener.sockets is not sockets[address]:
                    sockets[address].close()  # a second descriptor of the same socket
        self._begin_reading(fresh)
        for address in [each for each in self.listeners if each not in sockets]:
            self.listeners.pop(address).close()

    def _begin_reading(self, fresh: Mapping[ListenAddress, Listener]) -> None:
        self.listeners.update(fresh)
        for listener in fresh.values():
            if self.is_paused:
                listener.stop()
            else:
                listener.udp.start(self.context.loop)

    def lookup(self, query: Query, client: Client, on_outcome: OnOutcome) -> PendingLookup | None:
        """Ask the zones of the address that `client` asked, as a client would."""
        for address, listener in self.listeners.items():
            if address.label == client.server:
                return listener.handler.look_up(query, client, on_outcome)
        on_outcome(Failure(Rcode.REFUSED, 0, b"", ""))
        return None

    def zones_at(self, server: str) -> Zones | None:
        """The zones of an address, by its label."""
        for address, listener in self.listeners.items():
            if address.label == server:
                return listener.handler.zones
        return None

    def flush_in_slices(self) -> Iterator[None]:
        """Bring every count up to date, in quick steps."""
        now = monotonic()
        for listener in list(self.listeners.values()):
            yield from listener.udp.flush_in_slices(now)
        for counts in list(self.counts.values()):
            counts.flush()
            yield

    def tick(self, now: float) -> None:
        """Once a second: drop expired answers, a bounded number, and settle what was asked ahead."""
        self.context.budget.sweep(now)
        self.context.search_ahead.settle(now)

    @property
    def panics(self) -> int:
        """Faults of ours that cost a query its answer."""
        in_handlers = sum(listener.handler.panics for listener in self.listeners.values())
        return self.context.chains.panics + in_handlers

    @property
    def entries(self) -> int:
        """Answers in all caches."""
        return sum(len(made.zone.cache) for made in self.built)

    def pause(self, dropped: Iterable[ListenAddress]) -> None:
        """Read no more, since another agent reads these sockets, and leave it what is queued.

        What was read is answered, and TCP clients stay connected. At `dropped` addresses the other agent does
        not listen: what is queued there is answered, and the sockets are closed.
        """
        self.is_paused = True
        for listener in self.listeners.values():
            listener.stop()
        for address in dropped:
            if (gone := self.listeners.pop(address, None)) is not None:
                gone.udp.drain()
                gone.close()

    async def resume(self) -> None:
        """Read again."""
        self.is_paused = False
        for listener in list(self.listeners.values()):
            await listener.start(self.context.loop)

    def stop_reading(self) -> None:
        """Answer what is queued in the sockets, and read no more."""
        if self.is_paused:
            return
        for listener in self.listeners.values():
            listener.stop()
            listener.udp.drain()

    def close(self) -> None:
        """End everything."""
        for made in self.built:
            made.zone.close()
            made.close(keeps_cache=True)
        for listener in self.listeners.values():
            listener.close()


def _asks_alike(old: BuiltZone, block: ServerBlock) -> bool:
    """Whether a block gets the same answers for the same names, and keeps the same, so that the cache stays valid."""
    return _origins(old.block) == _origins(block) and _rules(old.block) == _rules(block)


def _origins(block: ServerBlock) -> tuple[object, ...]:
    """The options that decide a block's answers."""
    made = (block.rewrites, block.templates, block.hosts, block.whoami)
    return block.zones, block.forwards, block.nodecache.suppresses_aaaa, made


def _rules(block: ServerBlock) -> tuple[object, ...]:
    """The options that decide which of its answers a block keeps, and for how long."""
    cache = block.cache
    if cache is None:
        return ()
    return bounds_of(block, cache), cache.zones, cache.disable_success, cache.disable_denial
