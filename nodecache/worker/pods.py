"""kube-dns' pods as this worker knows them; forwarders follow them, and the keeper is told."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from nodecache.config.cluster_dns import ClusterDns, is_asked_by
from nodecache.config.flags import Flags
from nodecache.corefile import Corefile
from nodecache.forward import (
    Endpoint,
    Forwarder,
    Network,
    Pod,
    PodDestinations,
    PodList,
    Settings,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.forward.podlist import SERVICE
from nodecache.process.pods import MAX_PODS, is_pod_address

from .forwarding import DnsService, settings_of

if TYPE_CHECKING:
    from .slices import SliceWatch

__all__ = ["SERVICE", "ZONE_VARIABLE", "ClusterPods", "api_lister", "pods_now"]

log = logging.getLogger(__name__)

# The keeper's list in the kernel times out by itself unless it is told again.
_TELL_SECONDS = 60.0
_PATIENCE_SECONDS = 2.0

ZONE_VARIABLE = "NODE_ZONE"
"""The environment's name for the node's zone, as its label `topology.kubernetes.io/zone` has it."""

Changed = Callable[[Sequence[Pod]], None]
Lister: TypeAlias = "PodList | SliceWatch"


class ClusterPods:
    """kube-dns' pods for the configuration in force. `tell` is called when they change, and each minute.

    `ask_api` makes a lister that asks the API server; without it, kube-dns is asked.
    """

    def __init__(
        self,
        upstreams: UpstreamRegistry,
        tell: Callable[[Sequence[Pod]], object],
        ask_api: Callable[[Changed], Lister] | None = None,
    ) -> None:
        self.pods: tuple[Pod, ...] = ()
        self._upstreams = upstreams
        upstreams.on_silent = self._fell_silent
        self._tell = tell
        self._ask_api = ask_api
        self._followers: list[Callable[[], None]] = []
        self._salt = os.urandom(8)
        self._asked: tuple[ClusterDns, UpstreamSettings] | None = None
        self._list: Lister | None = None
        self._tell_at = 0.0

    # Who follows the list

    def dns_service(self, cluster: ClusterDns | None) -> DnsService | None:
        """The pods, for forwarders; None where a configuration does not ask kube-dns."""
        return DnsService(cluster.address, self, self._salt) if cluster is not None else None

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` when there are other pods."""
        self._followers.append(changed)

    def leave(self, changed: Callable[[], None]) -> None:
        """Call `changed` no more."""
        self._followers.remove(changed)

    def counted(self) -> dict[str, int]:
        """How many pods there are, by the source of the list; empty if nobody is asked for it."""
        source = "api" if self._ask_api is not None else "dns"
        return {source: len(self.pods)} if self._list is not None else {}

    @property
    def is_told(self) -> bool:
        """Whether there was an answer."""
        return self._list is not None and self._list.pods is not None

    # Where it comes from

    def change_to(self, corefile: Corefile, cluster: ClusterDns | None) -> None:
        """Ask for the pods if `corefile` asks kube-dns; the known ones stay until the answer."""
        asked = None if cluster is None else (cluster, _settings_for(corefile, cluster))
        if asked == self._asked:
            return
        self._asked = asked
        if self._list is not None:
            self._list.close()
            self._list = None
        if asked is not None:
            self._list = (
                self._open(*asked) if self._ask_api is None else self._ask_api(self._changed)
            )
            self._list.begin()
        else:
            self._take(())

    def _open(self, cluster: ClusterDns, settings: UpstreamSettings) -> PodList:
        """A list that is asked for as the queries are, over the same connections.

        kube-proxy knows the pods that are ready now, so the Service address is asked. While it does not
        answer (kube-proxy is away, the Service was made anew with another address) the known pods are.
        """
        service = Endpoint(cluster.address)
        destinations = PodDestinations(
            service,
            self,
            is_by_tcp=settings.force_tcp,
            salt=self._salt,
            is_service_first=True,
        )
        in_order = Settings(policy="sequential", upstream=settings)
        forwarder = Forwarder(in_order, self._upstreams, destinations)
        return PodList(forwarder, service, cluster.domain, self._changed)

    def _fell_silent(self, endpoint: Endpoint, now: float) -> None:
        if endpoint.is_pod and self._list is not None:
            self._list.pod_fell_silent(now)

    def _changed(self, pods: Sequence[Pod]) -> None:
        assert self._list is not None
        usable = tuple(pod for pod in pods if is_pod_address(pod.host))[:MAX_PODS]
        if usable:
            shown = " ".join(pod.host for pod in usable)
            log.info("kube-dns' pods are %s: so say %s", shown, self._list.origin)
        else:
            log.info("kube-dns' address is asked: %s name no pod", self._list.origin)
        self._take(usable)

    def _take(self, pods: tuple[Pod, ...]) -> None:
        if pods == self.pods:
            return
        self.pods = pods
        for changed in list(self._followers):
            changed()
        self._tell_keeper(self._upstreams.runtime.clock())

    def _tell_keeper(self, now: float) -> None:
        self._tell_at = now + _TELL_SECONDS
        self._tell(self.pods)

    def tick(self, now: float) -> None:
        """Once a second: tell the list again, when it is time."""
        if self.pods and now >= self._tell_at:
            self._tell_keeper(now)


def _settings_for(corefile: Corefile, cluster: ClusterDns) -> UpstreamSettings:
    """Those of the first `forward` to the address."""
    return next(
        settings_of(options, block.nodecache).upstream
        for block in corefile.blocks
        if block.nodecache.asks_pods
        for options in block.forwards
        if is_asked_by(options, cluster.address)
    )


def api_lister(flags: Flags) -> Callable[[Changed], Lister] | None:
    """Who makes a lister that asks the API server, where the flags want one."""
    if flags.endpoints != "api":
        return None
    from .slices import SliceWatch  # noqa: PLC0415 - few ask it, and its library is large

    return partial(SliceWatch, flags.upstream_service, os.environ.get(ZONE_VARIABLE, ""))


async def pods_now(
    corefile: Corefile,
    cluster: ClusterDns,
    flags: Flags,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> list[str] | None:
    """The addresses of the pods that are told at this moment, by whom `flags` name; None: no answer."""
    told = asyncio.Event()
    upstreams = UpstreamRegistry(Network(asyncio.get_running_loop()))
    pods = ClusterPods(upstreams, lambda _: told.set(), api_lister(flags))
    pods.change_to(corefile, cluster)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(told.wait(), patience_seconds)
    answer = [pod.host for pod in pods.pods] if pods.is_told else None
    pods.change_to(corefile, None)
    upstreams.close()
    return answer
