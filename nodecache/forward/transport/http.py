"""DNS over HTTPS to upstreams, as a stream that the pool takes for one of DNS over TCP.

`DohStream` stands between the pool and a TLS stream: what the pool writes as frames goes out as
requests, and what comes back as responses is handed to it as frames. HTTP/2 is spoken where the
server knows it, by `h2`, else HTTP/1.1, by `h11`. Not by httpx, which is made of both: its HTTP/2
has whichever request waits longest read for all, so that two that a server is slow to answer hold
up a third that it has answered; and it takes ten times the CPU. Imported only where a Corefile has
an upstream over HTTPS. A server that breaks the rules loses its connection.
"""

import contextlib

from nodecache.forward.runtime import Endpoint, StreamReceiver
from nodecache.wire import FrameBuffer, framed

from .doh import BrokenHttp
from .http1 import Http1
from .http2 import Http2
from .layer import Layer
from .tls import TlsStream

PROTOCOLS = ["h2", "http/1.1"]  # as ALPN names them, the better one first


class DohStream(Layer[TlsStream]):
    """A DoH connection. `carry` gives it the TLS stream that it speaks over, once."""

    __slots__ = ("_codec", "_endpoint", "_frames")

    def __init__(self, receiver: StreamReceiver, endpoint: Endpoint) -> None:
        super().__init__(receiver)
        self._endpoint = endpoint
        self._frames = FrameBuffer()
        self._codec: Http1 | Http2 | None = None

    # What the TLS stream tells

    def opened(self, now: float) -> None:
        """The handshake is done, and the protocol agreed on."""
        if self._stream is None:
            return
        speak = Http2 if self._stream.protocol == PROTOCOLS[0] else Http1
        self._codec = speak(self._endpoint)
        self._flush()
        self._receiver.opened(now)

    def received(self, data: bytes, now: float) -> None:
        """Read octets, and pass on the answers in them as frames."""
        codec = self._codec
        if codec is None:
            return
        try:
            answers = codec.receive(data)
        except BrokenHttp as error:
            self._end(error, now)
            return
        self._flush()
        self._pass_on(answers, now)
        if codec.is_over:
            self._end(None, now)

    def closed(self, error: Exception | None, now: float) -> None:
        """The TLS stream ended. So does an answer of a length that HTTP/1 did not tell: RFC 9112 §6.3."""
        if error is None and self._codec is not None:
            with contextlib.suppress(BrokenHttp):
                self._pass_on(self._codec.receive(b""), now)
        self._drop_codec()
        super().closed(error, now)

    def _drop_codec(self) -> None:
        codec, self._codec = self._codec, None
        if isinstance(codec, Http2):
            codec.take_apart()

    def _pass_on(self, answers: list[bytes], now: float) -> None:
        if answers:
            self._receiver.received(b"".join([framed(each) for each in answers]), now)

    def _flush(self) -> None:
        if self._stream is not None and self._codec is not None:
            data = self._codec.to_send()
            if data:
                self._stream.write(data)

    # What the pool asks for

    def write(self, data: bytes) -> None:
        """Send a request for each frame; the pool writes only to open streams."""
        if self._codec is None:
            return
        for message in self._frames.feed(data):
            self._codec.request(message)
        self._flush()

    def close(self) -> None:
        """Close at once; no callback comes any more."""
        self._drop_codec()
        super().close()
