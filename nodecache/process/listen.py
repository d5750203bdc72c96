"""What is listened on, and listening sockets on addresses that may not be there yet.

Binding comes first, the address second: queries come only once they can be answered. So the
sockets are bound with IP_FREEBIND, and survive every withdrawal of their address.
"""

import contextlib
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address

# Python has no name for these (linux/in.h, linux/in6.h).
IP_FREEBIND = 15
IPV6_FREEBIND = 78
_TRANSPARENT_4 = (socket.IPPROTO_IP, 19)  # IP_TRANSPARENT
_TRANSPARENT_6 = (socket.IPPROTO_IPV6, 75)  # IPV6_TRANSPARENT
BACKLOG = 1024  # connections waiting while a worker is replaced; the kernel caps it at somaxconn


@dataclass(frozen=True, slots=True, order=True)
class ListenAddress:
    """An address literal, or "" for every address, and a port."""

    host: str
    port: int

    @property
    def label(self) -> str:
        """CoreDNS's name for it in metrics: `dns://169.254.20.10:53`."""
        return f"dns://{self}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def udp_socket(
    address: Address, port: int, *, free_bind: bool = True, reuse_port: bool = False,
    receive_octets: int = 0,
) -> socket.socket:  # fmt: skip
    """A bound, non-blocking UDP socket; `receive_octets` asks for a larger buffer (0 = as it is).

    Raises OSError: EADDRINUSE when somebody else serves there.
    """
    server = _bound(socket.SOCK_DGRAM, address, port, free_bind=free_bind, reuse_port=reuse_port)
    if receive_octets:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_octets)
    return server


def tcp_socket(
    address: Address, port: int, *, free_bind: bool = True, reuse_port: bool = False,
    backlog: int = BACKLOG,
) -> socket.socket:  # fmt: skip
    """A listening, non-blocking TCP socket. Raises OSError as `udp_socket` does."""
    server = _bound(socket.SOCK_STREAM, address, port, free_bind=free_bind, reuse_port=reuse_port)
    server.listen(backlog)
    return server


def mark_as_ours(server: socket.socket, *, is_on: bool = True) -> None:
    """Let packet rules tell this socket from strangers', and the connections it accepts, or not.

    They match on the option (`socket transparent 1`, `-m socket --transparent`); what it permits is
    not made use of. Without CAP_NET_ADMIN no rule of ours is there either.
    """
    is_4 = server.family == socket.AF_INET
    with contextlib.suppress(OSError):
        server.setsockopt(*(_TRANSPARENT_4 if is_4 else _TRANSPARENT_6), int(is_on))


def _bound(
    kind: socket.SocketKind, address: Address, port: int, *, free_bind: bool, reuse_port: bool
) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    server = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if kind is socket.SOCK_STREAM:
            # connections of an earlier run in TIME_WAIT must not keep us from the port
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address.version == 6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if free_bind and not address.is_unspecified:
            level, option = (
                (socket.IPPROTO_IP, IP_FREEBIND)
                if address.version == 4
                else (socket.IPPROTO_IPV6, IPV6_FREEBIND)
            )
            server.setsockopt(level, option, 1)
        server.bind((str(address), port))
    except OSError:
        server.close()
        raise
    return server
