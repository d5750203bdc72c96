"""Puts a sampler before the listeners while somebody reads `top`, and removes it afterwards.

A UDP listener gets another socket object of the same socket, a TCP listener another handler before
its own, so that what answers queries has no line for this.
"""

import contextlib
import os
import socket
from typing import Any

from nodecache.server.client_query import Transport
from nodecache.server.replies import CachedReply
from nodecache.server.tcp_connection import PacketHandler

from .listener import Listener
from .sampling import Sample, Sampler
from .serving import Serving

# Not by super(), which takes a quarter of a microsecond each time.
_recvfrom, _recvmsg = socket.socket.recvfrom, socket.socket.recvmsg
_sendto, _sendmsg = socket.socket.sendto, socket.socket.sendmsg


class SampledSocket(socket.socket):
    """A listener's UDP socket, which shows the sampler what is read and what is sent."""

    def __init__(self, original: socket.socket, sampler: Sampler) -> None:
        super().__init__(
            original.family, original.type, original.proto, fileno=os.dup(original.fileno())
        )
        self.setblocking(False)
        self._number = original.fileno()
        self._sampler = sampler

    def fileno(self) -> int:
        """The descriptor that the loop knows."""
        return self._number

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Read a query."""
        received = _recvfrom(self, bufsize, flags)
        sampler = self._sampler
        sampler.left -= 1
        if sampler.left <= 0:
            self._begin(*received)
        return received

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> Any:
        """Read a query, with where it was sent to."""
        received = _recvmsg(self, bufsize, ancbufsize, flags)
        sampler = self._sampler
        sampler.left -= 1
        if sampler.left <= 0:
            self._begin(received[0], received[3])
        return received

    def sendto(self, reply: Any, address: Any) -> int:  # type: ignore[override]
        """Send a reply."""
        if self._sampler.waiting:
            self._sampler.sent((address[:2], bytes(reply[:2])), reply)
        return _sendto(self, reply, address)

    def sendmsg(  # type: ignore[override]
        self, buffers: list[bytes], ancdata: Any, flags: int, address: Any
    ) -> int:
        """Send a reply from where the query was sent to."""
        if self._sampler.waiting:
            self._sampler.sent((address[:2], bytes(buffers[0][:2])), buffers[0])
        return _sendmsg(self, buffers, ancdata, flags, address)

    def _begin(self, packet: bytes, address: Any) -> None:
        if (sample := self._sampler.begin(packet, address)) is not None:
            self._sampler.begin_waiting((address[:2], packet[:2]), sample)


class SampledHandler:
    """A handler that samples queries and passes them to a TCP listener's own handler."""

    def __init__(self, handler: PacketHandler, sampler: Sampler) -> None:
        self.handler = handler
        self._sampler = sampler

    def handle(
        self, packet: bytes, transport: Transport, address: Any, now: float
    ) -> CachedReply | None:
        """Answer `packet`, now or later."""
        self._sampler.left -= 1
        if self._sampler.left <= 0:
            sample = self._sampler.begin(packet, address)
            if sample is not None:
                way_back = _SampledTransport(transport, sample, self._sampler)
                handled = self.handler.handle(packet, way_back, address, now)
                sample.wait()
                return handled
        return self.handler.handle(packet, transport, address, now)


class _SampledTransport:
    """The transport of one sampled query by TCP."""

    def __init__(self, transport: Transport, sample: Sample, sampler: Sampler) -> None:
        self.name = transport.name
        self.local = transport.local
        self.note = transport.note
        self.unnote = transport.unnote
        self._transport = transport
        self._sample = sample
        self._sampler = sampler

    def send(self, reply: bytes, address: Any) -> None:
        """Send the reply."""
        self._sampler.end(self._sample, reply[3] & 15)
        self._transport.send(reply, address)

    def forget(self, address: Any) -> None:
        """There will be no reply."""
        self._sampler.end(self._sample, None)
        self._transport.forget(address)


class SampledListeners:
    """The listeners with a sampler."""

    def __init__(self, serving: Serving, sampler: Sampler) -> None:
        self._serving = serving
        self._sampler = sampler
        self._originals: dict[Listener, tuple[socket.socket, PacketHandler]] = {}

    def cover(self) -> None:
        """Look at those that are there by now; leave those that are gone."""
        listeners = list(self._serving.listeners.values())
        for listener in listeners:
            if listener not in self._originals:
                udp, tcp = listener.udp, listener.tcp
                with contextlib.suppress(OSError):  # no descriptor is left: not looked at
                    sampled = SampledSocket(udp.socket, self._sampler)
                    self._originals[listener] = udp.socket, tcp.handler
                    udp.socket = sampled
                    tcp.handler = SampledHandler(tcp.handler, self._sampler)
        for gone in [each for each in self._originals if each not in listeners]:
            self._uncover(gone)

    def end(self) -> None:
        """Leave every listener as it was."""
        for listener in list(self._originals):
            self._uncover(listener)

    def _uncover(self, listener: Listener) -> None:
        sampled = listener.udp.socket
        listener.udp.socket, listener.tcp.handler = self._originals.pop(listener)
        sampled.close()
