"""Asking upstreams.

The law of this package: a query that goes well costs no task, no timer and no await. `pending`,
`policy`, `pace`, `health`, `timer_wheel`, `names` and `failure` do no I/O and have no clock; time is
told as `now`. Only `network` knows asyncio and sockets; everything else asks `runtime`. Every
caller of `Forwarder.ask` hears of its query's end exactly once, by its deadline.

From the ground up, and nothing imports what stands above it: `outgoing`, a query as connections
know it; `peer`, what is known of a server; connections and sockets (`transport`), and the pools of
them; `upstream`, a peer with its pools; `attempt` and `request`; `group`, whom to ask; `resolution`, what
becomes of a request that was not answered at once; `forwarder`.
"""

from .attempt import Attempt
from .balance import BALANCED
from .counts import ForwarderCounts, UpstreamCounts
from .destinations import Destinations, HostName, NameserverFile
from .failure import Failure
from .forwarder import Forwarder
from .health import Standing
from .hostnames import HostNames
from .pace import MAX_HEDGE_SECONDS
from .podlist import PodList
from .pods import Pod, PodDestinations, PodSource
from .registry import UpstreamRegistry
from .request import CallbackRequest, Request
from .runtime import Endpoint, Runtime, Timer
from .settings import (
    DEFAULT_FAILOVER,
    DEFAULT_MAX_AGE_SECONDS,
    DEFAULT_POOL_SIZE,
    Settings,
    TlsSettings,
    UpstreamSettings,
)
from .transport.network import Network
from .upstream import Upstream

__all__ = [
    "BALANCED",
    "DEFAULT_FAILOVER",
    "DEFAULT_MAX_AGE_SECONDS",
    "DEFAULT_POOL_SIZE",
    "MAX_HEDGE_SECONDS",
    "Attempt",
    "CallbackRequest",
    "Destinations",
    "Endpoint",
    "Failure",
    "Forwarder",
    "ForwarderCounts",
    "HostName",
    "HostNames",
    "NameserverFile",
    "Network",
    "Pod",
    "PodDestinations",
    "PodList",
    "PodSource",
    "Request",
    "Runtime",
    "Settings",
    "Standing",
    "Timer",
    "TlsSettings",
    "Upstream",
    "UpstreamCounts",
    "UpstreamRegistry",
    "UpstreamSettings",
]
