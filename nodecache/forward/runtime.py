"""The interfaces that the forwarder needs from outside: a clock, timers, sockets.

`transport.network` implements them; tests simulate them. Callbacks get `now`, so that nothing else
reads the clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Protocol

DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an upstream listens. `host` is an IP address; `server_name` what its certificate says."""

    host: str
    port: int = DNS_PORT
    scheme: str = "dns"
    """How it is asked, as a Corefile has it: `dns`, `tls`, `https`."""
    server_name: str = ""
    http_method: str = ""
    """POST or GET where it is asked over HTTPS (RFC 8484)."""
    is_pod: bool = False
    """Whether it is one of kube-dns' pods, which come and go."""

    @property
    def is_tls(self) -> bool:
        """Whether it proves who it is; all that is not plain DNS does."""
        return self.scheme != "dns"

    def __str__(self) -> str:
        """As CoreDNS labels it: `10.96.0.10:53`, `[fd00::a]:53`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None:
        """Cancel the callback."""


class StreamReceiver(Protocol):
    """Callbacks of a stream."""

    def opened(self, now: float) -> None:
        """The connection is open; with TLS, the handshake is done and the certificate checked."""

    def received(self, data: bytes, now: float) -> None:
        """Octets came, at least one."""

    def closed(self, error: Exception | None, now: float) -> None:
        """The stream ended, or never opened; `error` None: the other side closed it. Called once."""


class Stream(Protocol):
    """A TCP or TLS connection, perhaps still opening."""

    @property
    def local(self) -> str:
        """Our end as `address:port`; empty where it has none yet."""

    def write(self, data: bytes) -> None:
        """Send, now or when there is room; never raises: a failure is reported by `closed`, later."""

    def is_acknowledged(self) -> bool:
        """Whether the other side's kernel has lately confirmed what we sent."""

    def poll(self) -> None:
        """Read what there is: libuv stops watching a socket at a reset, even with data before it."""

    def close(self) -> None:
        """Close at once; no callback comes any more."""


class DatagramReceiver(Protocol):
    """Callbacks of a UDP socket."""

    def received(self, packet: bytes, now: float) -> None:
        """A packet came from where the socket is connected to."""

    def refused(self, error: OSError, now: float) -> None:
        """The network reported an error: the port is closed, or there is no route."""


class Datagram(Protocol):
    """A UDP socket connected to one upstream, on a port the kernel drew at random."""

    @property
    def local(self) -> str:
        """Our end as `address:port`."""

    def send(self, packet: bytes) -> OSError | None:
        """Send; returns the error, if any. A full buffer drops the packet, as UDP may."""

    def close(self) -> None:
        """Close at once."""


class Runtime(Protocol):
    """The clock, timers and sockets: `transport.network`, or a simulation in tests."""

    def clock(self) -> float:
        """Monotonic seconds."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back in the loop's next turn, after it has read its sockets."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back in `seconds`."""

    def open_stream(
        self,
        endpoint: Endpoint,
        receiver: StreamReceiver,
        tls: SSLContext | None = None,
        source_address: str = "",
    ) -> Stream:
        """Begin to connect. The receiver is called later, never before this returns."""

    def open_datagram(
        self, endpoint: Endpoint, receiver: DatagramReceiver, source_address: str = ""
    ) -> Datagram:
        """Open a socket. OSError where there is no route, or no socket is left."""

    def is_own(self, endpoint: Endpoint, listen_addresses: frozenset[tuple[str, int]]) -> bool:
        """Whether what is sent to `endpoint` arrives at one of our `listen_addresses`."""


class NullReceiver:
    """Takes the place of a closed stream's receiver, and ignores what it is told.

    A stream and its receiver know each other. Where a closed stream went on to know its receiver,
    both would wait for a garbage collector, which must not walk over a large cache for their sake.
    """

    def opened(self, now: float) -> None:
        """Ignore it."""

    def received(self, data: bytes, now: float) -> None:
        """Ignore it."""

    def closed(self, error: Exception | None, now: float) -> None:
        """Ignore it."""

    def refused(self, error: OSError, now: float) -> None:
        """Ignore it."""


NULL_RECEIVER = NullReceiver()
