"""Passes kube-dns' pods from the worker to the node's packet rules."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from nodecache.host import Endpoint
from nodecache.process.pods import PodAddress


class PodRules(Protocol):
    """The part of the host that takes pods."""

    def set_dns_pods(self, pods: Sequence[Endpoint], now: float) -> None:
        """Have queries that meet no socket sent to these."""


def pass_on_pods(pods: Sequence[PodAddress], host: PodRules, now: float) -> None:
    """Give the host the worker's list of pods, once a minute and whenever it changed.

    The packet rules know one port a pod, which is kube-dns' own for both protocols nearly everywhere.
    """
    host.set_dns_pods([Endpoint(ip_address(pod.host), pod.udp_port) for pod in pods], now)
