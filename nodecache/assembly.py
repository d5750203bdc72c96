"""From one server block's options to its running zone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from nodecache.cache import Bounds, Budget, Cache, Failures, Prefetch
from nodecache.corefile import CacheOptions, ServerBlock
from nodecache.forward import Forwarder, Network, Upstreams
from nodecache.server import (
    ForwardSource,
    StalePolicy,
    WaitingRoom,
    Zone,
    ZoneOptions,
    name_to_wire,
)

_ROOT = (b"\0",)
_REVERSE = ("in-addr.arpa.", "ip6.arpa.")
# Popular names are fetched again before they expire: asked ten times without a pause of a minute,
# a tenth of the TTL before the end. Each costs one query a TTL, as it would by a miss.
_DEFAULT_PREFETCH = Prefetch(amount=10, seconds=60.0, percentage=10)


@dataclass(slots=True)
class Workshop:
    """What all zones of a worker share."""

    loop: asyncio.AbstractEventLoop
    network: Network
    upstreams: Upstreams
    budget: Budget
    room: WaitingRoom
    own_addresses: frozenset[tuple[str, int]] = frozenset()


@dataclass(slots=True)
class Built:
    """A block's running zone, its forwarders, and the options it was made from."""

    block: ServerBlock
    zone: Zone
    forwarders: list[Forwarder] = field(default_factory=list)
    close: Callable[[], None] | None = None
