"""What is to be set up on the host, as a frozen dataclass. What a flag can tell by itself was checked with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

MAX_INTERFACE_NAME = 15  # IFNAMSIZ (linux/if.h) less the closing NUL


class HostError(Exception):
    """The host cannot be set up as asked; the text is one line that names what is missing and the way round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What nodecache sets up on this node. Defaults are node-local-dns'.

    `addresses` are the listen addresses in the order of `-localip`. `leased` are those of them
    that the kernel drops by itself when nobody renews them; None means every one that is not
    link-local. `fallback` are Service addresses to which queries for a link-local address go
    while that address is gone (IPVS mode); it makes the link-local addresses leased too.
    Raises HostError for values no host could carry out.
    """

    addresses: tuple[Address, ...]
    interface: str = "nodelocaldns"
    interface_kind: str = "dummy"
    setup_interface: bool = True
    rules: str = "auto"
    dns_port: int = 53
    health_port: int = 8080
    lease_seconds: float = 10.0
    leased: tuple[Address, ...] | None = None
    fallback: tuple[Address, ...] = ()
    sync_seconds: float = 60.0
    skip_teardown: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "addresses", tuple(dict.fromkeys(self.addresses)))
        if not 0 < len(self.interface.encode()) <= MAX_INTERFACE_NAME or "/" in self.interface:
            raise HostError(
                f"-interfacename: {self.interface!r} is no name for an interface: 1 to"
                f" {MAX_INTERFACE_NAME} octets without '/', or -setupinterface=false"
            )
        for address in self.addresses:
            is_holdable = not address.is_unspecified and not address.is_multicast
            if not is_holdable and (self.setup_interface or self.rules != "none"):
                raise HostError(
                    f"-localip: {address} is no address an interface can hold;"
                    " with it use -setupinterface=false -setupiptables=false"
                )

    @property
    def leased_addresses(self) -> tuple[Address, ...]:
        """The addresses with a lifetime in the kernel, in the order of `addresses`."""
        if not self.lease_seconds or not self.setup_interface:
            return ()
        return tuple(address for address in self.addresses if self._is_leased(address))

    @property
    def standing_addresses(self) -> tuple[Address, ...]:
        """The addresses that stay as long as the interface does."""
        leased = self.leased_addresses
        return tuple(address for address in self.addresses if address not in leased)

    def _is_leased(self, address: Address) -> bool:
        if address.is_link_local and self.fallback_of(address):
            return True
        if self.leased is not None:
            return address in self.leased
        return not address.is_link_local

    def fallback_of(self, address: Address) -> Address | None:
        """The Service address (`-fallback`) for a link-local `address`; None without one."""
        if not address.is_link_local:
            return None
        return next((to for to in self.fallback if to.version == address.version), None)


def of_version(addresses: Iterable[Address], version: int) -> tuple[Address, ...]:
    """The addresses of one family (4 or 6), order kept."""
    return tuple(address for address in addresses if address.version == version)
