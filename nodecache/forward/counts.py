"""Counters of upstreams and forwarders: plain numbers, which `metrics` reads at a scrape."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodecache.wire import rcode_text

from .histogram import DURATION_BOUNDS, Histogram


@dataclass(slots=True, eq=False)
class UpstreamCounts:
    """Counters of one upstream. `to` is `ip:port`."""

    to: str
    durations: dict[int, Histogram] = field(default_factory=dict)
    """Seconds until an answer came, by its rcode."""
    healthcheck_failures: int = 0
    sent: dict[str, int] = field(default_factory=lambda: {"udp": 0, "tcp": 0, "tcp-tls": 0})
    """Queries sent, by transport as CoreDNS calls it."""
    conn_misses: dict[str, int] = field(default_factory=lambda: {"udp": 0, "tcp": 0, "tcp-tls": 0})
    """Queries sent that had to wait for a new connection."""
    unmatched: int = 0
    """Answers to nothing we asked: late, unasked or forged."""
    malformed: int = 0
    connections_opened: int = 0
    connections_lost: int = 0
    """Connections that ended while they owed us answers."""
    connections_silent: int = 0
    """Connections that went silent while they owed us answers."""
    loops: int = 0
    """Times that it was found to lead back to us."""

    @property
    def duration_by_rcode(self) -> Mapping[str, Histogram]:
        """Seconds until an answer came, by its rcode's text."""
        return {rcode_text(rcode): counted for rcode, counted in self.durations.items()}

    @property
    def conn_hits(self) -> Mapping[str, int]:
        """Queries that found a connection open, by transport."""
        return {name: sent - self.conn_misses[name] for name, sent in self.sent.items()}

    def histogram(self, rcode: int) -> Histogram:
        """The histogram of answers with `rcode`, made when it is first needed."""
        counted = self.durations.get(rcode)
        if counted is None:
            counted = self.durations[rcode] = Histogram(DURATION_BOUNDS)
        return counted


@dataclass(slots=True, eq=False)
class ForwarderCounts:
    """Counters of one forwarder, all its upstreams together."""

    healthcheck_broken: int = 0
    """Queries sent although every upstream was down."""
    max_concurrent_rejects: int = 0
    hedged: int = 0
    """Queries asked a second time because the first was slow."""
    retried: int = 0
    """Queries asked again because their connection, or the first upstream, failed them."""
    failed_over: int = 0
    """Queries asked of another upstream because of the first one's answer."""
    failed: int = 0
    """Queries that ended without an answer."""
