"""Where a configuration asks kube-dns, and which domain kube-dns serves."""

from collections.abc import Iterable
from dataclasses import dataclass

from nodecache.corefile import Corefile, ForwardOptions, ServerBlock
from nodecache.corefile.values import ip

DEFAULT_DOMAIN = "cluster.local."
_DNS_PORT = 53
_REVERSE = ("in-addr.arpa.", "ip6.arpa.")


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """The cluster DNS address that is asked, and the cluster's domain, absolute."""

    address: str
    domain: str


def cluster_dns(corefile: Corefile, addresses: frozenset[str]) -> ClusterDns | None:
    """The first of `addresses` that a `forward` names; None where none does, or none may.

    The domain is the usual one if a block asks it for that, or if none but the block of all names does;
    else that of the first block to ask it for more than addresses' names.
    """
    asking = [
        (address, block)
        for block in corefile.blocks
        if block.nodecache.asks_pods
        for options in block.forwards
        for address in addresses
        if is_asked_by(options, address)
    ]
    if not asking:
        return None
    address = asking[0][0]
    domains = [name for to, block in asking if to == address for name in _domains(block)]
    is_usual = not domains or DEFAULT_DOMAIN in domains
    return ClusterDns(address, DEFAULT_DOMAIN if is_usual else domains[0])


def is_asked_by(options: ForwardOptions, address: str) -> bool:
    """Whether a `forward` asks the cluster DNS address, and nobody else.

    Behind another port of it may be another server, and which port that is on the pods is not told.
    """
    if len(options.destinations) != 1:
        return False
    (there,) = options.destinations
    is_told = there.scheme != "dns" or there.port == _DNS_PORT
    return is_told and usual_forms([there.host]) == {address}


def _domains(block: ServerBlock) -> list[str]:
    return [name for name in block.zone_names if name != "." and not name.endswith(_REVERSE)]


def usual_forms(words: Iterable[str]) -> frozenset[str]:
    """The addresses among `words`, each in the one form it is compared by."""
    found = set()
    for word in words:
        try:
            found.add(str(ip(word)))
        except ValueError:
            continue
    return frozenset(found)
