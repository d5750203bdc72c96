"""The upstreams of one worker, shared by all its forwarders.

The stock Corefile has three blocks that forward to kube-dns: one pool of connections serves
them. And a reload that makes its new forwarders before it closes the old keeps what is open.
"""

import logging
from collections.abc import Callable, Sequence

from nodecache.wire import Query

from .counts import UpstreamCounts
from .loop import LoopWatch
from .records import FoundAddresses
from .runtime import Endpoint, Runtime
from .settings import UpstreamSettings
from .ticker import Ticker
from .upstream import Upstream

log = logging.getLogger("plugin/loop")

# Counters must not go back when an upstream's address leaves a file or a name. But the addresses of
# pods are used up without end, and each is some fifty lines of a page.
_MAX_GONE = 100
# So a pod that left is told no longer than the last queries to it can be of interest to a graph.
_GONE_POD_SECONDS = 300.0


class UpstreamRegistry:
    """Upstreams by address and settings; each is closed when no forwarder uses it any more."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.loops = LoopWatch()
        self.own_addresses: frozenset[tuple[str, int]] = frozenset()
        self.ticker = Ticker(runtime)
        self._counts: dict[str, UpstreamCounts] = {}  # by address, the newest last
        self.last_found: dict[str, FoundAddresses] = {}
        """The addresses of the host names of upstreams: a reload goes on with them."""
        self._gone_pods: dict[str, float] = {}  # by address; when they left
        self._upstreams: dict[tuple[Endpoint, UpstreamSettings], Upstream] = {}
        self.on_silent: Callable[[Endpoint, float], None] | None = None
        """Called when an upstream stops answering."""
        self._retired: list[Upstream] = []  # those that may still owe answers

    def all(self) -> list[Upstream]:
        """Every upstream in use, for metrics."""
        return list(self._upstreams.values())

    def counts(self) -> list[UpstreamCounts]:
        """The counts of each address, including upstreams that were released lately."""
        self._forget_pods(self.runtime.clock() - _GONE_POD_SECONDS)
        return list(self._counts.values())

    def is_loop_probe(self, query: Query) -> bool:
        """Whether a client's query is our own, sent to find loops: it must not be forwarded."""
        return self.loops.is_loop_probe(query)

    def listen_on(self, addresses: frozenset[tuple[str, int]]) -> None:
        """Never ask these addresses: they are our own."""
        self.own_addresses = addresses
        for upstream in self._upstreams.values():
            self._check_own(upstream)

    def _check_own(self, upstream: Upstream) -> None:
        is_own = self.runtime.is_own(upstream.endpoint, self.own_addresses)
        if is_own == upstream.is_own:
            return
        upstream.is_own = is_own
        upstream.quarantine(is_looping=is_own)
        if is_own:
            log.error("upstream %s is this server itself; it is left out", upstream.to)

    def acquire(self, endpoint: Endpoint, settings: UpstreamSettings) -> Upstream:
        """The upstream at `endpoint`; `release` gives it back."""
        key = endpoint, settings
        upstream = self._upstreams.get(key)
        if upstream is None:
            counts = self._counts.get(str(endpoint)) or UpstreamCounts(str(endpoint))
            upstream = Upstream(endpoint, settings, self.runtime, self.ticker, counts)
            upstream.on_silent = self._fell_silent
            self._upstreams[key] = upstream
            self._gone_pods.pop(counts.to, None)
            self._counts.pop(counts.to, None)
            self._counts[counts.to] = counts
            if self.own_addresses:
                self._check_own(upstream)
        upstream.users += 1
        return upstream

    def acquire_all(
        self, endpoints: Sequence[Endpoint], settings: UpstreamSettings
    ) -> list[Upstream]:
        """The upstreams at all of `endpoints`, each once; or none, where one cannot be made."""
        taken: list[Upstream] = []
        try:
            # Not `extend`: compiled, it takes none of what a generator gave before it failed.
            for endpoint in dict.fromkeys(endpoints):
                taken.append(self.acquire(endpoint, settings))  # noqa: PERF401
        except (OSError, ValueError):
            for upstream in taken:
                self.release(upstream)
            raise
        return taken

    def _fell_silent(self, endpoint: Endpoint, now: float) -> None:
        if self.on_silent is not None:
            self.on_silent(endpoint, now)

    def release(self, upstream: Upstream) -> None:
        """One forwarder does not use it any more."""
        upstream.users -= 1
        if upstream.users == 0:
            del self._upstreams[upstream.endpoint, upstream.settings]
            self.loops.forget(upstream)
            upstream.retire()
            self._retired = [u for u in [*self._retired, upstream] if u.is_open]
            used = {each.to for each in self._upstreams.values()}
            if upstream.endpoint.is_pod and upstream.to not in used:
                self._gone_pods[upstream.to] = self.runtime.clock()
            self._forget_counts(used)

    def _forget_pods(self, before: float) -> None:
        """Forget the counts of pods that left before `before`."""
        for to in [to for to, left_at in self._gone_pods.items() if left_at < before]:
            del self._gone_pods[to]
            self._counts.pop(to, None)

    def _forget_counts(self, used: set[str]) -> None:
        """Keep the counts of at most _MAX_GONE upstreams that are not `used` any more."""
        gone = [to for to in self._counts if to not in used]
        for to in gone[: len(gone) - _MAX_GONE]:
            del self._counts[to]
            self._gone_pods.pop(to, None)

    def close(self) -> None:
        """Close everything at once; queries in flight get no callback."""
        self.ticker.close()
        for upstream in [*self._upstreams.values(), *self._retired]:
            self.loops.forget(upstream)
            upstream.close()
        self._upstreams.clear()
        self._retired.clear()
