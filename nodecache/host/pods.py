"""The kube-dns pods to which queries go when nobody of ours is there and kube-proxy passes them by.

The kernel keeps the list, so it holds after our death; it forgets it by itself after LIST_SECONDS,
so that a node whose agent is gone for good is not sent to pods that are gone too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .options import MAX_PORT, Address

LIST_SECONDS = 900.0
RENEW_SECONDS = 60.0
MAX_PODS = 64
# numgen picks one of these, whatever the number of pods: a new list changes no rule.
SLOTS = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one kube-dns pod answers, by UDP and TCP."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class PodList:
    """Endpoints that may be sent to, and the moment from which on they may not."""

    endpoints: tuple[Endpoint, ...] = ()
    until: float = 0.0

    def seconds_left(self, now: float) -> int:
        """How long the kernel is to keep them."""
        return max(0, int(self.until - now))

    def of_version(self, version: int) -> tuple[Endpoint, ...]:
        """Those of one family, 4 or 6."""
        return tuple(one for one in self.endpoints if one.address.version == version)

    def as_elements(self, now: float) -> dict[str, list[str]]:
        """The contents of the nftables maps: each slot has a pod, each pod as many slots as others."""
        left = self.seconds_left(now)
        elements = {}
        for version in (4, 6):
            pods = self.of_version(version)
            if pods and left:
                chosen = [pods[slot % len(pods)] for slot in range(SLOTS)]
                elements[f"dns_pods{version}"] = [
                    f"{slot} timeout {left}s : {pod.address} . {pod.port}"
                    for slot, pod in enumerate(chosen)
                ]
        return elements


def usable(pods: Sequence[Endpoint], own: Iterable[Address]) -> tuple[Endpoint, ...]:
    """The first MAX_PODS of `pods` to which a pod's query can be sent, each once."""
    own = tuple(own)
    fitting = [
        pod
        for pod in dict.fromkeys(pods)
        if pod.address not in own and _is_sendable(pod.address) and 0 < pod.port <= MAX_PORT
    ]
    return tuple(fitting[:MAX_PODS])


def _is_sendable(address: Address) -> bool:
    return not (
        address.is_unspecified
        or address.is_multicast
        or address.is_loopback
        or address.is_link_local
        or int(address) == (1 << address.max_prefixlen) - 1  # broadcast
        or getattr(address, "ipv4_mapped", None) is not None
    )
