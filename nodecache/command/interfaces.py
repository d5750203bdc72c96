"""The addresses of interfaces, which a Corefile may bind by name."""

from nodecache.host import netlink


def interface_addresses(name: str) -> list[str]:
    """The addresses that an interface has now, for `bind NAME`."""
    # A link-local IPv6 address means nothing without its interface: RFC 4007 §11.
    return [
        f"{each.address}%{name}"
        if each.address.is_link_local and each.address.version == 6
        else str(each.address)
        for each in netlink.addresses_on(name) or ()
    ]
