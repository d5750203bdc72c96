"""What is known of one server: its address, health, response times and counts."""

from abc import abstractmethod
from collections.abc import Callable

from .counts import UpstreamCounts
from .health import Health
from .pace import Pace
from .probe import Prober
from .runtime import Endpoint, Runtime
from .settings import UpstreamSettings
from .ticker import Ticker
from .transport.tls import tls_context


class Peer:
    """A server at one address, as its connections and sockets know it.

    `counts` are the address's, whatever the settings.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: UpstreamSettings,
        runtime: Runtime,
        ticker: Ticker,
        counts: UpstreamCounts,
    ) -> None:
        self.endpoint = endpoint
        self.settings = settings
        self.runtime = runtime
        self.to = str(endpoint)
        self.counts = counts
        self._durations = self.counts.durations
        self.health = Health(settings.max_fails)
        self.pace = Pace()
        self._sent_before = sum(counts.sent.values())
        self.heard_at = runtime.clock()
        self.tls = tls_context(settings.tls) if endpoint.is_tls else None
        self.is_stream_only = settings.force_tcp or endpoint.is_tls
        self.is_retired = False
        self.is_own = False
        self.work_queue = ticker.work_queue
        self._prober = Prober(self)
        self.on_silent: Callable[[Endpoint, float], None] | None = None
        """Hears when it stops answering."""

    @abstractmethod
    def watch(self) -> None:
        """Have the ticker check the queries in flight."""

    @property
    def is_quarantined(self) -> bool:
        """Whether its queries come back to us (a loop)."""
        return self.health.is_looping

    @property
    def round_trip_seconds(self) -> float:
        """The time within which 95 of 100 answers come."""
        return self.pace.seconds

    @property
    def queries_sent(self) -> int:
        """Queries sent since it became an upstream of ours; `pace` measures these."""
        return sum(self.counts.sent.values()) - self._sent_before

    def answered(self, rcode: int, seconds: float, now: float) -> None:
        """Count an answer that took `seconds`."""
        self.heard_at = now
        self.pace.observe(seconds)
        (self._durations.get(rcode) or self.counts.histogram(rcode)).observe(seconds)

    def served(self) -> None:
        """It gave a useful answer while it was not in good health."""
        self.health.served()
        self._prober.stop()

    def fell_silent(self, since: float, now: float) -> None:
        """One connection or port has been silent since `since` with queries in flight; others may not be."""
        if self.heard_at <= since:
            self.unreachable(now)

    def unreachable(self, now: float) -> None:
        """It cannot be reached: no route, or the connection is refused."""
        self.health.stayed_silent(now)
        self._prober.start()
        if self.on_silent is not None:
            self.on_silent(self.endpoint, now)

    def quarantine(self, *, is_looping: bool) -> None:
        """Leave it out because its queries come back to us, or use it again; our own address stays out."""
        self.health.quarantine(is_looping=is_looping or self.is_own)
