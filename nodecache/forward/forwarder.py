"""The forwarder: whom to ask, how often, and for how long.

Callbacks all the way: a query that goes well starts no task and no timer. What can go wrong with
one query is in `ask`; what is wrong with an upstream, in `health`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from nodecache.wire import Answer, Kind, Query, Rcode

from .ask import Ask
from .balance import policy_for
from .counts import ForwarderCounts
from .destinations import Destinations
from .failure import Failure, no_upstream, too_many
from .health import Standing
from .names import covers, zone_suffix
from .pace import MAX_HEDGE_SECONDS, Budget
from .pods import PodDestinations
from .registry import Upstreams
from .request import CallbackRequest, Request
from .settings import Settings
from .trouble import Trouble
from .upstream import Upstream
from .world import Endpoint

# Twice each upstream, and some for losses: a bound that RFC 9520 §3.1 asks for. Time-outs double,
# so that a query of five seconds does not even get there.
_EXTRA_TRIES: Final = 4

# CoreDNS gives up after twice the upstreams, within a few milliseconds. With our pauses between
# them, four attempts last most of a second: as long as a kube-dns rollout leaves nobody to answer.
_LEAST_CONNECT_ATTEMPTS: Final = 4


class Forwarder:
    """One `forward` directive at work."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Upstreams,
        destinations: Destinations | PodDestinations,
    ) -> None:
        self.settings = settings
        self.following: Forwarder | None = None
        """Who is asked where `next` says so: the block's next forwarder."""
        self.world = upstreams.world
        self.ticker = upstreams.ticker
        self.policy = policy_for(settings.policy, self.world.clock)
        self.counts = ForwarderCounts()
        self.budget = Budget(self.world.clock())
        self.unwelcome_rcodes: frozenset[int] = settings.failover_rcodes | settings.next_rcodes
        if settings.next_on_nodata:
            self.unwelcome_rcodes |= {Rcode.NOERROR}
        self.unwelcome_rcodes |= {Rcode.FORMERR}  # perhaps for our OPT
        self.in_flight = 0
        self.most_tries = 0
        self.most_connect_failures: float = math.inf
        self._loop_zone_name = ""
        self._registry = upstreams
        self._most_in_flight = settings.max_concurrent or math.inf
        self._from_zone = zone_suffix(settings.from_zone)
        self._except_zones = tuple(map(zone_suffix, settings.except_zones))
        self.takes_all = settings.from_zone == "." and not settings.except_zones
        self._only: Upstream | None = None
        self._upstreams: list[Upstream] = []
        self._destinations = destinations
        destinations.follow(self.set_upstreams, self.world)

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """The upstreams in their order."""
        return self._upstreams

    def set_upstreams(self, endpoints: Sequence[Endpoint]) -> None:
        """Ask these from now on; what is in flight to others runs out by itself.

        OSError or ValueError, and no change, where one cannot be asked: a certificate's file is gone.
        """
        old = self._upstreams
        self._upstreams = self._registry.take_all(endpoints, self.settings.upstream)
        for upstream in old:
            self._registry.give_back(upstream)
        self.policy.choose_from(self._upstreams)
        self._watch_for_loops()
        count = len(self._upstreams)
        self._only = self._upstreams[0] if count == 1 else None
        self.most_tries = 2 * count + _EXTRA_TRIES
        attempts = self.settings.max_connect_attempts
        if attempts is None:
            attempts = max(2 * count, _LEAST_CONNECT_ATTEMPTS)
        self.most_connect_failures = attempts or math.inf

    def watch_for_loops(self, zone_name: str) -> None:
        """Find out, now and whenever there are others, which upstreams lead back to us."""
        self._loop_zone_name = zone_name
        self._watch_for_loops()

    def _watch_for_loops(self) -> None:
        if self._loop_zone_name:
            for upstream in self._upstreams:
                self._registry.loops.watch(upstream, self._loop_zone_name)

    def covers(self, query: Query) -> bool:
        """Whether this `forward` takes the query's name."""
        return self.takes_all or covers(query.qname, self._from_zone, self._except_zones)

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
        is_full = self.in_flight >= self._most_in_flight
        request.open(self, now)
        if is_full:
            self.counts.max_concurrent_rejects += 1
            Ask(self, request).fail_soon(too_many(self.settings.max_concurrent))
            return
        self.budget.asks += 1
        upstream = self._only
        if upstream is None or not upstream.health.is_good:
            first = self._first(now)
            if isinstance(first, Failure):
                Ask(self, request).fail_soon(first)
                return
            upstream = first
        request.upstream = upstream
        request.by_stream = upstream.is_stream_only or self.is_by_stream(request.transport_name)
        (upstream.streams if request.by_stream else upstream.datagrams).send(request, now)
        if request.deadline - now < MAX_HEDGE_SECONDS:
            request.slowed(now)  # its end may come before it would be looked at

    def resolution_of(self, request: Request) -> Ask:
        """Make what looks after a request that was not answered at once."""
        return Ask(self, request)

    def is_by_stream(self, transport: str) -> bool:
        """Whether a client's `transport` makes the query go by TCP, when nothing else does."""
        return transport == "tcp" and not self.settings.prefer_udp

    # Whom to ask

    def _first(self, now: float) -> Upstream | Failure:
        """The upstream that gets a new query."""
        upstreams = self._upstreams
        if not upstreams:
            return no_upstream("no nameservers found")
        place = self.policy.first(len(upstreams))
        upstream = upstreams[place]
        if upstream.health.is_good:
            return upstream
        return self._first_in_trouble(place, now)

    def _first_in_trouble(self, place: int, now: float) -> Upstream | Failure:
        upstreams = self._upstreams
        order = [upstreams[other] for other in self.policy.order(place, len(upstreams))]
        best = min(order, key=lambda upstream: upstream.health.standing(now))
        standing = best.health.standing(now)
        if standing is Standing.LOOPING:
            return no_upstream(f"{best.to} leads back to this server")
        if standing is Standing.DOWN:
            self.counts.healthcheck_broken += 1
            if self.settings.fails_fast:
                return no_upstream("no healthy proxies")
        return best

    def next_upstream(self, asked: Sequence[Upstream], now: float) -> Upstream | None:
        """The best of those that were not asked yet."""
        others = [
            upstream
            for upstream in self._upstreams
            if upstream not in asked and not upstream.health.is_looping
        ]
        if len(others) < 2:
            return others[0] if others else None
        order = self.policy.order(self._upstreams.index(others[0]), len(self._upstreams))
        ranked = [self._upstreams[place] for place in order]
        return min(
            (upstream for upstream in ranked if upstream in others),
            key=lambda upstream: upstream.health.standing(now),
        )

    def another_equal(self, asked: Sequence[Upstream], now: float) -> Upstream | None:
        """One in good health, not asked yet, whose answer is as good as the first one's."""
        if not self.policy.is_exchangeable:
            return None
        upstream = self.next_upstream(asked, now)
        return upstream if upstream is not None and upstream.health.is_good else None

    # Whether and whom to ask again

    def may_try_again(self, trouble: Trouble) -> bool:
        """Whether a query was not asked as often as may be."""
        return (
            trouble.tries < self.most_tries
            and trouble.connect_failures < self.most_connect_failures
        )

    def next_after(self, trouble: Trouble, now: float) -> Upstream:
        """The upstream that would be asked next."""
        upstream = trouble.latest.upstream
        if upstream.health.is_good:
            return upstream
        return self.next_upstream(trouble.asked, now) or upstream

    def is_worth_a_retry(self, trouble: Trouble, now: float) -> bool:
        """Whether to ask again: freely where upstream fell silent and another is well."""
        if not trouble.open:
            return True
        latest, upstream = trouble.latest, self.next_after(trouble, now)
        if upstream is not latest.upstream:
            if upstream.health.is_good and not latest.upstream.health.is_good:
                return True
        elif latest.carrier is None:
            return False  # it waits for a connection, and the pool is at it
        elif trouble.is_first_retry and trouble.open > 1 and not upstream.pace.is_known:
            return False  # asked twice, and perhaps it is never faster
        return self.budget.take(now)

    def after_loss(self, lost: Upstream, asked: Sequence[Upstream], now: float) -> Upstream:
        """Who gets a query whose connection ended: the same, or another one of its replicas."""
        another = self.another_equal(asked, now) if self.policy.asks_replicas else None
        return another or lost

    def is_worth_another(self, rcode: int, *, is_second: bool) -> bool:
        """Whether an answer with `rcode` is a reason to ask elsewhere; replicas agree on the second."""
        is_settled = is_second and self.policy.asks_replicas
        return rcode in self.settings.failover_rcodes and not is_settled

    def forwarder_after(self, answer: Answer, query: Query) -> "Forwarder | None":
        """The forwarder that `next` hands this answer's query to, if any."""
        settings = self.settings
        is_handed_on = answer.rcode in settings.next_rcodes or (
            settings.next_on_nodata and answer.kind is Kind.NODATA
        )
        following = self.following if is_handed_on else None
        while following is not None and not following.covers(query):
            following = following.following
        return following

    def close(self) -> None:
        """Give the upstreams back; what is in flight runs out by itself."""
        self._destinations.close()
        self.set_upstreams(())
