"""DNS over TLS to upstreams: RFC 7858, RFC 8310.

`TlsStream` stands between the pool and a plain stream. It holds no socket, so that it works on any
stream.
"""

import contextlib
import ssl

from nodecache.forward.runtime import Stream, StreamReceiver
from nodecache.forward.settings import TlsSettings

from .layer import Layer

_READ_OCTETS = 65536


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """What `tls [CERT KEY] [CA]` asks for; the system's authorities where no CA is named.

    TLS 1.2 and 1.3 as CoreDNS, and no renegotiation either: while it lasts nothing can be written.
    OSError, or its kind ssl.SSLError, where a file will not do.
    """
    context = ssl.create_default_context(cafile=settings.authority_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.certificate_file:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context


class TlsStream(Layer[Stream]):
    """A TLS connection over a plain one."""

    __slots__ = ("_incoming", "_is_open", "_outgoing", "_session")

    def __init__(self, receiver: StreamReceiver, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(receiver)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_name
        )
        self._is_open = False

    # What the plain stream tells

    def opened(self, now: float) -> None:
        """The TCP connection is open: begin the handshake."""
        self._shake_hands(now)

    def received(self, data: bytes, now: float) -> None:
        """Decrypt octets, and pass the plaintext on."""
        self._incoming.write(data)
        if not self._is_open:
            self._shake_hands(now)
        if self._is_open:
            self._read(now)

    def _shake_hands(self, now: float) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._fail(error, now)
        else:
            self._is_open = True
            self._flush()
            self._receiver.opened(now)

    def _read(self, now: float) -> None:
        parts = []
        failure: ssl.SSLError | None = None
        has_ended = False
        try:
            while part := self._session.read(_READ_OCTETS):
                parts.append(part)
            has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            has_ended = True
        except ssl.SSLError as error:
            failure = error
        self._flush()  # the session may owe an answer: new keys, an alert
        if parts:
            self._receiver.received(b"".join(parts), now)
        if failure is not None or has_ended:
            self._fail(failure, now)

    def _fail(self, error: ssl.SSLError | None, now: float) -> None:
        self._say_goodbye()
        self._end(error, now)

    def _say_goodbye(self) -> None:
        """Send close_notify, which RFC 8446 §6.1 demands, or the alert of a failure; theirs is not waited for."""
        if self._is_open:
            with contextlib.suppress(ssl.SSLError):
                self._session.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._stream is not None and self._outgoing.pending:
            self._stream.write(self._outgoing.read())

    # What the pool asks for

    @property
    def protocol(self) -> str:
        """What was agreed on by ALPN; empty where nothing was."""
        return self._session.selected_alpn_protocol() or ""

    def write(self, data: bytes) -> None:
        """Send `data` under TLS; the pool writes only what is open."""
        if self._stream is None:
            return
        try:
            self._session.write(data)
        except ssl.SSLError:
            return  # the session is broken; reading will say how
        self._flush()

    def close(self) -> None:
        """Close at once; no callback comes any more."""
        self._say_goodbye()
        super().close()
