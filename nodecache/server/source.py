"""Where a zone gets answers that its cache does not have: forwarders, or directives below the cache.

A query gets its outcome by a callback, so that it costs no task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from nodecache.forward import Attempt, CallbackRequest, Failure, Forwarder, Request, Standing
from nodecache.wire import Answer, Ede, Query, Rcode, Rdtype

from .chain import Chain
from .directive import Client, Lookup, NoReply, OnOutcome, PendingLookup, unserved
from .inflight import InflightQuery

_HINFO: Final = int(Rdtype.HINFO)
_LOOP: Final = Failure(Rcode.SERVFAIL, Ede.OTHER, b"this question came from here: a loop", "")

Observe = Callable[[Query, Client, Attempt, bytes, float], None]
"""Hears of every answer of an upstream: for whose query, how it was asked, the octets and when."""


class Source(Protocol):
    """The source of answers below the cache."""

    def send(self, query: InflightQuery, now: float) -> None:
        """Ask; `query.done` is called exactly once, perhaps before this returns."""

    def is_down(self) -> bool:
        """Whether all upstreams are known to be down."""

    def is_silent(self, now: float) -> bool:
        """Whether no upstream answers at the moment: each is down, or silent for too long."""

    def has_room(self, now: float) -> bool:
        """Whether upstreams are in a state to be asked what nobody waits for."""


class ForwardSource:
    """A block's `forward` directives: the first that covers the name is asked.

    A question of our own that comes back to us, sent to find loops, goes no further.
    """

    def __init__(
        self, forwarders: Sequence[Forwarder], is_loop_probe: Callable[[Query], bool]
    ) -> None:
        self.forwarders = forwarders
        self._is_loop_probe = is_loop_probe
        self._observe: Observe | None = None
        self._only = forwarders[0] if forwarders and forwarders[0].takes_all else None
        self._by_zone: dict[bytes, list[tuple[int, Forwarder]]] = {}
        for place, forwarder in enumerate(forwarders):
            self._by_zone.setdefault(forwarder.from_zone, []).append((place, forwarder))
        self._limited = [each for each in forwarders if each.settings.max_concurrent]

    def observe_by(self, observe: Observe | None) -> None:
        """Call `observe` with every upstream's answer and the client it is for."""
        self._observe = observe

    def covers(self, query: Query) -> bool:
        """Whether one of the forwarders takes the name."""
        return self._covering(query) is not None

    def send(self, query: InflightQuery, now: float) -> None:
        """Ask the first forwarder that covers the name."""
        only = self._only
        if only is not None and self._observe is None and query.query.qtype != _HINFO:
            only.send(query, now)
        else:
            self._send(query, query.client(), now)

    def ask(
        self,
        query: Query,
        client: Client,
        on_outcome: OnOutcome,
        deadline: float,
        now: float,
    ) -> PendingLookup:
        """The same for the directives below the cache."""
        request = CallbackRequest(query, deadline, on_outcome, client.transport)
        self._send(request, client, now)
        return request

    def _send(self, request: Request, client: Client, now: float) -> None:
        query = request.query
        if query.qtype == _HINFO and self._is_loop_probe(query):
            request.done(_LOOP)
            return
        forwarder = self._only or self._covering(query)
        if forwarder is None:
            request.done(unserved(query))
            return
        forwarder.send(request, now)
        if self._observe is not None:
            request.observer = partial(self._observe, query, client)

    def _covering(self, query: Query) -> Forwarder | None:
        """The first that takes the name, of those for its own zones: there may be thousands for others."""
        first: Forwarder | None = None
        before = len(self.forwarders)
        zone = query.qname
        while True:
            for place, forwarder in self._by_zone.get(zone, ()):
                if place < before and forwarder.covers(query):
                    first, before = forwarder, place
            if len(zone) == 1:
                return first
            zone = zone[zone[0] + 1 :]

    def is_down(self) -> bool:
        """Whether every upstream of every forwarder failed its probes."""
        for forwarder in self.forwarders:
            for upstream in forwarder.upstreams:
                if not upstream.health.is_down:
                    return False
        return True

    def is_silent(self, now: float) -> bool:
        """Whether no upstream of any forwarder is in a state to answer."""
        return not any(
            upstream.health.standing(now) < Standing.SUSPECT
            for forwarder in self.forwarders
            for upstream in forwarder.upstreams
        )

    def has_room(self, now: float) -> bool:
        """Whether some upstream is healthy, and no forwarder is near its limit."""
        return not self.is_silent(now) and all(forwarder.has_room for forwarder in self._limited)


@dataclass(slots=True)
class ChainSource:
    """Directives below the cache, and the source that they end in."""

    chain: Chain
    end: Source

    def is_down(self) -> bool:
        """False: directives are never down, and the forwarders report failures."""
        return False

    def is_silent(self, now: float) -> bool:  # noqa: ARG002
        """False, for the same reason."""
        return False

    def has_room(self, now: float) -> bool:
        """Whether what they end in has room."""
        return self.end.has_room(now)

    def send(self, query: InflightQuery, now: float) -> None:  # noqa: ARG002 - its end has a clock
        """Send the query down the chain."""

        def heard(result: Answer | Failure | NoReply) -> None:
            if not isinstance(result, NoReply):  # only `acl` is silent, and it stands above
                query.done(result)

        chain_run = self.chain.start(query.query, query.client(), heard)
        query.ensure_wait_state().chain_run = chain_run
        if not query.is_awaited:
            chain_run.mark_awaited(is_awaited=False)


def forward_lookup(
    source: ForwardSource, deadline_seconds: float, clock: Callable[[], float]
) -> Lookup:
    """The end of a chain below the cache: ask `source`, with a deadline from then on."""

    def ask(query: Query, client: Client, on_outcome: OnOutcome) -> PendingLookup | None:
        now = clock()
        return source.ask(query, client, on_outcome, now + deadline_seconds, now)

    return ask
