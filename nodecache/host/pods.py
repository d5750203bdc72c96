"""The kube-dns pods to which the packet rules send queries while no agent runs and kube-proxy does not.

The kernel keeps the list, so it outlives the agent. It forgets the list after LIST_SECONDS: on a node
whose agent is gone for good, queries are not sent to pods that have gone meanwhile.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .options import Address

LIST_SECONDS = 900.0
RENEW_SECONDS = 60.0
# numgen picks one of these, whatever the number of pods: a new list changes no rule.
SLOTS = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one kube-dns pod answers, by UDP and TCP."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class PodList:
    """Endpoints to send to, and until when (monotonic seconds)."""

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
    """The pods that are not at an address of our own, each once.

    The keeper has checked addresses, ports and number as it read them (`process/pods.py`).
    """
    own = tuple(own)
    return tuple(pod for pod in dict.fromkeys(pods) if pod.address not in own)
