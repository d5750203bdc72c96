"""Health checks of an upstream, sent only after a query failed, as in CoreDNS."""

from ssl import SSLContext
from typing import Protocol

from nodecache.wire import HEADER_SIZE, Flag, FrameBuffer, Rdtype, framed, wire_of

from .counts import UpstreamCounts
from .health import Health
from .names import plain_query
from .runtime import Datagram, Endpoint, Runtime, Stream, Timer
from .settings import UpstreamSettings
from .transport.pending import random_ids

_ANSWER_SECONDS = 1.0  # CoreDNS's read time-out for probes


class Probed(Protocol):
    """The upstream, as far as a probe needs it."""

    endpoint: Endpoint
    settings: UpstreamSettings
    runtime: Runtime
    counts: UpstreamCounts
    health: Health
    tls: SSLContext | None
    is_stream_only: bool
    is_retired: bool


class Prober:
    """At most one probe of an upstream at a time, again and again until one is answered.

    Any response counts, whatever it says. Over TCP, or TLS, where the queries go that way.
    """

    def __init__(self, upstream: Probed) -> None:
        self._upstream = upstream
        self._is_running = False
        self._stream: Stream | None = None
        self._datagram: Datagram | None = None
        self._timer: Timer | None = None
        self._frames = FrameBuffer()
        self._message_id = 0

    @property
    def is_running(self) -> bool:
        """Whether the upstream is being probed."""
        return self._is_running

    def start(self) -> None:
        """Probe until an answer comes, unless it is probed already or `max_fails` is 0."""
        upstream = self._upstream
        if self._is_running or upstream.is_retired:
            return
        if upstream.settings.max_fails > 0:
            self._is_running = True
            self._probe()

    def stop(self) -> None:
        """Probe no more."""
        self._is_running = False
        self._drop()

    def _probe(self) -> None:
        upstream = self._upstream
        self._message_id = next(random_ids())
        self._timer = upstream.runtime.call_later(_ANSWER_SECONDS, self._unanswered)
        try:
            if upstream.is_stream_only:
                self._frames = FrameBuffer()
                self._stream = upstream.runtime.open_stream(
                    upstream.endpoint, self, upstream.tls, upstream.settings.source_address
                )
                return
            self._datagram = upstream.runtime.open_datagram(
                upstream.endpoint, _PacketReceiver(self), upstream.settings.source_address
            )
        except OSError:
            return  # the time-out counts it
        self._datagram.send(self._query())

    def _query(self) -> bytes:
        settings = self._upstream.settings
        flags = Flag.RD if settings.probe_recursion else 0
        return probe_query(self._message_id, settings.probe_name, Rdtype.NS, flags)

    # What the connection tells

    def opened(self, now: float) -> None:  # noqa: ARG002
        """Connected: ask."""
        if self._stream is not None:
            self._stream.write(framed(self._query()))

    def received(self, data: bytes, now: float) -> None:
        """Octets of a stream came."""
        for packet in self._frames.feed(data):
            self.answered(packet, now)

    def closed(self, error: Exception | None, now: float) -> None:  # noqa: ARG002
        """The connection failed or ended; the time-out counts it and sends the next probe."""
        self._stream = None

    def answered(self, packet: bytes, now: float) -> None:  # noqa: ARG002
        """A response: alive."""
        if len(packet) < HEADER_SIZE or packet[0] << 8 | packet[1] != self._message_id:
            return
        if packet[2] & Flag.QR >> 8:
            self.stop()
            self._upstream.health.probed(is_alive=True)

    def _unanswered(self) -> None:
        self._timer = None
        self._drop()
        self._upstream.counts.healthcheck_failures += 1
        self._upstream.health.probed(is_alive=False)
        self._timer = self._upstream.runtime.call_later(
            self._upstream.settings.probe_seconds, self._probe
        )

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for way in (self._stream, self._datagram):
            if way is not None:
                way.close()
        self._stream = self._datagram = None


class _PacketReceiver:
    """Hands a prober what comes by UDP."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober

    def received(self, packet: bytes, now: float) -> None:
        """A packet came."""
        self._prober.answered(packet, now)

    def refused(self, error: OSError, now: float) -> None:
        """The port is closed; the time-out counts it."""


def probe_query(message_id: int, name: str, qtype: int, flags: int) -> bytes:
    """A plain query for `name`, which is absolute and was checked when it was read."""
    return plain_query(message_id, wire_of(name), qtype, flags)
