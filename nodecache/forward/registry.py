"""The upstreams of one worker, shared by all its forwarders.

The stock Corefile has three blocks that forward to kube-dns: one pool of connections serves
them. And a reload that makes its new forwarders before it closes the old keeps what is open.
"""

import logging

from nodecache.wire import Query

from .loop import LoopWatch
from .settings import UpstreamSettings
from .ticker import Ticker
from .upstream import Upstream
from .world import Endpoint, World

log = logging.getLogger("plugin/loop")


class Upstreams:
    """Upstreams by address and settings; each lives while a forwarder uses it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.loops = LoopWatch()
        self.own_addresses: frozenset[tuple[str, int]] = frozenset()
        self.ticker = Ticker(world)
        self._upstreams: dict[tuple[Endpoint, UpstreamSettings], Upstream] = {}
        self._retired: list[Upstream] = []  # those that may still owe answers

    def all(self) -> list[Upstream]:
        """Every upstream in use, for metrics."""
        return list(self._upstreams.values())

    def sighted(self, query: Query) -> bool:
        """Whether a client's query is our own, sent to find loops: it must not be forwarded."""
        return self.loops.sighted(query)

    def listen_on(self, addresses: frozenset[tuple[str, int]]) -> None:
        """Never ask these addresses: they are our own."""
        self.own_addresses = addresses
        for upstream in self._upstreams.values():
            self._check_own(upstream)

    def _check_own(self, upstream: Upstream) -> None:
        is_own = self.world.is_own(upstream.endpoint, self.own_addresses)
        if is_own == upstream.is_own:
            return
        upstream.is_own = is_own
        upstream.quarantine(is_looping=is_own)
        if is_own:
            log.error("upstream %s is this server itself; it is left out", upstream.to)

    def take(self, endpoint: Endpoint, settings: UpstreamSettings) -> Upstream:
        """The upstream at `endpoint`; to be given back."""
        key = endpoint, settings
        upstream = self._upstreams.get(key)
        if upstream is None:
            upstream = Upstream(endpoint, settings, self.world, self.ticker)
            self._upstreams[key] = upstream
            if self.own_addresses:
                self._check_own(upstream)
        upstream.users += 1
        return upstream

    def give_back(self, upstream: Upstream) -> None:
        """One forwarder uses it no more."""
        upstream.users -= 1
        if upstream.users == 0:
            del self._upstreams[upstream.endpoint, upstream.settings]
            self.loops.forget(upstream)
            upstream.retire()
            self._retired = [u for u in [*self._retired, upstream] if u.is_open]

    def close(self) -> None:
        """Close everything at once; whoever still waits is not told any more."""
        self.ticker.close()
        for upstream in [*self._upstreams.values(), *self._retired]:
            self.loops.forget(upstream)
            upstream.close()
        self._upstreams.clear()
        self._retired.clear()
