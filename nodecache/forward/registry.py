"""The upstreams of one worker, shared by all its forwarders.

The stock Corefile has three blocks that forward to kube-dns: one pool of connections serves
them. And a reload that makes its new forwarders before it closes the old keeps what is open.
"""

from collections.abc import Iterable

from .network import Endpoint, Network
from .settings import UpstreamSettings
from .ticker import Ticker
from .upstream import Upstream


class Upstreams:
    """Upstreams by address and settings; each lives while a forwarder uses it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.ticker = Ticker(network)
        self._upstreams: dict[tuple[Endpoint, UpstreamSettings], Upstream] = {}

    def all(self) -> Iterable[Upstream]:
        """Every upstream in use, for metrics."""
        return self._upstreams.values()

    def take(self, endpoint: Endpoint, settings: UpstreamSettings) -> Upstream:
        """The upstream at `endpoint`; to be given back."""
        key = endpoint, settings
        upstream = self._upstreams.get(key)
        if upstream is None:
            upstream = Upstream(endpoint, settings, self.network, self.ticker)
            self._upstreams[key] = upstream
        upstream.users += 1
        return upstream

    def give_back(self, upstream: Upstream) -> None:
        """One forwarder uses it no more."""
        upstream.users -= 1
        if upstream.users == 0:
            del self._upstreams[upstream.endpoint, upstream.settings]
            upstream.retire()

    def close(self) -> None:
        """Close everything at once."""
        for upstream in list(self._upstreams.values()):
            upstream.close(self.network.clock())
        self._upstreams.clear()
        self.ticker.close()
