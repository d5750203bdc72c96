"""One upstream: a peer with its connection pools."""

import math

from .counts import UpstreamCounts
from .outgoing import Carrier, OutgoingQuery
from .peer import Peer
from .pool import StreamPool
from .runtime import Endpoint, Runtime
from .settings import UpstreamSettings
from .ticker import Ticker
from .transport.datagram import DatagramPool
from .transport.pending import random_ids

# For how long TCP is asked where UDP turned out not to get through.
_TURNED_SECONDS = 30.0


class Upstream(Peer):
    """A peer with the connections and sockets to it. Forwarders with equal settings share it."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: UpstreamSettings,
        runtime: Runtime,
        ticker: Ticker,
        counts: UpstreamCounts,
    ) -> None:
        super().__init__(endpoint, settings, runtime, ticker, counts)
        next_id = random_ids().__next__
        self.streams = StreamPool(self, next_id)
        self.datagrams = DatagramPool(self, next_id)
        self._datagrams_again_at = math.inf
        self.users = 0
        self._is_watched = False
        self._ticker = ticker

    @property
    def in_flight(self) -> int:
        """Queries in flight."""
        return self.streams.in_flight + self.datagrams.in_flight

    def send(self, query: OutgoingQuery, now: float) -> None:
        """Send a query. No callback comes before this returns."""
        if query.by_stream:
            self.streams.send(query, now)
        else:
            self.datagrams.send(query, now)

    def send_elsewhere(self, query: OutgoingQuery, carrier: Carrier | None, now: float) -> None:
        """Send a query on another connection than `carrier`, or from any port: one of many."""
        if query.by_stream:
            self.streams.send_elsewhere(query, carrier, now)
        else:
            self.datagrams.send(query, now)

    def is_heard(self, *, by_stream: bool, since: float) -> bool:
        """Whether it answered anything since then, by TCP or by UDP."""
        return (self.streams if by_stream else self.datagrams).is_heard(since)

    def turn_to_streams(self, since: float, now: float) -> None:
        """TCP answered what UDP did not: use TCP for a while, unless UDP was heard since `since`."""
        if not self.is_stream_only and not self.datagrams.is_heard(since):
            self.is_stream_only = True
            self._datagrams_again_at = now + _TURNED_SECONDS

    # Time

    def watch(self) -> None:
        """Have the ticker check the queries in flight."""
        if not self._is_watched:
            self._is_watched = True
            self._ticker.watch(self)

    def tick(self, now: float) -> bool:
        """Check queries in flight for time-outs; False where none is in flight."""
        is_busy = self.streams.tick(now) | self.datagrams.tick(now)
        self._is_watched = is_busy
        return is_busy

    def housekeep(self, now: float) -> bool:
        """Close idle and old connections; False where none is open or waited for."""
        if self.is_retired and not self.in_flight:
            self.close()
            return False
        if now >= self._datagrams_again_at:
            self.is_stream_only, self._datagrams_again_at = False, math.inf
        is_open = self.streams.housekeep(now) | self.datagrams.housekeep(now)
        return is_open or self._is_watched or self._datagrams_again_at < math.inf

    def retire(self) -> None:
        """No forwarder uses it any more: close it once nothing is in flight."""
        self.is_retired = True
        self._prober.stop()
        if not self.in_flight:
            self.close()

    @property
    def is_open(self) -> bool:
        """Whether it has any connection or socket."""
        return self.streams.is_open or self.datagrams.is_open

    def close(self) -> None:
        """Close every connection; queries in flight get no callback."""
        self._prober.stop()
        self._ticker.forget(self)
        self._is_watched = False
        self.streams.close()
        self.datagrams.close()
