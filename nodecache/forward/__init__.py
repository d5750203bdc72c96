"""Asking upstreams.

The law of this package: a query that goes well costs no task, no timer and no await. `pending`,
`policy`, `pace`, `health`, `agenda`, `names` and `failure` do no I/O and have no clock; time is
told as `now`. Only `sockets` knows asyncio and sockets; everything else asks `network`. Every
caller of `Forwarder.ask` hears of its query's end exactly once, by its deadline.
"""

from .ask import Ask
from .counts import ForwarderCounts, UpstreamCounts
from .failure import Failure
from .forwarder import Forwarder
from .network import Endpoint, Network
from .registry import Upstreams
from .settings import Settings, UpstreamSettings
from .sockets import Sockets
from .tls import tls_context
from .upstream import Upstream

__all__ = [
    "Ask",
    "Endpoint",
    "Failure",
    "Forwarder",
    "ForwarderCounts",
    "Network",
    "Settings",
    "Sockets",
    "Upstream",
    "UpstreamCounts",
    "UpstreamSettings",
    "Upstreams",
    "tls_context",
]
