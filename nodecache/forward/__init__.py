"""Asking upstreams.

The law of this package: a query that goes well costs no task, no timer and no await. `pending`,
`policy`, `pace`, `health`, `timer_wheel`, `names` and `failure` do no I/O and have no clock; time is
passed as `now`. Only `network` uses asyncio and sockets; everything else asks `runtime`. Every
caller of `Forwarder.ask` is called back exactly once, by its deadline.

From the ground up, and nothing imports what stands above it: `outgoing`, a query as connections
see it; `peer`, what is known of a server; connections and sockets (`transport`) and their pools;
`upstream`, a peer with its pools; `attempt` and `request`; `group`, the choice of an upstream;
`resolution`, retries and failover; `forwarder`.
"""

from .attempt import Attempt
from .balance import BALANCED
from .destinations import Destinations, HostName, NameserverFile
from .failure import Failure
from .forwarder import Forwarder
from .health import Standing
from .hostnames import HostNames
from .podlist import PodList
from .pods import Pod, PodDestinations, PodSource
from .registry import UpstreamRegistry
from .request import CallbackRequest, Request
from .runtime import Endpoint, Timer
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
