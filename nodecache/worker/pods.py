"""kube-dns' pods as this worker knows them, and the keeper from it."""

import logging
from collections.abc import Callable, Sequence

from nodecache.config.cluster_dns import ClusterDns
from nodecache.config.source import Config
from nodecache.forward import (
    Destinations,
    Endpoint,
    Forwarder,
    Pod,
    PodList,
    Settings,
    Upstreams,
    UpstreamSettings,
)
from nodecache.process.pods import MOST_PODS, is_pod_address

from .forwarding import settings_of

log = logging.getLogger(__name__)

# The keeper's list in the kernel times out by itself unless it is told again.
_TELL_SECONDS = 60.0


class ClusterPods:
    """The list of the configuration in force. `tell` is called when it changes, and each minute."""

    def __init__(self, upstreams: Upstreams, tell: Callable[[Sequence[Pod]], object]) -> None:
        self.pods: tuple[Pod, ...] = ()
        self._upstreams = upstreams
        self._tell = tell
        self._asked: tuple[ClusterDns, UpstreamSettings] | None = None
        self._list: PodList | None = None
        self._tell_at = 0.0

    def change_to(self, config: Config) -> None:
        """Ask where `config` asks kube-dns; nothing where it does not, or may not."""
        cluster = config.cluster_dns
        asked = None if cluster is None else (cluster, _settings_for(config, cluster))
        if asked == self._asked:
            return
        self.close()
        self._asked = asked
        if asked is not None:
            self._list = self._open(*asked)
            self._list.resolve()

    def _open(self, cluster: ClusterDns, settings: UpstreamSettings) -> PodList:
        """A list that is asked for as the queries are, over the same connections."""
        destinations = Destinations([Endpoint(cluster.address)])
        forwarder = Forwarder(Settings(upstream=settings), self._upstreams, destinations)
        return PodList(forwarder, cluster.domain, self._changed)

    def _changed(self, pods: Sequence[Pod]) -> None:
        self.pods = tuple(pod for pod in pods if _is_tellable(pod))[:MOST_PODS]
        assert self._list is not None
        assert self._asked is not None
        to = self._asked[0].address
        if self.pods:
            shown = " ".join(pod.host for pod in self.pods)
            log.info("kube-dns' pods are %s, says %s of %s", shown, to, self._list.service)
        else:
            log.info("%s names no pod of %s: all goes to its address", to, self._list.service)
        self._tell_at = self._upstreams.world.clock() + _TELL_SECONDS
        self._tell(self.pods)

    def tick(self, now: float) -> None:
        """Once a second: tell the list again, when it is time."""
        if self.pods and now >= self._tell_at:
            self._tell_at = now + _TELL_SECONDS
            self._tell(self.pods)

    def close(self) -> None:
        """Ask no more, and know nobody."""
        self._asked = None
        if self._list is not None:
            self._list.close()
            self._list = None
        if self.pods:
            self.pods = ()
            self._tell(())


def _is_tellable(pod: Pod) -> bool:
    """Whether the keeper takes it: what DNS says must not look like a fault of ours."""
    return is_pod_address(pod.host) and pod.udp_port > 0 and pod.tcp_port > 0


def _settings_for(config: Config, cluster: ClusterDns) -> UpstreamSettings:
    """Those of the first `forward` to the address."""
    return next(
        settings_of(options, block.nodecache).upstream
        for block in config.corefile.blocks
        if block.nodecache.asks_pods
        for options in block.forwards
        if any(there.host == cluster.address for there in options.destinations)
    )
