"""A small HTTP/1.1 server inside the worker's event loop, for metrics and probes.

The law of this module: a page never delays a query, and a stranger costs little. Long pages are made
in slices, with other work of the loop between them; the octets of a request, the time it may take
and the connections at once are bounded. Requests with a body are refused: no kubelet, Prometheus or
curl sends one. The pages themselves are made in `worker/` and `metrics/`.

h11 reads and writes HTTP (0.3 MiB, 6 ms of start). A whole server takes 3.6 MiB and 23 ms (uvicorn) to
13.5 MiB and 99 ms (aiohttp), and none of them bounds as much.
"""

import asyncio
import logging
import socket
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import h11

log = logging.getLogger(__name__)

# A scrape's request is about 300 octets; nobody who wants these pages sends 8 KiB.
MAX_HEAD_OCTETS = 8192

# What CoreDNS' metrics and health servers allow for reading a request and for writing a response.
EXCHANGE_SECONDS = 5.0

# Longer than a usual scrape interval, so that Prometheus keeps its connection.
IDLE_SECONDS = 130.0

# One kubelet and a few scrapers need five; the rest is for people.
MAX_CONNECTIONS = 64

# A tenth of the 2 ms for which a scrape may delay a query.
SLICE_SECONDS = 0.0002

TEXT = "text/plain; charset=utf-8"


class MalformedRequest(Exception):
    """A request that breaks HTTP, has a body or wants a tunnel; `status` is the response's."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(slots=True, frozen=True)
class Request:
    """What a client asks for. Header names are lowered."""

    method: str
    path: str
    headers: Mapping[str, str]

    def takes_gzip(self) -> bool:
        """Whether the client asks for gzip (RFC 9110, 12.5.3: a weight of 0 refuses it)."""
        for coding in self.headers.get("accept-encoding", "").lower().split(","):
            name, _, weight = coding.replace(" ", "").partition(";q=")
            if name == "gzip":
                return weight == "" or weight.strip("0.") != ""
        return False


@dataclass(slots=True, frozen=True)
class Response:
    """The response of a page. `encoding` is the compression that `body` already has."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    encoding: str = ""


Page = Callable[[Request], Awaitable[Response]]


class WebServer:
    """Serves pages by path, 404 for any other path, on every socket given to `serve`."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        headers: Mapping[str, str] | None = None,
        is_welcome: Callable[[asyncio.StreamWriter], bool] = lambda _: True,
    ) -> None:
        self._pages = pages
        self._headers = headers or {}
        self._is_welcome = is_welcome
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}  # oldest first

    async def serve(self, listener: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Answer on `listener`, with a `context` over TLS. The server closes it in the end."""
        server = await asyncio.start_server(
            self._serve_connection,
            sock=listener,
            limit=MAX_HEAD_OCTETS,
            ssl=context,
            ssl_handshake_timeout=EXCHANGE_SECONDS if context is not None else None,
        )
        self._listeners.append(server)

    def close(self) -> None:
        """Stop listening, and end every connection at once."""
        for server in self._listeners:
            server.close()
        for conversation in self._connections.values():
            conversation.cancel()

    async def wait_closed(self) -> None:
        """Wait until the last connection has ended, after `close`."""
        await asyncio.gather(*self._connections.values(), return_exceptions=True)

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._mark_youngest(writer)
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_OCTETS)
        try:
            while self._is_welcome(writer) and await self._exchange(http, reader, writer):
                self._mark_youngest(writer)
            writer.close()
            async with asyncio.timeout(EXCHANGE_SECONDS):  # for what the client has not read yet
                await writer.wait_closed()
        except (TimeoutError, OSError):
            pass  # the client's loss
        except asyncio.CancelledError:
            pass  # by `close`; asyncio's streams would log a conversation that ends cancelled
        finally:
            writer.transport.abort()
            self._connections.pop(writer, None)

    def _mark_youngest(self, writer: asyncio.StreamWriter) -> None:
        """Make `writer` the youngest connection; while there are too many, the oldest is closed."""
        conversation = asyncio.current_task()
        assert conversation is not None
        self._connections.pop(writer, None)
        self._connections[writer] = conversation
        while len(self._connections) > MAX_CONNECTIONS:
            oldest = next(iter(self._connections))
            del self._connections[oldest]  # now: many may come before its own task runs
            oldest.transport.abort()

    async def _exchange(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False where the connection is to be closed after it."""
        try:
            request = await read_request(http, reader)
        except MalformedRequest as error:
            request, response = None, Response(error.status, b"")  # also right for HEAD
        else:
            if request is None:
                return False
            response = await self._response(request)
        headers = headers_of(response, self._headers, is_last=request is None)
        status = response.status
        told: list[h11.Event] = [
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        ]
        if request is None or request.method != "HEAD":
            told.append(h11.Data(data=response.body))
        for event in (*told, h11.EndOfMessage()):
            writer.write(http.send(event) or b"")
        async with asyncio.timeout(EXCHANGE_SECONDS):
            await writer.drain()
        if request is None or http.our_state is not h11.DONE:
            return False
        http.start_next_cycle()
        return True

    async def _response(self, request: Request) -> Response:
        page = self._pages.get(request.path)
        if page is None:
            return Response(HTTPStatus.NOT_FOUND, b"404 page not found\n")
        try:
            return await page(request)
        except Exception:
            log.exception("the page %s could not be made", request.path)
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"see the log\n")


async def read_request(http: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None where the client has nothing more to ask.

    Raises MalformedRequest, and TimeoutError where the rest of it does not come in time.
    """
    request: Request | None = None
    has_begun = False
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(IDLE_SECONDS) as limit:
        while True:
            event = _next_event(http)
            if event is h11.NEED_DATA:
                if http.trailing_data[0] and not has_begun:
                    has_begun = True
                    limit.reschedule(loop.time() + EXCHANGE_SECONDS)
                http.receive_data(await reader.read(MAX_HEAD_OCTETS))
            elif isinstance(event, h11.Request):
                request = _request(event)
            elif isinstance(event, h11.EndOfMessage):
                return request
            else:
                return None


def _next_event(http: h11.Connection) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    try:
        return http.next_event()
    except h11.RemoteProtocolError as error:
        raise MalformedRequest(HTTPStatus(error.error_status_hint)) from None


def _request(event: h11.Request) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    if event.http_version not in (b"1.0", b"1.1"):
        raise MalformedRequest(HTTPStatus.BAD_REQUEST)
    if event.method == b"CONNECT":  # a 200 would make it a tunnel: RFC 9110 §9.3.6
        raise MalformedRequest(HTTPStatus.NOT_IMPLEMENTED)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise MalformedRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    path = event.target.decode("latin-1").partition("?")[0]
    return Request(event.method.decode("latin-1"), path, headers)


def headers_of(
    response: Response, more: Mapping[str, str], *, is_last: bool
) -> list[tuple[str, str]]:
    """The headers of `response`, with `more` that every page has."""
    headers = [
        ("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        *more.items(),
    ]
    if response.encoding:
        headers.append(("Content-Encoding", response.encoding))
    if is_last:
        headers.append(("Connection", "close"))
    return headers


class PageMaker:
    """Makes long pages, one at a time: of many side by side each would have its slice of every turn of the loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def make(self, pieces: Iterable[bytes], *, is_gzip: bool) -> bytes:
        """Join `pieces`, once the pages before this one are made."""
        async with self._turn:
            return await made_in_slices(pieces, is_gzip=is_gzip)


async def made_in_slices(pieces: Iterable[bytes], *, is_gzip: bool) -> bytes:
    """Join `pieces`, letting the loop do other work whenever a slice of time is used up.

    Each piece must be quick to make. Compression goes along with it, fast rather than tight: a
    scrape of 200 KB shrinks twentyfold either way.
    """
    loop = asyncio.get_running_loop()
    squeeze = zlib.compressobj(level=1, wbits=31) if is_gzip else None
    body = bytearray()
    slice_ends = loop.time() + SLICE_SECONDS
    for piece in pieces:
        body += squeeze.compress(piece) if squeeze else piece
        if loop.time() >= slice_ends:
            await asyncio.sleep(0)
            slice_ends = loop.time() + SLICE_SECONDS
    if squeeze:
        body += squeeze.flush()
    return bytes(body)
