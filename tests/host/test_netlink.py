import errno
import socket
from ipaddress import ip_address

from nodecache.host import netlink


class OldKernel(socket.socket):
    """A netlink socket of a kernel before 4.20, which knows no strict checks."""

    def setsockopt(self, level, option, *value):
        if (level, option) == (netlink.SOL_NETLINK, netlink.NETLINK_GET_STRICT_CHK):
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        super().setsockopt(level, option, *value)


def test_a_kernel_without_strict_checks_tells_a_links_addresses_all_the_same(monkeypatch):
    monkeypatch.setattr(netlink.socket, "socket", OldKernel)
    asking = netlink.Netlink()
    try:
        link = asking.link("lo")
        held = asking.addresses(index=link.index)
    finally:
        asking.close()
    assert ip_address("127.0.0.1") in {each.address for each in held}
    assert {each.index for each in held} == {link.index}
