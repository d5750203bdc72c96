"""The listening sockets: the keeper's for as long as it lives, lent to every worker.

Binding comes first, the address second: queries come only once they can be answered. So the
sockets are bound with IP_FREEBIND, and survive every withdrawal of their address.
"""

import contextlib
import errno
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .listen import ListenAddress

# Python has no name for these (linux/in.h). The kernel takes them for sockets of IPv6 too, whose own
# name for the first is of Linux 4.15.
_FREEBIND = (socket.IPPROTO_IP, 15)
_TRANSPARENT = (socket.IPPROTO_IP, 19)
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33  # asm-generic/socket.h
_BACKLOG = 1024  # connections waiting while a worker is replaced; the kernel caps it at somaxconn
# Enough for ten thousand queries while a worker is replaced; the kernel doubles it.
RECEIVE_OCTETS = 4 * 1024 * 1024
SEND_OCTETS = 1024 * 1024
# Of a TCP connection: left to itself, the kernel would keep megabytes for each of thousands of
# clients that do not read. They inherit it from the socket that listens.
STREAM_RECEIVE_OCTETS = 64 * 1024
STREAM_SEND_OCTETS = 128 * 1024


class CannotListen(Exception):
    """A socket could not be bound; the text says which and why."""


@dataclass(slots=True, eq=False)
class Sockets:
    """The UDP and the TCP socket of one listen address."""

    udp: socket.socket
    tcp: socket.socket

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both, as they are sent to a worker."""
        return self.udp.fileno(), self.tcp.fileno()

    def mark(self, *, is_on: bool) -> None:
        """Set or remove the mark for which packet rules match; in every process that has them.

        They match on the option (`socket transparent 1`, `-m socket --transparent`), which connections that
        the socket accepts have as well; what it permits is not made use of.
        """
        for each in (self.udp, self.tcp):
            # Without CAP_NET_ADMIN no rule of ours is there either.
            with contextlib.suppress(OSError):
                each.setsockopt(*_TRANSPARENT, int(is_on))

    def close(self) -> None:
        """Close our copies."""
        self.udp.close()
        self.tcp.close()


def open_sockets(address: ListenAddress) -> Sockets:
    """Bind both sockets of `address`; CannotListen when the kernel refuses."""
    try:
        udp = _bound(address, socket.SOCK_DGRAM)
        try:
            tcp = _bound(address, socket.SOCK_STREAM)
        except OSError:
            udp.close()
            raise
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {_reason(error)}") from error
    try:
        udp.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, RECEIVE_OCTETS)
        udp.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, SEND_OCTETS)
    except PermissionError:
        # Without CAP_NET_ADMIN, net.core.rmem_max holds: 208 KiB as it comes, 550 queries.
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_OCTETS)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_OCTETS)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STREAM_RECEIVE_OCTETS)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_SEND_OCTETS)
    return Sockets(udp, tcp)


def _reason(error: OSError) -> str:
    if error.errno == errno.EACCES:  # ports from net.ipv4.ip_unprivileged_port_start on are free
        return (
            f"{error.strerror}: is CAP_NET_BIND_SERVICE missing"
            " (securityContext: runAsUser 0, capabilities.add NET_BIND_SERVICE)?"
        )
    return error.strerror or str(error)


def open_all(
    addresses: Iterable[ListenAddress], have: Mapping[ListenAddress, Sockets]
) -> dict[ListenAddress, Sockets]:
    """The sockets of `addresses`: those we have, and new ones for the rest; or CannotListen."""
    opened: dict[ListenAddress, Sockets] = {}
    try:
        for address in addresses:
            opened[address] = have.get(address) or open_sockets(address)
    except CannotListen:
        close_all(pair for address, pair in opened.items() if address not in have)
        raise
    return opened


def close_all(pairs: Iterable[Sockets]) -> None:
    """Close our copies of each."""
    for pair in pairs:
        pair.close()


def _bound(address: ListenAddress, kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket; for "" one of both families, or of IPv4 alone if the kernel has no IPv6."""
    host = address.host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")
    is_ipv6 = ":" in host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    server = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # As with the original: the next version of this pod may bind before we are gone.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind is socket.SOCK_STREAM:
            # Connections of an earlier run in TIME_WAIT must not keep us from the port.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, bool(address.host))
        server.setsockopt(*_FREEBIND, 1)
        server.bind((host, address.port))
        if kind is socket.SOCK_STREAM:
            server.listen(_BACKLOG)
    except OSError:
        server.close()
        raise
    return server


def sockets_from(descriptors: Iterable[int]) -> list[Sockets]:
    """Sockets from descriptors that another process sent, two for each address."""
    opened = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    return [Sockets(udp, tcp) for udp, tcp in zip(opened[::2], opened[1::2], strict=True)]
