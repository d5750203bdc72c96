"""How the worker tells the keeper kube-dns' pods, and how the keeper reads that.

The keeper puts them into the node's packet rules, and believes nothing of what it is told.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from .messages import MalformedControlMessage

MAX_PODS = 64
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, order=True)
class PodAddress:
    """Where a pod answers DNS."""

    host: str
    udp_port: int
    tcp_port: int


def is_pod_address(host: str) -> bool:
    """Whether a pod can have this address: one host's, and not of one link or one machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    has_scope = getattr(address, "scope_id", None) is not None
    return not (has_scope or _is_special(address)) and str(address) == host


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    inner = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1
    return (
        address.is_multicast
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address == IPv4Address("255.255.255.255")
        or inner is not None
    )


def read_pods(value: Any) -> tuple[PodAddress, ...]:
    """A list of `[host, UDP port, TCP port]`, each once; MalformedControlMessage else."""
    if not isinstance(value, list) or len(value) > MAX_PODS:
        raise MalformedControlMessage(f"no list of up to {MAX_PODS} pods")
    return tuple(dict.fromkeys(_read_pod(each) for each in value))


def _read_pod(value: Any) -> PodAddress:
    match value:
        case [str(host), int(udp_port), int(tcp_port)] if (
            is_pod_address(host) and _is_port(udp_port) and _is_port(tcp_port)
        ):
            return PodAddress(host, udp_port, tcp_port)
        case _:
            raise MalformedControlMessage("no address of a pod and its ports")


def _is_port(number: int) -> bool:
    return not isinstance(number, bool) and 0 < number <= _MAX_PORT
