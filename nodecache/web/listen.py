"""Listening sockets for pages, at addresses in Go's form: `:9253`, `127.0.0.1:0`, `[::1]:80`."""

import errno
import socket

# linux/in.h: bind to an address that the host does not have yet, of IPv6 too.
_IP_FREEBIND = 15

# IPv6 is left out of the kernel, or switched off on this host.
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def open_listener(address: str) -> socket.socket:
    """Bind `address` in Go's form: `:9253` (every address), `127.0.0.1:0`, `[::1]:80`, `name:80`.

    Several processes may bind it (SO_REUSEPORT), as two agents do while one hands over to the
    other, and before the host has it, since the agent binds before it adds its own addresses.
    Raises ValueError where the text is no address, OSError where it cannot be bound.
    """
    host, port = split_address(address)
    if not host:
        return _listen_everywhere(port)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda info: info[0])  # IPv4 first where a name has both, as in Go
    family, _, _, _, name = found[0]
    return _listen(family, name)


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[host]:port`; raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"an address is HOST:PORT or :PORT, not {address!r}")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError(f"an IPv6 address needs brackets: {address!r}")
    return host, int(port)


def overlap(one: str, other: str) -> bool:
    """Whether nobody can listen on both of two addresses `host:port` at once."""
    try:
        (one_host, port), (other_host, other_port) = split_address(one), split_address(other)
    except ValueError:  # nobody listens there
        return False
    is_everywhere = not {one_host, other_host}.isdisjoint({"", "0.0.0.0", "::"})
    return port == other_port != 0 and (one_host == other_host or is_everywhere)


def _listen_everywhere(port: int) -> socket.socket:
    """Listen on `[::]` for both families, or on 0.0.0.0 where the kernel has no IPv6."""
    try:
        return _listen(socket.AF_INET6, ("::", port))
    except OSError as error:
        if error.errno not in _NO_IPV6:
            raise
    return _listen(socket.AF_INET, ("0.0.0.0", port))


def _listen(family: int, name: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, name[0] != "::")
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind(name)
        listener.listen(socket.SOMAXCONN)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
