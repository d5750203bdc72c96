"""Where a `forward` to the cluster DNS address sends queries: to the pods behind it, and to itself."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import Protocol

from .runtime import DNS_PORT, Endpoint, Runtime

log = logging.getLogger("plugin/forward")

# Each node keeps connections to so many pods at most, each node to others: kube-dns with 100 pods
# must not have connections from every node to every pod.
MAX_PODS_ASKED = 8


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """One pod that answers DNS."""

    host: str
    udp_port: int = DNS_PORT
    tcp_port: int = DNS_PORT


class PodSource(Protocol):
    """Who knows the pods."""

    @property
    def pods(self) -> Sequence[Pod]:
        """Those that are ready now, as far as is known."""

    def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` when there are others."""

    def leave(self, changed: Callable[[], None]) -> None:
        """Call `changed` no more."""


class PodDestinations:
    """The pods behind `service`, and that address as the last, or as the first. Kept up to date.

    The pods are asked as the Service would be: over TLS at its port, else at their own ports.
    `salt` is the node's: which pods it asks where there are many.
    """

    def __init__(
        self,
        service: Endpoint,
        source: PodSource,
        *,
        is_by_tcp: bool,
        salt: bytes,
        is_service_first: bool = False,
    ) -> None:
        self._service = service
        self._is_service_first = is_service_first
        self._source = source
        self._is_by_tcp = is_by_tcp
        self._salt = salt
        self._tell: Callable[[Sequence[Endpoint]], None] | None = None

    def follow(
        self,
        tell: Callable[[Sequence[Endpoint]], None],
        runtime: Runtime,  # noqa: ARG002
        is_silent: Callable[[Endpoint], bool],  # noqa: ARG002 - the source of the pods is told that
    ) -> None:
        """Tell the endpoints now, and again whenever they change."""
        self._tell = tell
        self._source.follow(self._changed)
        self._update()

    def close(self) -> None:
        """Follow no more."""
        self._tell = None
        self._source.leave(self._changed)

    def _changed(self) -> None:
        """There are other pods. Where the forwarder cannot ask them, it is no fault of who tells them."""
        try:
            self._update()
        except (OSError, ValueError) as error:
            log.error("upstreams stay as they were: %s", error)

    def _update(self) -> None:
        if self._tell is not None:
            pods = map(self._endpoint, some_of(self._source.pods, MAX_PODS_ASKED, self._salt))
            both = (self._service, *pods) if self._is_service_first else (*pods, self._service)
            self._tell(both)

    def _endpoint(self, pod: Pod) -> Endpoint:
        if self._service.is_tls:
            port = self._service.port
        else:
            port = pod.tcp_port if self._is_by_tcp else pod.udp_port
        return replace(self._service, host=pod.host, port=port, is_pod=True)


def some_of(pods: Sequence[Pod], max_count: int, salt: bytes) -> Sequence[Pod]:
    """Up to `max_count` pods: each node its own, and nearly the same again when some come or go."""
    if len(pods) <= max_count:
        return pods

    def rank(pod: Pod) -> bytes:  # rendezvous hashing: Thaler and Ravishankar 1998
        return blake2s(pod.host.encode(), key=salt).digest()

    return sorted(sorted(pods, key=rank)[:max_count])
