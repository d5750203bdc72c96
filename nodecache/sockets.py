"""The listening sockets: the keeper's for as long as it lives, lent to every worker."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from nodecache.host import listen
from nodecache.plan import ListenAddress

# Enough for a burst of a few thousand queries while a worker is replaced; the kernel doubles it.
RECEIVE_OCTETS = 4 * 1024 * 1024
SEND_OCTETS = 1024 * 1024


class CannotListen(Exception):  # noqa: N818 - named after the fault
    """A socket could not be bound; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The UDP and the TCP socket of one listen address."""

    udp: socket.socket
    tcp: socket.socket

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both, as they are sent to a worker."""
        return self.udp.fileno(), self.tcp.fileno()

    def close(self) -> None:
        """Close our copies."""
        self.udp.close()
        self.tcp.close()


def open_sockets(address: ListenAddress) -> Sockets:
    """Bind both sockets of `address`; CannotListen when the kernel refuses."""
    try:
        udp = listen.udp_socket(address.host, address.port)
        try:
            tcp = listen.tcp_socket(address.host, address.port)
        except OSError:
            udp.close()
            raise
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror or error}") from error
    listen.raise_buffers(udp, RECEIVE_OCTETS, SEND_OCTETS)
    return Sockets(udp, tcp)


def sockets_from(descriptors: Iterable[int]) -> list[Sockets]:
    """Sockets from descriptors that another process sent, two for each address."""
    opened = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    return [Sockets(udp, tcp) for udp, tcp in zip(opened[::2], opened[1::2], strict=True)]
