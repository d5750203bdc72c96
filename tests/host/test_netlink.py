import errno
import socket
import subprocess
import sys
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


def test_a_name_that_no_link_can_have_is_that_of_none():
    """Kernels say ENODEV, EINVAL or ERANGE to it, by its size."""
    asking = netlink.Netlink()
    try:
        assert [asking.link("x" * size) for size in (15, 16, 300)] == [None] * 3
    finally:
        asking.close()


def test_two_message_types_are_all_of_pyroute2_that_is_imported():
    code = (
        "from nodecache.host import netlink; netlink.load(); netlink.Netlink().close();"
        "import sys; print(*(m for m in sys.modules if m.split('.')[0] in ('pyroute2', 'asyncio')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(told.stdout.split())
    assert {"pyroute2.netlink.rtnl.ifinfmsg", "pyroute2.netlink.rtnl.ifaddrmsg"} < imported
    assert imported.isdisjoint({"asyncio", "pyroute2.iproute", "pyroute2.ndb", "pyroute2.ipset"})
