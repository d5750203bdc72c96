"""kube-dns' pods on their way from the worker into the node's packet rules."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from nodecache.host import Endpoint
from nodecache.process.pods import PodAddress


class PodRules(Protocol):
    """The host, as far as it has to do with pods."""

    def set_dns_pods(self, pods: Sequence[Endpoint], now: float) -> None:
        """Send to these what nobody else takes."""


def pass_on_pods(pods: Sequence[PodAddress], host: PodRules, now: float) -> None:
    """Tell the host what the worker told, once a minute and whenever it changed.

    The packet rules know one port a pod, which is kube-dns' own for both protocols nearly everywhere.
    """
    host.set_dns_pods([Endpoint(ip_address(pod.host), pod.udp_port) for pod in pods], now)
