"""The forwarder: sends queries to upstreams and calls back with the outcome.

It works with callbacks: a query that is answered at once starts no task and no timer. `resolution`
handles a query that is not; `health` judges upstreams.
"""

import math
from collections.abc import Callable, Sequence

from nodecache.wire import Answer, Kind, Query, Rcode, wire_of

from .destinations import Destinations
from .failure import Failure, too_many
from .group import UpstreamGroup
from .health import Standing
from .names import covers
from .pace import MAX_HEDGE_SECONDS
from .pods import PodDestinations
from .registry import UpstreamRegistry
from .request import CallbackRequest, Request
from .resolution import Resolution
from .runtime import Endpoint
from .settings import Settings


class Forwarder(UpstreamGroup):
    """One `forward` directive."""

    def __init__(
        self,
        settings: Settings,
        upstreams: UpstreamRegistry,
        destinations: Destinations | PodDestinations,
    ) -> None:
        super().__init__(settings, upstreams.runtime, upstreams.ticker)
        self.following: Forwarder | None = None
        """The block's next forwarder, which `next` leads to."""
        self._loop_zone_name = ""
        self._registry = upstreams
        self._max_in_flight = settings.max_concurrent or math.inf
        self.from_zone = wire_of(settings.from_zone)
        self._except_zones = frozenset(map(wire_of, settings.except_zones))
        self.takes_all = settings.from_zone == "." and not settings.except_zones
        self._destinations = destinations
        try:
            destinations.follow(self.set_upstreams, self.runtime, self.is_silent)
        except (OSError, ValueError):
            destinations.close()
            raise

    def set_upstreams(self, endpoints: Sequence[Endpoint]) -> None:
        """Ask these upstreams from now on; queries in flight to others are still answered.

        OSError or ValueError, and no change, where one cannot be asked: a certificate's file is gone.
        """
        old = self._upstreams
        self.choose_from(self._registry.acquire_all(endpoints, self.settings.upstream))
        for upstream in old:
            self._registry.release(upstream)
        self._watch_for_loops()

    def is_silent(self, endpoint: Endpoint) -> bool:
        """Whether the upstream at `endpoint` is in no state to answer."""
        now = self.runtime.clock()
        return any(
            upstream.endpoint == endpoint and upstream.health.standing(now) >= Standing.SUSPECT
            for upstream in self._upstreams
        )

    def watch_for_loops(self, zone_name: str) -> None:
        """Probe for loops now, and each new upstream later."""
        self._loop_zone_name = zone_name
        self._watch_for_loops()

    def _watch_for_loops(self) -> None:
        if self._loop_zone_name:
            for upstream in self._upstreams:
                self._registry.loops.watch(upstream, self._loop_zone_name)

    @property
    def has_room(self) -> bool:
        """Whether at most half of the queries that may be under way are."""
        return self.in_flight * 2 <= self._max_in_flight

    def covers(self, query: Query) -> bool:
        """Whether this `forward` takes the query's name."""
        return self.takes_all or covers(query.qname, self.from_zone, self._except_zones)

    def ask(
        self,
        query: Query,
        deadline: float,
        done: Callable[[Answer | Failure], None],
        now: float,
        transport: str = "udp",
    ) -> CallbackRequest:
        """Ask upstream. `done` hears the outcome once, after this has returned.

        `deadline` and `now` are monotonic seconds; `transport` is the client's, `udp` or `tcp`.
        """
        request = CallbackRequest(query, deadline, done, transport)
        self.send(request, now)
        return request

    def send(self, request: Request, now: float) -> None:
        """Ask upstream. `request` hears the outcome once, after this has returned."""
        is_full = self.in_flight >= self._max_in_flight
        request.open(self, now)
        if is_full:
            self.counts.max_concurrent_rejects += 1
            Resolution(self, request).fail_soon(too_many(self.settings.max_concurrent))
            return
        self.budget.asks += 1
        upstream = self._only
        if upstream is None or not upstream.health.is_good:
            first = self.first_upstream(now)
            if isinstance(first, Failure):
                Resolution(self, request).fail_soon(first)
                return
            upstream = first
        request.upstream = upstream
        request.by_stream = upstream.is_stream_only or self.is_by_stream(request.transport_name)
        (upstream.streams if request.by_stream else upstream.datagrams).send(request, now)
        if request.deadline - now < MAX_HEDGE_SECONDS:
            request.slowed(
                now
            )  # its deadline may come before the pool first checks for slow queries

    def resolution_of(self, request: Request) -> Resolution:
        """Make what looks after a request that was not answered at once."""
        return Resolution(self, request)

    def forwarder_after(self, answer: Answer, query: Query) -> "Forwarder | None":
        """The forwarder that `next` hands this answer's query to, if any."""
        settings = self.settings
        is_handed_on = answer.rcode in settings.next_rcodes or (
            settings.next_on_nodata and _has_no_data(answer)
        )
        following = self.following if is_handed_on else None
        while following is not None and not following.covers(query):
            following = following.following
        return following

    def close(self) -> None:
        """Release the upstreams; queries in flight are still answered, and sent to them again where they must."""
        self._destinations.close()
        for upstream in self._upstreams:
            self._registry.release(upstream)


def _has_no_data(answer: Answer) -> bool:
    """Whether the name has no records of the type. Many servers say so without a SOA (RFC 2308 §2.2)."""
    if answer.rcode != Rcode.NOERROR or answer.kind is Kind.OTHER:
        return False
    return answer.kind is Kind.NODATA or not answer.has_answers
