"""kube-dns' pods as the API server tells them: a watch on the EndpointSlices of its Service.

Imported only where `-endpoints api` asks for it; the client library is lightkube, which costs the
worker some 15 MB (kubernetes-asyncio: 54). Pods that are not ready, or terminate, are left at once.
Where the Service spreads by zone and the node's zone is known, the hints of the slices are followed
as kube-proxy follows them. Whatever happens to the API server, the last list stays.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence

from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.client import LabelSelector
from lightkube.models.discovery_v1 import Endpoint, EndpointPort
from lightkube.resources.discovery_v1 import EndpointSlice

from nodecache.forward import Pod

log = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request

NAMESPACE = "kube-system"
_SERVICE_LABEL = "kubernetes.io/service-name"
_UDP_NAME, _TCP_NAME = "dns", "dns-tcp"  # the ports, in every kube-dns since 1.6

# All is listed anew after the first, without a word: a dead server ends nothing, and where many slices
# change, the version of the last change to ours is soon too old to go on from (410). The server may
# end a watch before that, but is not asked to.
_LIST_SECONDS = 240.0
_SERVER_SECONDS = 300
# A server that cannot be reached is asked again after the first, doubling up to the last. All nodes
# of a cluster do so: at moments of their own.
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0
_MAX_DOUBLINGS = 10


class SliceWatch:
    """Watches the slices of `service`; calls `changed` with the pods, and whenever they change.

    `zone` is the node's, "" where it is not known. `connect` makes the client's configuration.
    """

    def __init__(
        self,
        service: str,
        zone: str,
        changed: Callable[[Sequence[Pod]], None],
        connect: Callable[[], KubeConfig] = KubeConfig.from_service_account,
    ) -> None:
        self.origin = f"the EndpointSlices of {service}"
        self.pods: tuple[Pod, ...] | None = None  # before the first answer
        self._service = service
        self._zone = zone
        self._changed = changed
        self._connect = connect
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Ask from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def pod_fell_silent(self, now: float) -> None:
        """The API server tells it by itself."""

    def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LIST_SECONDS):
                    await self._follow()
            except TimeoutError:
                pass  # where the server is dead, the list that follows tells it
            except Exception as error:  # noqa: BLE001 - whatever it is, the list stays and it is tried again
                self._tell_failure(error)
            await asyncio.sleep(self._pause())

    async def _follow(self) -> None:
        """List the slices, then take each change, until something goes wrong."""
        client = AsyncClient(self._connect(), namespace=NAMESPACE)
        try:
            labels: LabelSelector = {_SERVICE_LABEL: self._service}
            listing = client.list(EndpointSlice, labels=labels)
            slices = {_name(each): each async for each in listing}
            self._take(slices.values())
            async for event, each in client.watch(
                EndpointSlice,
                labels=labels,
                server_timeout=_SERVER_SECONDS,
                resource_version=listing.resourceVersion,
            ):
                if event == "DELETED":
                    slices.pop(_name(each), None)
                elif event in ("ADDED", "MODIFIED"):
                    slices[_name(each)] = each
                self._take(slices.values())
        finally:
            await client.close()

    def _take(self, slices: Iterable[EndpointSlice]) -> None:
        self._failures = 0
        pods = pods_of(slices, self._zone)
        if pods != self.pods:
            self.pods = pods
            self._changed(pods)

    def _tell_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("%s: %s; the last list stays", self.origin, str(error) or repr(error))

    def _pause(self) -> float:
        doublings = min(max(self._failures - 1, 0), _MAX_DOUBLINGS)
        longest = min(_FIRST_RETRY_SECONDS * 2.0**doublings, _LAST_RETRY_SECONDS)
        return longest * random.uniform(0.5, 1)  # noqa: S311 (no secret)


def _name(each: EndpointSlice) -> str:
    return (each.metadata.name if each.metadata else None) or ""


def pods_of(slices: Iterable[EndpointSlice], zone: str) -> tuple[Pod, ...]:
    """The pods that are ready, of this zone where the hints say so."""
    ready = [
        (endpoint, udp, tcp)
        for each in slices
        for udp, tcp in [(_port(each.ports, _UDP_NAME), _port(each.ports, _TCP_NAME))]
        for endpoint in each.endpoints or ()
        if _is_ready(endpoint) and (udp or tcp) and endpoint.addresses
    ]
    near = [each for each in ready if zone in _zones(each[0])]
    # kube-proxy: hints hold only where every endpoint has some, and one is for this zone.
    if not near or not all(_zones(each[0]) for each in ready):
        near = ready
    return tuple(
        sorted({Pod(endpoint.addresses[0], udp or tcp, tcp or udp) for endpoint, udp, tcp in near})
    )


def _is_ready(endpoint: Endpoint) -> bool:
    """Unknown is ready, says the API; one that terminates is not."""
    conditions = endpoint.conditions
    return conditions is None or (conditions.ready is not False and not conditions.terminating)


def _zones(endpoint: Endpoint) -> list[str]:
    hints = endpoint.hints
    return [each.name for each in hints.forZones or ()] if hints is not None else []


def _port(ports: Sequence[EndpointPort] | None, name: str) -> int:
    """The number of the port called `name`; 0 where there is none."""
    return next((each.port or 0 for each in ports or () if each.name == name), 0)
