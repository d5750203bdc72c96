"""The upstreams of one forwarder: which one is asked, whether another is, and within which budget."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from nodecache.wire import Answer, Query, Rcode

from .balance import policy_for
from .counts import ForwarderCounts
from .failure import Failure, no_upstream
from .health import Standing
from .pace import Budget
from .request import CallbackRequest, RequestForwarder
from .retry_state import RetryState
from .runtime import Runtime
from .settings import Settings
from .ticker import Ticker
from .upstream import Upstream

# Twice each upstream, and some for losses. Time-outs double, so that a query of five seconds does not
# even get there. What RFC 9520 §3.1 allows for one upstream is in `retry_state`.
_EXTRA_TRIES: Final = 4

# What servers say to an OPT that know none, or to its version: RFC 6891 §7, RFC 8906 §3.2.
OPT_BLAMING_RCODES: Final = frozenset({Rcode.FORMERR, Rcode.NOTIMP, Rcode.BADVERS})

# CoreDNS gives up after twice the upstreams, within a few milliseconds (before 1.14.7 when probes have failed).
# With our pauses between them, four attempts last most of a second. While probes have not found all upstreams
# down, there are more, until SERVFAIL comes 2 s after the query, CoreDNS's read time-out: a kube-dns that is
# restarted or replaced leaves nobody to answer for a second or two.
_MIN_CONNECT_ATTEMPTS: Final = 4
_RESTART_SECONDS: Final = 1.8


class NextForwarder(Protocol):
    """The forwarder that `next` leads to."""

    def ask(
        self,
        query: Query,
        deadline: float,
        done: Callable[[Answer | Failure], None],
        now: float,
        transport: str = "udp",
    ) -> CallbackRequest:
        """Ask upstream."""


class UpstreamGroup(RequestForwarder):
    """The upstreams of one forwarder, with policy, counts and budget."""

    def __init__(self, settings: Settings, runtime: Runtime, ticker: Ticker) -> None:
        self.settings = settings
        self.runtime = runtime
        self.ticker = ticker
        self.policy = policy_for(settings.policy, runtime.clock)
        self.counts = ForwarderCounts()
        self.budget = Budget(runtime.clock())
        self.unwelcome_rcodes: frozenset[int] = settings.failover_rcodes | settings.next_rcodes
        if settings.next_on_nodata:
            self.unwelcome_rcodes |= {Rcode.NOERROR}
        self.unwelcome_rcodes |= OPT_BLAMING_RCODES
        self.in_flight = 0
        self.max_tries = 0
        self.max_connect_failures: float = math.inf
        self._only: Upstream | None = None
        self._upstreams: list[Upstream] = []

    @property
    def upstreams(self) -> Sequence[Upstream]:
        """The upstreams in their order."""
        return self._upstreams

    def choose_from(self, upstreams: list[Upstream]) -> None:
        """Ask these from now on."""
        self._upstreams = upstreams
        self.policy.choose_from(upstreams)
        count = len(upstreams)
        self._only = upstreams[0] if count == 1 else None
        self.max_tries = 2 * count + _EXTRA_TRIES
        attempts = self.settings.max_connect_attempts
        if attempts is None:
            attempts = max(2 * count, _MIN_CONNECT_ATTEMPTS)
        self.max_connect_failures = attempts or math.inf

    def is_by_stream(self, transport: str) -> bool:
        """Whether a client's `transport` makes the query go by TCP, when nothing else does."""
        return transport == "tcp" and not self.settings.prefer_udp

    # Which upstream is asked

    def first_upstream(self, now: float) -> Upstream | Failure:
        """The upstream that gets a new query."""
        upstreams = self._upstreams
        if not upstreams:
            return no_upstream("no nameservers found")
        place = self.policy.first(len(upstreams))
        upstream = upstreams[place]
        if upstream.health.is_good:
            return upstream
        return self._best_of_all(place, now)

    def _best_of_all(self, place: int, now: float) -> Upstream | Failure:
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

    def have_all_been(self, asked: Sequence[Upstream]) -> bool:
        """Whether every upstream is among those `asked`."""
        return len(asked) >= len(self._upstreams)

    def equal_upstream(self, asked: Sequence[Upstream], now: float) -> Upstream | None:
        """A healthy upstream that was not asked yet, where the policy allows any of them; else None."""
        if not self.policy.is_exchangeable:
            return None
        upstream = self.next_upstream(asked, now)
        return upstream if upstream is not None and upstream.health.is_good else None

    # Retries and failover

    def may_try_again(self, state: RetryState) -> bool:
        """Whether the query has attempts left."""
        return (
            state.tries < self.max_tries
            and (state.connect_failures < self.max_connect_failures or self._may_restart(state))
            and state.malformed_answers <= len(self._upstreams)
        )

    def _may_restart(self, state: RetryState) -> bool:
        """Whether an upstream that nobody listens at may be there again while the query waits."""
        waited = state.latest.sent_at - state.began_at
        return (
            self.settings.max_connect_attempts is None
            and waited < _RESTART_SECONDS
            and not all(upstream.health.is_down for upstream in self._upstreams)
        )

    def upstream_for_retry(self, state: RetryState, now: float) -> Upstream:
        """The upstream that a retry would ask."""
        upstream = state.latest.upstream
        if upstream.health.is_good:
            return upstream
        return self.next_upstream(state.asked, now) or upstream

    def may_retry(self, state: RetryState, now: float) -> bool:
        """Whether to ask again: where a healthy upstream stands in or one is back, else within the budget."""
        if not state.open:
            return True
        latest, upstream = state.latest, self.upstream_for_retry(state, now)
        if upstream is not latest.upstream:
            if upstream.health.is_good and not latest.upstream.health.is_good:
                return True
        elif latest.carrier is None:
            return False  # it waits for a connection, which the pool is opening
        elif state.is_first_retry and state.open > 1 and not upstream.pace.is_known:
            return False  # asked twice, and perhaps it is never faster
        elif upstream.heard_at > latest.sent_at and state.is_given_up(now):
            return True  # it is back; CoreDNS asks again then, too
        return self.budget.spend(now)

    def after_loss(self, lost: Upstream, asked: Sequence[Upstream], now: float) -> Upstream:
        """The upstream for a query whose connection ended: another pod of kube-dns, else the same one."""
        another = self.equal_upstream(asked, now) if self.policy.asks_replicas else None
        return another or lost

    def wants_failover(self, rcode: int, *, is_second: bool) -> bool:
        """Whether an answer with `rcode` means failover; of replicas, two equal answers are enough."""
        is_settled = is_second and self.policy.asks_replicas
        return rcode in self.settings.failover_rcodes and not is_settled

    @abstractmethod
    def forwarder_after(self, answer: Answer, query: Query) -> NextForwarder | None:
        """The forwarder that `next` hands this answer's query to, if any."""
