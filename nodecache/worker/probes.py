"""The pages `/health` and `/ready`, and the agent's check of itself.

`/health` is OK while the event loop runs: the kubelet restarts a container that does not answer.
`/ready` is OK once every condition for taking queries is met, and else names what is missing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from nodecache.web.server import Request, Response

log = logging.getLogger("plugin/health")

# CoreDNS checks its own health once a second and gives it three to answer.
CHECK_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 3.0


async def health_page(_: Request) -> Response:
    """200 for any method, as CoreDNS answers."""
    return Response(HTTPStatus.OK, b"OK")


@dataclass(slots=True)
class Readiness:
    """The conditions that must hold before queries are sent here, by names for people."""

    missing: dict[str, None] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)
    _trusted: set[str] = field(default_factory=set)

    def require(self, *conditions: str) -> None:
        """Add conditions, none of them met yet."""
        self.missing.update(dict.fromkeys(conditions))

    def tell(self, condition: str, *, is_met: bool) -> None:
        """Note whether `condition` holds now."""
        if is_met:
            self.missing.pop(condition, None)
            self._met.add(condition)
        else:
            self.missing[condition] = None
            self._met.discard(condition)

    def forget(self) -> None:
        """Check all conditions again, also those that were met at an earlier request."""
        self._trusted.clear()

    async def page(self, _: Request) -> Response:
        """200, or 503 with the names of what is missing, as CoreDNS' `ready` names its plugins."""
        return _readiness(self.missing)

    async def page_until_ready(self, _: Request) -> Response:
        """The same, but a condition that was met at an earlier request counts as met."""
        self._trusted |= self._met
        return _readiness(name for name in self.missing if name not in self._trusted)


def _readiness(missing: Iterable[str]) -> Response:
    if names := ",".join(missing):
        return Response(HTTPStatus.SERVICE_UNAVAILABLE, names.encode())
    return Response(HTTPStatus.OK, b"OK")


@dataclass(slots=True, kw_only=True)
class SelfCheck:
    """Requests the agent's own `/health` once a second, as CoreDNS does.

    The time it takes is the time that a query may wait for the event loop.
    """

    host: str
    port: int
    observe: Callable[[float], None]
    """Takes the seconds of every check, also of one that failed: CoreDNS plugin/health."""
    failures: int = 0

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Check once."""
        started_at = time.monotonic()
        try:
            status = await fetch_status(self.host, self.port, "/health")
            self.failures += status != HTTPStatus.OK
        except OSError as error:
            self.failures += 1
            log.warning("the agent's own /health does not answer: %s", str(error) or "timeout")
        self.observe(time.monotonic() - started_at)


async def fetch_status(host: str, port: int, path: str) -> int:
    """Ask for a page over plain HTTP; its status.

    Raises OSError (TimeoutError is one) where nothing, or nothing understandable, comes back.
    """
    async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            head = await reader.read(-1)
        finally:
            writer.close()
    status = head[9:12]
    if not head.startswith(b"HTTP/1.") or not status.isdigit():
        raise OSError(f"no HTTP response from {host}:{port}")
    return int(status)
