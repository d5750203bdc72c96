"""One server we ask: how to reach it, how it is doing, and what it was asked."""

import math
from collections.abc import Callable

from .attempt import Attempt, Carrier
from .counts import UpstreamCounts
from .health import Health
from .pace import Pace
from .pool import StreamPool
from .probe import Prober
from .settings import UpstreamSettings
from .ticker import Ticker
from .transport.datagram import DatagramPool
from .transport.pending import random_ids
from .transport.tls import tls_context
from .world import Endpoint, World

# For how long TCP is asked where UDP turned out not to get through.
_TURNED_SECONDS = 30.0


class Upstream:
    """A server at one address. Forwarders whose settings are alike share it.

    `counts` are the address's, whatever the settings.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: UpstreamSettings,
        world: World,
        ticker: Ticker,
        counts: UpstreamCounts,
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.world = world
        self.to = str(endpoint)
        self.counts = counts
        self._durations = self.counts.durations
        self.health = Health(settings.max_fails)
        self.pace = Pace()
        self._sent_before = sum(counts.sent.values())
        self.heard_at = world.clock()
        self.tls = tls_context(settings.tls) if endpoint.is_tls else None
        if self.tls is not None and endpoint.http_method:
            self.tls.set_alpn_protocols(["h2", "http/1.1"])
        next_id = random_ids().__next__
        self.streams = StreamPool(self, next_id)
        self.datagrams = DatagramPool(self, next_id)
        self.is_stream_only = settings.force_tcp or endpoint.is_tls
        self._datagrams_again_at = math.inf
        self.users = 0
        self.is_retired = False
        self.is_own = False
        self._is_watched = False
        self._ticker = ticker
        self.turns = ticker.turns
        self._prober = Prober(self)
        self.on_silent: Callable[[Endpoint, float], None] | None = None
        """Hears when it stops answering."""

    @property
    def is_quarantined(self) -> bool:
        """Whether it leads back to us."""
        return self.health.is_looping

    @property
    def round_trip_seconds(self) -> float:
        """The time within which 95 of 100 answers come."""
        return self.pace.seconds

    @property
    def in_flight(self) -> int:
        """Queries that are owed an answer."""
        return self.streams.in_flight + self.datagrams.in_flight

    @property
    def queries_sent(self) -> int:
        """Queries sent since it is an upstream of ours; `pace` tells of these."""
        return sum(self.counts.sent.values()) - self._sent_before

    def send(self, attempt: Attempt, now: float) -> None:
        """Send a query on its way. Nothing becomes of it before this returns."""
        if attempt.by_stream:
            self.streams.send(attempt, now)
        else:
            self.datagrams.send(attempt, now)

    def send_elsewhere(self, attempt: Attempt, carrier: Carrier | None, now: float) -> None:
        """Send a query on another way than `carrier`."""
        if attempt.by_stream:
            self.streams.send_elsewhere(attempt, carrier, now)
        else:
            self.datagrams.send(attempt, now)

    def answered(self, rcode: int, seconds: float, now: float) -> None:
        """Count an answer that took `seconds`."""
        self.heard_at = now
        self.pace.observe(seconds)
        (self._durations.get(rcode) or self.counts.histogram(rcode)).observe(seconds)

    def is_heard(self, *, by_stream: bool, since: float) -> bool:
        """Whether it answered anything since then, by TCP or by UDP."""
        return (self.streams if by_stream else self.datagrams).is_heard(since)

    def turn_to_streams(self, since: float, now: float) -> None:
        """TCP answered what UDP did not: ask by it for a while, unless UDP was heard since then."""
        if not self.is_stream_only and not self.datagrams.is_heard(since):
            self.is_stream_only = True
            self._datagrams_again_at = now + _TURNED_SECONDS

    def served(self) -> None:
        """It answered well though something was thought to be wrong with it."""
        self.health.served()
        self._prober.stop()

    def fell_silent(self, since: float, now: float) -> None:
        """One way to it says nothing since then, and owes answers; perhaps another does."""
        if self.heard_at <= since:
            self.unreachable(now)

    def unreachable(self, now: float) -> None:
        """There is no way to it, or nobody there, as far as one can tell."""
        self.health.stayed_silent(now)
        self._prober.start()
        if self.on_silent is not None:
            self.on_silent(self.endpoint, now)

    def quarantine(self, *, is_looping: bool) -> None:
        """Leave it out because it leads back to us, or no longer; our own address stays out."""
        self.health.quarantine(is_looping=is_looping or self.is_own)

    # Time

    def watch(self) -> None:
        """Have the clock look after what is under way."""
        if not self._is_watched:
            self._is_watched = True
            self._ticker.watch(self)

    def tick(self, now: float) -> bool:
        """Look after what is under way; False: nothing is."""
        is_busy = self.streams.tick(now) | self.datagrams.tick(now)
        self._is_watched = is_busy
        return is_busy

    def housekeep(self, now: float) -> bool:
        """Close what is idle or old; False: nothing is open."""
        if self.is_retired and not self.in_flight:
            self.close()
            return False
        if now >= self._datagrams_again_at:
            self.is_stream_only, self._datagrams_again_at = False, math.inf
        is_open = self.streams.housekeep(now) | self.datagrams.housekeep(now)
        return is_open or self._datagrams_again_at < math.inf

    def retire(self) -> None:
        """Nobody asks it any more: close, once everything in flight has run out."""
        self.is_retired = True
        self._prober.stop()
        if not self.in_flight:
            self.close()

    @property
    def is_open(self) -> bool:
        """Whether it has any connection or socket."""
        return self.streams.is_open or self.datagrams.is_open

    def close(self) -> None:
        """Close every connection; nobody is told of what was in flight."""
        self._prober.stop()
        self._ticker.forget(self)
        self._is_watched = False
        self.streams.close()
        self.datagrams.close()
