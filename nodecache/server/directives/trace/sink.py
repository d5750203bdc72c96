"""Sends spans to a Zipkin collector over HTTP, in batches.

The law of this module: if the collector is slow or away, spans are dropped; no query waits, and
memory is bounded by the backlog. One batch is sent at a time; spans that could not be delivered are kept
for the next while there is room, and the oldest are dropped first, as in CoreDNS's reporter.
"""

import asyncio
import logging
import ssl
from collections import deque
from ipaddress import ip_address
from itertools import islice
from urllib.parse import urlsplit

from nodecache import __version__
from nodecache.corefile import TraceOptions

from .spans import Span

log = logging.getLogger("plugin/trace")

# Those of zipkin-go, which CoreDNS uses.
DEFAULT_BACKLOG_SPANS = 1000
DEFAULT_BATCH_SPANS = 100
DEFAULT_BATCH_SECONDS = 1.0
POST_SECONDS = 5.0

_MAX_RESPONSE_OCTETS = 65536
_TELL_SECONDS = 10.0  # between two lines about spans that were dropped
# Spans that are written out before queries get their turn again: about 0.2 ms.
_SLICE_SPANS = 20
_PORTS = {"http": 80, "https": 443}


class ZipkinSink:
    """Collects spans, and posts them once a batch is full or old enough."""

    def __init__(
        self,
        options: TraceOptions,
        address: tuple[str, int] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.dropped = 0
        self._endpoint = local_endpoint(options.service, address)
        self._collector = Collector(options.endpoint)
        self._max_spans = options.zipkin_max_backlog_size or DEFAULT_BACKLOG_SPANS
        self._batch_spans = options.zipkin_max_batch_size or DEFAULT_BATCH_SPANS
        self._seconds = options.zipkin_max_batch_seconds or DEFAULT_BATCH_SECONDS
        self._loop = loop
        self._backlog: deque[Span] = deque()
        self._posting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._is_failing = False
        self._told_at = loop.time() - _TELL_SECONDS

    def put(self, span: Span) -> None:
        """Add `span`; without room the oldest one is dropped."""
        if self._is_closed:
            return
        backlog = self._backlog
        backlog.append(span)
        if len(backlog) > self._max_spans:
            backlog.popleft()
            self._count_lost()
        if len(backlog) >= self._batch_spans and not self._is_failing:
            self._post_now()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._post_now)

    def close(self) -> None:
        """Try once to send what is left."""
        self._post_now()
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _count_lost(self) -> None:
        """Count a dropped span, and log their number now and then."""
        self.dropped += 1
        now = self._loop.time()
        if now - self._told_at >= _TELL_SECONDS:
            log.warning("backlog too long, disposing spans: %d so far", self.dropped)
            self._told_at = now

    def _post_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._posting is None and self._backlog:
            self._posting = self._loop.create_task(self._post())

    async def _post(self) -> None:
        spans = list(self._backlog)
        self._backlog.clear()
        try:
            async with asyncio.timeout(POST_SECONDS):
                status = await self._collector.post(await self._body(spans))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            self._fail(f"failed to send the request: {str(error) or 'timeout'}")
            self._keep(spans)
        else:
            if 200 <= status < 300:
                self._is_failing = False
            else:
                # It was heard and not wanted: the same again would not be wanted either.
                self._fail(f"failed the request with status code {status}")
        finally:
            self._posting = None
            if self._backlog:
                self._post_remaining()

    def _post_remaining(self) -> None:
        """Post what came, or stayed, meanwhile: soon, or, once closed, at once or never."""
        if self._is_closed:
            if not self._is_failing:
                self._post_now()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._post_now)

    def _fail(self, reason: str) -> None:
        """Tell of the first of several failures in a row."""
        if not self._is_failing:
            log.warning("%s: %s", self._collector.url, reason)
        self._is_failing = True

    def _keep(self, spans: list[Span]) -> None:
        """Put back what did not get through, the youngest first, as far as there is room."""
        room = max(0, self._max_spans - len(self._backlog))
        kept = spans[len(spans) - room :] if room < len(spans) else spans
        self._backlog.extendleft(reversed(kept))
        for _ in range(len(spans) - len(kept)):
            self._count_lost()

    async def _body(self, spans: list[Span]) -> bytes:
        """The batch, written a slice at a time."""
        written: list[bytes] = []
        left = iter(spans)
        while some := list(islice(left, _SLICE_SPANS)):
            written += [span.to_json(self._endpoint) for span in some]
            await asyncio.sleep(0)
        return b"[" + b",".join(written) + b"]"


class Collector:
    """A Zipkin collector: an address that takes POSTs. ValueError where `url` is none."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"trace: not an address of HTTP: {url!r}")
        self.url = url
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {path} HTTP/1.1\r\n"
            f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
            f"User-Agent: nodecache/{__version__}\r\n"
            "Content-Type: application/json\r\n"
            "Connection: close\r\n"
            "b3: 0\r\n"  # this request itself is not to be traced
        )

    async def post(self, body: bytes) -> int:
        """Send `body`; the status of the response. OSError or ValueError where there is none."""
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._context, limit=_MAX_RESPONSE_OCTETS
        )
        try:
            writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            version, _, rest = (await reader.readline()).partition(b" ")
            if not version.startswith(b"HTTP/1."):
                raise ValueError("no HTTP response")
            return int(rest[:3])
        finally:
            writer.close()


def local_endpoint(service: str, address: tuple[str, int] | None) -> dict[str, object]:
    """Our endpoint in Zipkin's form: service names are in lower case."""
    told: dict[str, object] = {"serviceName": service.lower()}
    if address is not None:
        host, port = address
        told |= {f"ipv{ip_address(host).version}": host, "port": port}
    return told
