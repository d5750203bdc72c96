"""What is listened on: the addresses and ports that a Corefile's blocks ask for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from nodecache.corefile import Corefile, CorefileError, ServerBlock
from nodecache.process.listen import ListenAddress

from .flags import Flags


@dataclass(frozen=True, slots=True)
class ServedZone:
    """One zone name of one block at one address. `block` is an index into the Corefile's."""

    address: ListenAddress
    zone_name: str
    block: int


Resolve = Callable[[str], list[str]]
"""An interface's name → the addresses it has; empty where there is no such interface."""


def with_own_interface(flags: Flags, resolve: Resolve) -> Resolve:
    """`resolve`, but for the interface that the agent puts up itself: it has `-localip`.

    node-cache puts it up before it listens, so its Corefile may have `bind nodelocaldns`; here queries are
    drawn to the addresses only once they can be answered.
    """
    own = {flags.interface_name: [str(each) for each in flags.local_ips]}
    return lambda name: (flags.setup_interface and own.get(name)) or resolve(name)


def served_zones(corefile: Corefile, resolve: Resolve) -> tuple[ServedZone, ...]:
    """Every zone of every block at every address it is bound to; CorefileError on overlaps."""
    found: dict[tuple[ListenAddress, str], ServedZone] = {}
    for index, block in enumerate(corefile.blocks):
        for host in _hosts(block, resolve):
            for zone in block.zones:
                address = ListenAddress(host, zone.port)
                served = ServedZone(address, zone.zone_name, index)
                if (address, zone.zone_name) in found:
                    raise CorefileError(
                        block.file,
                        block.line,
                        f"cannot serve dns://{zone.zone_name}:{zone.port} on {address}: "
                        "it is already defined",
                    )
                found[address, zone.zone_name] = served
    return tuple(found.values())


def check_places(corefile: Corefile, flags: Flags) -> None:
    """Raise CorefileError for what can be seen anywhere: an interface of the node stands for itself."""
    served_zones(corefile, with_own_interface(flags, lambda name: [name]))


def _hosts(block: ServerBlock, resolve: Resolve) -> Iterable[str]:
    """The addresses of a block's `bind`, interfaces resolved, each line's exceptions left out."""
    if block.bind is None:
        return [""]
    hosts: dict[str, None] = {}
    for line in block.bind.lines:
        unwanted = _resolved(block, line.except_addresses, resolve)
        wanted = _resolved(block, line.addresses, resolve)
        hosts |= dict.fromkeys(host for host in wanted if host not in unwanted)
    return hosts


def _resolved(block: ServerBlock, tokens: Iterable[str], resolve: Resolve) -> list[str]:
    hosts: list[str] = []
    for token in tokens:
        try:
            hosts.append(
                str(ip_address(token.partition("%")[0])) + "".join(token.partition("%")[1:])
            )
        except ValueError:
            addresses = resolve(token)
            if not addresses:
                raise CorefileError(
                    block.file,
                    block.line,
                    f"bind: not an IP address or the name of an interface: {token!r}",
                ) from None
            hosts += addresses
    return hosts


def page_addresses(corefile: Corefile, metrics_address: str) -> frozenset[str]:
    """HOST:PORT of every page over HTTP; `metrics_address` is the one that a flag names."""
    addresses = {metrics_address} - {""}
    for block in corefile.blocks:
        pages = (block.prometheus, block.health, block.ready, block.pprof)
        addresses |= {page.address for page in pages if page is not None}
    return frozenset(addresses)


def listen_addresses(planned: Iterable[ServedZone]) -> tuple[ListenAddress, ...]:
    """Each address once, in the order of the Corefile."""
    return tuple(dict.fromkeys(served.address for served in planned))
