"""The sockets of `-localip`, bound before the rest of the program is read in.

A container that is started again finds its addresses still there: they are leased. Until the
sockets are bound, queries to them are lost; once they are, queries wait, and reading in the rest
takes four times as long as getting here.
"""

from pathlib import Path

from nodecache.config.flags import Flags
from nodecache.keeper.handover_socket import name_of
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import CannotListen, Sockets, open_all

_UNIX_SOCKETS = Path("/proc/net/unix")


def bind_early(flags: Flags) -> dict[ListenAddress, Sockets]:
    """What the stock Corefile binds; nothing while another agent serves there, who would miss it."""
    addresses = [ListenAddress(str(ip), flags.dns_port) for ip in flags.local_ips]
    if not addresses or is_served(name_of(flags, addresses)):
        return {}
    try:
        return open_all(addresses, {})
    except CannotListen:
        return {}  # told where the Corefile asks for it


def is_served(name: str, sockets: Path = _UNIX_SOCKETS) -> bool:
    """Whether an agent that could hand over is in this network namespace, as far as can be told."""
    try:
        lines = sockets.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    return any(line.endswith(f" @{name}") for line in lines)
