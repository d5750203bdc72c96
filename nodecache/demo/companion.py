"""What runs beside the agent: the stand-in for kube-dns, and the lines that say what to try.

A process of its own, because the agent forks and must be free of other threads. It lives as long as
the pipe from the demo's main process does, however that ends.
"""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.message

from .standin import StandIn, serve_until_closed

SAMPLE_NAME = "kubernetes.default.svc.cluster.local"
_OUR_NAME = "kube-dns.kube-system.svc.cluster.local"  # so that the sample's first query is a miss

_ASK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the demo's parts listen, on 127.0.0.1."""

    dns_port: int
    metrics_port: int
    health_port: int
    stand_in_port: int
    control: str
    """The agent's control socket."""


def run(stand_in: StandIn, place: Place, lifeline: int) -> None:
    """Serve and tell until `lifeline`, the reading end of a pipe, is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent's to obey; we follow by the pipe
    asyncio.run(_run(stand_in, place, lifeline))


async def _run(stand_in: StandIn, place: Place, lifeline: int) -> None:
    telling = asyncio.create_task(_tell(place))
    await serve_until_closed(stand_in, lifeline)
    telling.cancel()


async def _tell(place: Place) -> None:
    while not await _answers(place.dns_port):  # noqa: ASYNC110 (another process: no event to wait on)
        await asyncio.sleep(_ASK_SECONDS)
    print(banner(place), flush=True)


async def _answers(port: int) -> bool:
    query = dns.message.make_query(f"{_OUR_NAME}.", "A")
    try:
        await dns.asyncquery.udp(query, "127.0.0.1", timeout=_ASK_SECONDS, port=port)
    except (OSError, dns.exception.DNSException):
        return False
    return True


def banner(place: Place) -> str:
    """What listens where, and what to try."""
    python = os.path.relpath(sys.executable)
    return (
        f"\n"
        f"  nodecache listens on 127.0.0.1:{place.dns_port} (UDP and TCP),"
        f" before a stand-in for kube-dns on 127.0.0.1:{place.stand_in_port}\n"
        f"  try      dig @127.0.0.1 -p {place.dns_port} {SAMPLE_NAME}\n"
        f"  watch    {python} -m nodecache top --control {place.control}\n"
        f"  metrics  http://127.0.0.1:{place.metrics_port}/metrics\n"
        f"  health   http://127.0.0.1:{place.health_port}/health\n"
        f"  Ctrl-C ends it\n"
    )
