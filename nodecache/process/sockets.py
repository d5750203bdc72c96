"""The listening sockets: the keeper's for as long as it lives, lent to every worker."""

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from . import listen
from .listen import ListenAddress

# Enough for a burst of a few thousand queries while a worker is replaced; the kernel doubles it.
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
    is_marked: bool | None = False
    """Whether they have the mark for which packet rules match; None if another process had them."""

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both, as they are sent to a worker."""
        return self.udp.fileno(), self.tcp.fileno()

    def mark(self, *, is_on: bool) -> None:
        """Set or remove the mark for which packet rules match; in every process that has them."""
        if self.is_marked is not is_on:
            self.is_marked = is_on
            for each in (self.udp, self.tcp):
                listen.mark_as_ours(each, is_on=is_on)

    def close(self) -> None:
        """Close our copies."""
        self.udp.close()
        self.tcp.close()


def open_sockets(address: ListenAddress) -> Sockets:
    """Bind both sockets of `address`; CannotListen when the kernel refuses.

    With SO_REUSEPORT, as the original: the next version of this pod may bind before we are gone.
    """
    try:
        udp = _bound(address, listen.udp_socket, socket.SOCK_DGRAM)
        try:
            tcp = _bound(address, listen.tcp_socket, socket.SOCK_STREAM)
        except OSError:
            udp.close()
            raise
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror or error}") from error
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_OCTETS)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_OCTETS)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STREAM_RECEIVE_OCTETS)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_SEND_OCTETS)
    return Sockets(udp, tcp)


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


def _bound(
    address: ListenAddress, make: Callable[..., socket.socket], kind: socket.SocketKind
) -> socket.socket:
    if address.host:
        return make(ip_address(address.host), address.port, reuse_port=True)
    return _everywhere(address.port, kind)


def _everywhere(port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket for every address of both families; of IPv4 alone where the kernel has no IPv6."""
    has_ipv6 = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if has_ipv6 else socket.AF_INET
    server = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
        if has_ipv6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("", port))
        if kind is socket.SOCK_STREAM:
            server.listen(listen.BACKLOG)
    except OSError:
        server.close()
        raise
    return server


def sockets_from(descriptors: Iterable[int]) -> list[Sockets]:
    """Sockets from descriptors that another process sent, two for each address."""
    opened = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    return [Sockets(udp, tcp) for udp, tcp in zip(opened[::2], opened[1::2], strict=True)]
