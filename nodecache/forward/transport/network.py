"""The runtime on an asyncio loop and non-blocking sockets. The only module of `forward/` that uses either.

Sockets are read and written directly, not through asyncio's transports: one receive and one send
a wake-up is all there is to do, and the kernel tells what it knows of a connection (TCP_INFO).
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from ssl import SSLContext
from struct import Struct
from time import monotonic

from nodecache.forward.runtime import (
    NULL_RECEIVER,
    DatagramReceiver,
    Endpoint,
    Stream,
    StreamReceiver,
    Timer,
)

from .tls import TlsStream

# Some 50 answers, 1 ms of work: clients have their turn before the next ones are read.
_READ_OCTETS = 4096
# Any answer, whatever size we announced: some servers send more, and it would be cut without a
# sign. Reading into so much room costs no more than into little.
_DATAGRAM_OCTETS = 65_535
# More than thousands of queries are; a server that reads none of them is not sent more.
_MAX_UNSENT_OCTETS = 2 * 1024 * 1024

# A dead peer behind an idle connection is found within 8 s, before the pool's own limit
# of ten; behind unacknowledged data within the user time-out (RFC 5482), however long the kernel
# would go on resending.
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)

# Of struct tcp_info (linux/tcp.h): unacked, last_ack_recv in ms, rtt in µs.
_TCP_INFO = Struct("=24xI28xI8xI")
# Delayed acknowledgements come after 40 ms at the latest (TCP_DELACK_MIN), and one round trip.
_ACKNOWLEDGED_WITHIN_MILLISECONDS = 60


class Network:
    """The network as the loop gives it. One a worker, made after the fork."""

    clock = staticmethod(monotonic)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back in the loop's next turn."""
        self._loop.call_soon(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back in `seconds`."""
        return self._loop.call_later(seconds, callback)

    def open_stream(
        self,
        endpoint: Endpoint,
        receiver: StreamReceiver,
        tls: SSLContext | None = None,
        source_address: str = "",
    ) -> Stream:
        """Begin to connect."""
        if tls is None:
            return SocketStream(self._loop, endpoint, receiver, source_address)
        name = endpoint.server_name or endpoint.host
        if endpoint.scheme == "https":
            from .http import PROTOCOLS, DohStream  # noqa: PLC0415 - few upstreams are asked so

            tls.set_alpn_protocols(PROTOCOLS)
            doh = DohStream(receiver, endpoint)
            stream = TlsStream(doh, tls, name)
            doh.carry(stream)
            stream.carry(SocketStream(self._loop, endpoint, stream, source_address))
            return doh
        stream = TlsStream(receiver, tls, name)
        stream.carry(SocketStream(self._loop, endpoint, stream, source_address))
        return stream

    def open_datagram(
        self, endpoint: Endpoint, receiver: DatagramReceiver, source_address: str = ""
    ) -> "SocketDatagram":
        """Open a socket. OSError where there is no way there, or no socket left."""
        return SocketDatagram(self._loop, endpoint, receiver, source_address)

    def is_own(self, endpoint: Endpoint, listen_addresses: frozenset[tuple[str, int]]) -> bool:
        """Whether what is sent to `endpoint` arrives at one of our `listen_addresses`."""
        hosts = [host for host, port in listen_addresses if port == endpoint.port]
        if endpoint.host in hosts:
            return True
        return any(host in _WILDCARDS for host in hosts) and _is_local(endpoint.host)


_WILDCARDS = ("", "0.0.0.0", "::")
_NOBODYS = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # RFC 5737, RFC 3849


def _is_local(host: str) -> bool:
    """Whether `host` is an address of this machine: only such a one can be bound.

    With `ip_nonlocal_bind`, which nodes with keepalived have, any can: then it is not known to be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _can_be_bound(family, host) and not _can_be_bound(family, _NOBODYS[family])


def _can_be_bound(family: socket.AddressFamily, host: str) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _connected(
    endpoint: Endpoint, kind: socket.SocketKind, source_address: str
) -> tuple[socket.socket, int]:
    """A non-blocking socket on its way to `endpoint`, and the errno of the attempt."""
    family, _, _, _, address = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=kind, flags=socket.AI_NUMERICHOST
    )[0]
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if source_address:
            opened.bind((source_address, 0))
        if kind == socket.SOCK_STREAM:
            for level, option, value in _KEEP_ALIVE:
                opened.setsockopt(level, option, value)
        return opened, opened.connect_ex(address)
    except OSError:
        opened.close()
        raise


def _local(opened: socket.socket) -> str:
    try:
        host, port = opened.getsockname()[:2]
    except OSError:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class SocketStream:
    """One TCP connection."""

    __slots__ = ("_is_open", "_loop", "_receiver", "_socket", "_unsent")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        receiver: StreamReceiver,
        source_address: str = "",
    ) -> None:
        self._loop = loop
        self._receiver: StreamReceiver = receiver
        self._unsent = b""
        self._is_open = False
        self._socket: socket.socket | None = None
        try:
            self._socket, code = _connected(endpoint, socket.SOCK_STREAM, source_address)
        except OSError as error:
            loop.call_soon(self._end, error)
            return
        if code in (0, errno.EINPROGRESS):
            loop.add_writer(self._socket.fileno(), self._writable)
        else:
            loop.call_soon(self._end, OSError(code, os.strerror(code)))

    @property
    def local(self) -> str:
        """Our end as `address:port`."""
        return "" if self._socket is None else _local(self._socket)

    def _writable(self) -> None:
        """The connection was made or refused; or there is room again for what is unsent."""
        opened = self._socket
        if opened is None:
            return
        if not self._is_open:
            code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._end(OSError(code, os.strerror(code)))
                return
            self._is_open = True
            self._loop.add_reader(opened.fileno(), self._readable)
            self._receiver.opened(monotonic())
            if self._socket is None:
                return
        unsent, self._unsent = self._unsent, b""
        self._loop.remove_writer(opened.fileno())
        if unsent:
            self.write(unsent)

    def _readable(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(_READ_OCTETS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._receiver.received(data, monotonic())
        else:
            self._end(None)

    def write(self, data: bytes) -> None:
        """Send, now or when there is room."""
        if self._socket is None:
            return
        if self._unsent or not self._is_open:
            self._unsent += data
            if len(self._unsent) > _MAX_UNSENT_OCTETS:
                self._loop.call_soon(self._end, OSError(errno.ENOBUFS, "it does not read"))
            return
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            # Told here, as reading may not tell: sending took the error off the socket.
            self._loop.call_soon(self._end, error)
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def poll(self) -> None:
        """Read what there is."""
        if self._is_open:
            self._readable()

    def is_acknowledged(self) -> bool:
        """Whether the other side's kernel has lately confirmed what we sent.

        A machine that is gone confirms nothing; a server that is merely slow has a kernel that
        does. Fields of struct tcp_info: unacked, last_ack_recv (ms), rtt (µs).
        """
        if self._socket is None:
            return False
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except OSError:
            return False
        unacknowledged, silent_milliseconds, round_trip_microseconds = _TCP_INFO.unpack(info)
        patience = _ACKNOWLEDGED_WITHIN_MILLISECONDS + round_trip_microseconds / 500
        return not unacknowledged or silent_milliseconds < patience

    def close(self) -> None:
        """Close at once; no callback comes any more."""
        opened, self._socket = self._socket, None
        if opened is not None:
            self._loop.remove_reader(opened.fileno())
            self._loop.remove_writer(opened.fileno())
            opened.close()
        self._unsent = b""
        self._receiver = NULL_RECEIVER

    def _end(self, error: OSError | None) -> None:
        if self._receiver is NULL_RECEIVER:
            return  # it was closed meanwhile
        receiver = self._receiver
        self.close()
        receiver.closed(error, monotonic())


class SocketDatagram:
    """One connected UDP socket: the kernel drops what comes from anybody else."""

    __slots__ = ("_loop", "_receiver", "_socket")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        receiver: DatagramReceiver,
        source_address: str = "",
    ) -> None:
        self._loop = loop
        self._receiver: DatagramReceiver = receiver
        self._socket, code = _connected(endpoint, socket.SOCK_DGRAM, source_address)
        if code:
            self._socket.close()
            raise OSError(code, os.strerror(code))
        loop.add_reader(self._socket.fileno(), self._readable)

    @property
    def local(self) -> str:
        """Our end as `address:port`."""
        return _local(self._socket)

    def send(self, packet: bytes) -> OSError | None:
        """Send; returns the error, if any."""
        try:
            self._socket.send(packet)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            return error
        return None

    def _readable(self) -> None:
        try:
            packet = self._socket.recv(_DATAGRAM_OCTETS)
        except OSError as error:
            if self._socket.fileno() >= 0:
                self._listen_again()
                if not isinstance(error, (BlockingIOError, InterruptedError)):
                    self._receiver.refused(error, monotonic())
            return
        self._receiver.received(packet, monotonic())

    def _listen_again(self) -> None:
        """Have the loop watch it: libuv stops at an error, though that was read and is gone.

        Else an upstream that was away for a moment would not be heard again on this socket.
        """
        self._loop.remove_reader(self._socket.fileno())
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Close at once."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._receiver = NULL_RECEIVER
