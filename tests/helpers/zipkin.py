"""A stand-in for a Zipkin collector: Python's own HTTP server, which keeps what it is posted."""

import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.patience import PATIENCE_SECONDS

SpanJson = dict[str, Any]


@dataclass
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    spans: list[SpanJson]


class Zipkin:
    """Takes spans between `with` and its end; `statuses` are of the first responses, then 202."""

    def __init__(self, *statuses: int, port: int = 0, pem: Path | None = None) -> None:
        self.posted: list[Posted] = []
        self._statuses = list(statuses)
        self._news = threading.Condition()
        zipkin = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(zipkin._take(self.path, dict(self.headers), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if pem is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self._news:
            self.posted.append(Posted(path, headers, json.loads(body)))
            self._news.notify_all()
            return self._statuses.pop(0) if self._statuses else 202

    @property
    def spans(self) -> list[SpanJson]:
        """All that came, in order."""
        return [span for posted in list(self.posted) for span in posted.spans]

    def wait_for(self, count: int) -> list[SpanJson]:
        """Wait until `count` spans came."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.spans) >= count, PATIENCE_SECONDS), (
                self.posted
            )
            return self.spans

    def wait_for_trace(self, qname: str) -> list[SpanJson]:
        """Wait for a query for `qname` to be told; its spans, outermost first."""

        def top() -> SpanJson | None:
            named = (s for s in self.spans if s.get("tags", {}).get("coredns.io/name") == qname)
            return next(named, None)

        with self._news:
            assert self._news.wait_for(lambda: top() is not None, PATIENCE_SECONDS), self.posted
            found = top()
            assert found is not None
            return nested([s for s in self.spans if s["traceId"] == found["traceId"]])


def nested(spans: list[SpanJson]) -> list[SpanJson]:
    """The spans of one trace from the outermost in; each has one parent, and those are all there."""
    (top,) = [span for span in spans if "parentId" not in span]
    ordered = [top]
    for span in ordered:
        ordered += [each for each in spans if each.get("parentId") == span["id"]]
    assert len(ordered) == len(spans)
    return ordered
