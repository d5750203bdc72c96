"""Sends dnstap's frames: to a reader that it connects to, or to readers that connect.

If a reader is slow or away, frames are dropped and counted; no query waits, and memory is bounded
by the queue.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, cast

from nodecache.corefile import DnstapOptions

from .frames import Control, ControlReader, MalformedStream, control_frame, data_frame

log = logging.getLogger("plugin/dnstap")

# CoreDNS's own times: for connecting, and between looks at what went wrong.
_CONNECT_SECONDS = 4.0
_LOOK_SECONDS = 10.0
_OCTETS_PER_MIB = 1 << 20


def _nothing() -> None:
    """Nobody is to be told."""


class _Stream(asyncio.Protocol):
    """One reader's connection: the handshake, then frames as long as it takes them."""

    def __init__(
        self, buffer_octets: int, taking: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_taking = False
        self.has_begun = False
        self._controls = ControlReader()
        self._buffer_octets = buffer_octets
        self._taking = taking
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._buffer_octets)
        self.transport.write(control_frame(Control.READY))

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        try:
            controls = self._controls.feed(data)
        except MalformedStream as fault:
            log.warning("%s", fault)
            self.transport.abort()
            return
        if Control.FINISH in controls:
            self.transport.close()
        elif Control.ACCEPT in controls:
            self.transport.write(control_frame(Control.START))
            self.has_begun = True
            self.resume_writing()

    def pause_writing(self) -> None:
        self.is_taking = False

    def resume_writing(self) -> None:
        self.is_taking = True
        self._taking()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (we connect again)
        self.is_taking = False
        self.transport = None
        self._lost()

    def write(self, octets: bytes) -> None:
        """Send frames."""
        if self.transport is not None:
            self.transport.write(octets)

    def end(self) -> None:
        """Send what is left, and close; at once where the reader takes nothing now, and may never."""
        self._taking = self._lost = _nothing  # its owner is not held by it any more
        if self.transport is None:
            return
        if self.is_taking:
            self.transport.write(control_frame(Control.STOP))
            self.transport.close()
        else:
            self.transport.abort()


class TapClient:
    """Connects to a reader, and again whenever that is lost; queues payloads in between."""

    def __init__(self, options: DnstapOptions, loop: asyncio.AbstractEventLoop) -> None:
        self.dropped = 0
        self._options = options
        self._loop = loop
        self._queue: deque[bytes] = deque()
        self._is_flush_due = False
        self._is_closed = False
        self._may_connect_at_once = True
        self._connecting: asyncio.Task[None] | None = None
        self._stream = self._new_stream()
        self._look = loop.call_later(_LOOK_SECONDS, self._maintain)
        self._connect()

    def put(self, payload: bytes) -> None:
        """Send `payload` with the rest of this turn of the loop, or drop and count it."""
        if len(self._queue) >= self._options.queue_messages:
            self.dropped += 1
            return
        self._queue.append(payload)
        if self._stream.is_taking and not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is queued, and end the stream."""
        self._is_closed = True
        self._look.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        self._flush()
        self._stream.end()

    def _flush(self) -> None:
        self._is_flush_due = False
        stream, queue = self._stream, self._queue
        while queue and stream.is_taking:
            stream.write(data_frame(queue.popleft()))

    def _new_stream(self) -> _Stream:
        octets = self._options.write_buffer_mib * _OCTETS_PER_MIB
        return _Stream(octets, self._flush, self._lost)

    def _lost(self) -> None:
        """Connect again at once, but not to what does not read, and once between two looks."""
        if self._may_connect_at_once and self._stream.has_begun and not self._is_closed:
            self._may_connect_at_once = False
            self._connect()

    def _maintain(self) -> None:
        """Log how many frames were dropped, and connect again if there is no reader."""
        self._look = self._loop.call_later(_LOOK_SECONDS, self._maintain)
        self._may_connect_at_once = True
        if self.dropped:
            log.warning("Dropped dnstap messages: %d", self.dropped)
            self.dropped = 0
        if self._stream.transport is not None and not self._stream.has_begun:
            self._stream.transport.abort()
        elif self._stream.transport is None and self._connecting is None:
            self._connect()

    def _connect(self) -> None:
        self._stream = self._new_stream()
        self._connecting = self._loop.create_task(self._try_to_connect(self._stream))

    async def _try_to_connect(self, stream: _Stream) -> None:
        options = self._options
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if options.transport == "unix":
                    await self._loop.create_unix_connection(lambda: stream, options.address)
                else:
                    host, port = _host_and_port(options.address)
                    context = _client_context(options) if options.transport == "tls" else None
                    await self._loop.create_connection(lambda: stream, host, port, ssl=context)
        except (OSError, TimeoutError) as error:
            log.error("No connection to dnstap endpoint: %s: %s", options.address, error)
        finally:
            self._connecting = None


class TapListener:
    """Sends frames to every reader that connects; a slow one misses some."""

    def __init__(self, options: DnstapOptions, loop: asyncio.AbstractEventLoop) -> None:
        self._options = options
        self._streams: set[_Stream] = set()
        self._server: asyncio.Server | None = None
        self._opening = loop.create_task(self._open(loop))

    def put(self, payload: bytes) -> None:
        """Send `payload` to the readers that can take it."""
        frame = data_frame(payload)
        for stream in self._streams:
            if stream.is_taking:
                stream.write(frame)

    def close(self) -> None:
        """Accept no more readers, and end the streams to those connected."""
        self._opening.cancel()
        if self._server is not None:
            self._server.close()
        for stream in list(self._streams):
            stream.end()

    def _new_stream(self) -> _Stream:
        octets = self._options.write_buffer_mib * _OCTETS_PER_MIB
        stream = _Stream(octets, lambda: None, lambda: self._streams.discard(stream))
        self._streams.add(stream)
        return stream

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        options = self._options
        try:
            if options.transport == "unix":
                # A socket left there by an earlier life is replaced.
                self._server = await loop.create_unix_server(self._new_stream, options.address)
            else:
                host, port = _host_and_port(options.address)
                context = _server_context(options) if options.transport == "tls" else None
                self._server = await loop.create_server(
                    self._new_stream, host or None, port, ssl=context, reuse_port=True
                )
        except OSError as error:
            log.error("Failed to start dnstap listener: %s: %s", options.address, error)


Sink: TypeAlias = TapClient | TapListener


def open_sink(options: DnstapOptions, loop: asyncio.AbstractEventLoop) -> Sink:
    """The sink that one `dnstap` line asks for."""
    return TapListener(options, loop) if options.is_listener else TapClient(options, loop)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _client_context(options: DnstapOptions) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if options.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _server_context(options: DnstapOptions) -> ssl.SSLContext:
    """TLS for readers; those must show a certificate where an authority is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = options.tls
    if tls is not None:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
        if tls.authority_file:
            context.load_verify_locations(tls.authority_file)
            is_lenient = options.skip_verify
            context.verify_mode = ssl.CERT_OPTIONAL if is_lenient else ssl.CERT_REQUIRED
    return context
