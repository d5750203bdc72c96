"""DNS over HTTPS to upstreams (RFC 8484), as a stream that the pool takes for one of DNS over TCP.

`DohStream` stands between the pool and a TLS stream: what the pool writes as frames goes out as
requests, and what comes back as responses is handed to it as frames. HTTP/2 is spoken where the
server knows it, else HTTP/1.1. The law of this module: a request that fails is an answer SERVFAIL,
so that another upstream is asked at once; a server that breaks the rules loses its connection.
"""

import base64
from collections import deque
from struct import Struct
from typing import Protocol

from nodecache.forward.runtime import Endpoint, Stream, StreamReceiver
from nodecache.wire import (
    HEADER_SIZE,
    Flag,
    FrameBuffer,
    Rcode,
    Rdtype,
    errors_as_options,
    framed,
    is_bare_reply,
)

from .http2 import Http2
from .layer import Layer

PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"
PROTOCOLS = ("h2", "http/1.1")  # as ALPN names them, the better one first
MOST_OCTETS = 65535
_HTTPS_PORT = 443
_MOST_HEAD_OCTETS = 16384
_OK = 200
# What an honest server never needs: one that does is asked elsewhere, and costs nothing more.
_MOST_INTERIM = 16
_MOST_CHUNK_HEAD_OCTETS = 256
_MOST_BUFFERED_OCTETS = 2 * MOST_OCTETS
_MOST_ASKED = 4096
_NETWORK_ERROR = 23  # RFC 8914 §4.24


class BrokenHttp(Exception):
    """What the server says is not HTTP, or not as it may be."""


class Codec(Protocol):
    """One HTTP connection, without the connection."""

    @property
    def is_over(self) -> bool:
        """The server wants no more requests here, and owes nothing."""

    def request(self, message: bytes) -> None:
        """Ask."""

    def receive(self, data: bytes) -> list[bytes]:
        """The answers in what came; BrokenHttp or ValueError where it is not HTTP."""

    def to_send(self) -> bytes:
        """What has to be sent since the last time."""


class TlsCarrier(Stream, Protocol):
    """A TLS stream, which knows what protocol was agreed on."""

    @property
    def protocol(self) -> str:
        """By ALPN; empty where the server did not say."""


def authority(endpoint: Endpoint) -> str:
    """Whom requests are for: the server's name where we have one; its port unless it is usual."""
    host = endpoint.server_name or endpoint.host
    host = f"[{host}]" if ":" in host else host
    return host if endpoint.port == _HTTPS_PORT else f"{host}:{endpoint.port}"


def query_path(message: bytes) -> str:
    """Where a GET asks (RFC 8484 §4.1): base64url without padding."""
    return f"{PATH}?dns={base64.urlsafe_b64encode(message).rstrip(b'=').decode()}"


def without_id(message: bytes) -> bytes:
    """The message with id 0, which makes equal questions equal for caches (RFC 8484 §4.1)."""
    return b"\0\0" + message[2:]


def servfail(message: bytes, reason: str) -> bytes:
    """The answer that stands for none: SERVFAIL to the query `message`, which says why."""
    question = question_of(message)
    flags = int.from_bytes(message[2:4], "big") & Flag.RD | Flag.QR | Rcode.SERVFAIL
    has_opt = message[HEADER_SIZE - 2 : HEADER_SIZE] != b"\0\0"
    options = errors_as_options(((_NETWORK_ERROR, reason.encode()),))
    opt = _OPT.pack(b"", Rdtype.OPT, MOST_OCTETS, 0, len(options)) + options if has_opt else b""
    counts = _COUNTS.pack(1, 0, 0, has_opt)
    return message[:2] + flags.to_bytes(2, "big") + counts + question + opt


_COUNTS = Struct("!HHHH")
_OPT = Struct("!1sHHLH")  # the root, type, size, extended rcode and flags, length: RFC 6891 §6.1.2


def question_of(message: bytes) -> bytes:
    """The question of a query of ours."""
    end = HEADER_SIZE
    while message[end]:
        end += 1 + message[end]
    return message[HEADER_SIZE : end + 5]


def answer_to(message: bytes, status: int, body: bytes) -> bytes:
    """What the pool hears for a response: the answer with the query's id, or SERVFAIL.

    A page for people, or an answer to something else, will not get better by waiting.
    """
    if status != _OK:
        said = f"HTTP status {status}" if status else "the request was broken off"
        return servfail(message, said)
    question = question_of(message)
    asked = body[HEADER_SIZE : HEADER_SIZE + len(question)]
    if len(body) > MOST_OCTETS or not (
        is_bare_reply(body)
        or asked.lower() == question.lower()  # its type too: Pending looks again
    ):
        return servfail(message, "the response is no answer to the question")
    return message[:2] + body[2:]


class DohStream(Layer[TlsCarrier]):
    """A DoH connection. `carry` gives it the TLS stream that it speaks over, once."""

    __slots__ = ("_codec", "_endpoint", "_frames")

    def __init__(self, receiver: StreamReceiver, endpoint: Endpoint) -> None:
        super().__init__(receiver)
        self._endpoint = endpoint
        self._frames = FrameBuffer()
        self._codec: Codec | None = None

    # What the TLS stream tells

    def opened(self, now: float) -> None:
        """The handshake is done, and the protocol agreed on."""
        if self._stream is None:
            return
        speak = Http2Requests if self._stream.protocol == PROTOCOLS[0] else Http1
        self._codec = speak(authority(self._endpoint), self._endpoint.http_method)
        self._flush()
        self._receiver.opened(now)

    def received(self, data: bytes, now: float) -> None:
        """Octets came; hand on the answers in them."""
        codec = self._codec
        if codec is None:
            return
        try:
            answers = codec.receive(data)
        except (BrokenHttp, ValueError, IndexError) as error:
            self._end(error, now)
            return
        self._flush()
        if answers:
            self._receiver.received(b"".join([framed(each) for each in answers]), now)
        if codec.is_over:
            self._end(None, now)

    def _flush(self) -> None:
        if self._stream is not None and self._codec is not None:
            data = self._codec.to_send()
            if data:
                self._stream.write(data)

    # What the pool asks for

    def write(self, data: bytes) -> None:
        """Ask what is in these frames; the pool writes only what is open."""
        if self._codec is None:
            return
        for message in self._frames.feed(data):
            self._codec.request(message)
        self._flush()


class Http2Requests:
    """DoH over HTTP/2: each question has a stream of its own, and answers come as they are ready."""

    def __init__(self, authority: str, method: str) -> None:
        self._http = Http2()
        self._authority = authority
        self._method = method

    @property
    def is_over(self) -> bool:
        """The server said that it goes, and owes nothing."""
        return self._http.is_over

    def request(self, message: bytes) -> None:
        """Ask, as soon as the server has room for one more."""
        asked = without_id(message)
        common = [(":scheme", "https"), (":authority", self._authority), ("accept", MEDIA_TYPE)]
        if self._method == "GET":
            head = [(":method", "GET"), (":path", query_path(asked)), *common]
            self._http.request(head, b"", message)
            return
        about_body = [("content-type", MEDIA_TYPE), ("content-length", str(len(asked)))]
        head = [(":method", "POST"), (":path", PATH), *common, *about_body]
        self._http.request(head, asked, message)

    def receive(self, data: bytes) -> list[bytes]:
        """The answers in what came."""
        return [answer_to(*response) for response in self._http.receive(data)]

    def to_send(self) -> bytes:
        """Frames."""
        return self._http.to_send()


class Http1:
    """DoH over HTTP/1.1: requests one behind the other, responses in their order (RFC 9112)."""

    def __init__(self, authority: str, method: str) -> None:
        self.is_over = False
        self._method = method
        self._fields = f"Host: {authority}\r\nAccept: {MEDIA_TYPE}\r\n"
        self._asked: deque[bytes] = deque()
        self._outgoing: list[bytes] = []
        self._buffer = b""
        self._interim = 0
        self._status = 0
        self._is_last = False
        self._chunks: bytearray | None = None
        """The body so far of a response that comes in chunks."""

    def request(self, message: bytes) -> None:
        """Ask."""
        asked = without_id(message)
        if self._method == "GET":
            head, body = f"GET {query_path(asked)} HTTP/1.1\r\n{self._fields}\r\n", b""
        else:
            about_body = f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(asked)}\r\n"
            head, body = f"POST {PATH} HTTP/1.1\r\n{self._fields}{about_body}\r\n", asked
        self._asked.append(message)
        self._outgoing.append(head.encode() + body)

    def to_send(self) -> bytes:
        """Requests."""
        outgoing, self._outgoing = self._outgoing, []
        return b"".join(outgoing)

    def receive(self, data: bytes) -> list[bytes]:
        """The answers in what came."""
        if len(self._asked) > _MOST_ASKED:
            raise BrokenHttp("answers that come too late")
        self._buffer += data
        answers = []
        while self._buffer and not self.is_over:
            response = self._response()
            if response is None:
                break
            status, body = response
            if status < _OK:  # it only says that there is more to come
                self._interim += 1
                if self._interim > _MOST_INTERIM:
                    raise BrokenHttp("nothing but promises")
                continue
            self._interim = 0
            if not self._asked:
                raise BrokenHttp("a response that nobody asked for")
            answers.append(answer_to(self._asked.popleft(), status, body))
        if len(self._buffer) > _MOST_BUFFERED_OCTETS:
            raise BrokenHttp("more than any response has")
        return answers

    def _response(self) -> tuple[int, bytes] | None:
        """The next response: status and body; None where it is not all there yet."""
        if self._chunks is not None:
            return self._chunked()
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _MOST_HEAD_OCTETS:
                raise BrokenHttp("a head without an end")
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not status[:3].isdigit():
            raise BrokenHttp("not HTTP")
        fields = {
            name.strip().lower(): value.strip().lower()
            for name, _, value in (line.partition(":") for line in lines)
        }
        number = int(status[:3])
        is_last = version == "HTTP/1.0" or fields.get("connection") == "close"
        if "transfer-encoding" in fields:
            self._buffer, self._chunks = rest, bytearray()
            self._status, self._is_last = number, is_last
            return self._chunked()
        size = int(fields.get("content-length", "0")) if number >= _OK else 0
        if not 0 <= size <= MOST_OCTETS:
            raise BrokenHttp("a body of no size an answer has")
        if len(rest) < size:
            return None
        self._buffer = rest[size:]
        self.is_over = is_last
        return number, rest[:size]

    def _chunked(self) -> tuple[int, bytes] | None:
        """Take the chunks that are there (RFC 9112 §7.1, without trailers): each octet once."""
        body, buffer, at = self._chunks, self._buffer, 0
        assert body is not None
        while (end := buffer.find(b"\r\n", at)) >= 0:
            if end - at > _MOST_CHUNK_HEAD_OCTETS:
                raise BrokenHttp("a chunk that is all head")
            size = int(buffer[at:end].partition(b";")[0], 16)
            if size < 0 or len(body) + size > MOST_OCTETS:
                raise BrokenHttp("a body of no size an answer has")
            if len(buffer) < end + size + 4:
                break
            body += buffer[end + 2 : end + 2 + size]
            at = end + size + 4
            if size == 0:
                self._buffer, self._chunks = buffer[at:], None
                self.is_over = self._is_last
                return self._status, bytes(body)
        self._buffer = buffer[at:]
        if end < 0 and len(self._buffer) > _MOST_CHUNK_HEAD_OCTETS:
            raise BrokenHttp("a chunk of no size")
        return None
