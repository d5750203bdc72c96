"""Where a zone's answers come from when the cache has none.

A `Source` is asked with a callback, so that the plain way, one forwarder, costs no task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from nodecache.forward import Attempt, Failure, Forwarder, Standing
from nodecache.wire import Answer, Ede, Query, Rcode, Rdtype

from .chain import Ask, Back, Chain, Client, Silence, Terminal, nothing_to_ask

_HINFO = int(Rdtype.HINFO)
_LOOP = Failure(Rcode.SERVFAIL, Ede.OTHER, b"this question came from here: a loop", "")

Done = Callable[[Answer | Failure], None]
Observe = Callable[[Query, Client, Attempt, bytes, float], None]
"""Hears of every answer of an upstream: for whose query, how it was asked, the octets and when."""


class Source(Protocol):
    """What is below the cache."""

    def ask(
        self,
        query: Query,
        client: Client | None,
        transport: str,
        deadline: float,
        done: Done,
        now: float,
    ) -> Ask | None:
        """Ask; `done` is called exactly once, perhaps before this returns.

        `client` is told to directives, where the block has any below its cache (`wants_client`).
        """

    @property
    def wants_client(self) -> bool:
        """Whether `client` is looked at."""

    @property
    def plain_forwarder(self) -> Forwarder | None:
        """Who alone is asked, of which nobody else hears, where an address is its last word."""

    def is_down(self) -> bool:
        """Whether nobody is there to ask, as far as is known."""

    def is_silent(self, now: float) -> bool:
        """Whether nobody says anything at the moment: all are down, or owe answers for too long."""


class ForwardSource:
    """A block's `forward` directives: the first that covers the name is asked.

    A question of our own that comes back to us, sent to find loops, goes no further.
    """

    def __init__(self, forwarders: Sequence[Forwarder], sighted: Callable[[Query], bool]) -> None:
        self.forwarders = forwarders
        self.wants_client = False
        self._sighted = sighted
        self._observe: Observe | None = None
        self._only = forwarders[0] if forwarders and forwarders[0].takes_all else None

    def tell(self, observe: Observe | None) -> None:
        """Have somebody hear of every answer, and for whom upstream was asked."""
        self.wants_client = observe is not None
        self._observe = observe

    @property
    def plain_forwarder(self) -> Forwarder | None:
        """The one forwarder, where nobody else hears of its answers."""
        only = self._only
        return only if only is not None and only.is_plain and not self.wants_client else None

    def covers(self, query: Query) -> bool:
        """Whether one of the forwarders takes the name."""
        return any(forwarder.covers(query) for forwarder in self.forwarders)

    def ask(
        self,
        query: Query,
        client: Client | None,
        transport: str,
        deadline: float,
        done: Done,
        now: float,
    ) -> Ask | None:
        """Ask the first forwarder that covers the name."""
        if query.qtype == _HINFO and self._sighted(query):
            done(_LOOP)
            return None
        forwarder = self._only or self._covering(query)
        if forwarder is None:
            return nothing_to_ask(query, client, done)  # type: ignore[arg-type, func-returns-value]
        ask = forwarder.ask(query, deadline, done, now, transport)
        if self._observe is not None and client is not None:
            ask.observer = partial(self._observe, query, client)
        return ask

    def _covering(self, query: Query) -> Forwarder | None:
        for forwarder in self.forwarders:
            if forwarder.covers(query):
                return forwarder
        return None

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


@dataclass(slots=True)
class ChainSource:
    """Directives below the cache, and what they end in."""

    chain: Chain

    def is_down(self) -> bool:
        """Directives are never down; what they end in tells by its failures."""
        return False

    def is_silent(self, now: float) -> bool:  # noqa: ARG002
        """The same."""
        return False

    @property
    def plain_forwarder(self) -> Forwarder | None:
        """Directives have a say in every answer."""
        return None

    @property
    def wants_client(self) -> bool:
        """Directives look at clients."""
        return True

    def ask(
        self,
        query: Query,
        client: Client | None,
        transport: str,  # noqa: ARG002 - the client knows
        deadline: float,  # noqa: ARG002 - the chain's end has its own
        done: Done,
        now: float,  # noqa: ARG002 - and its own clock
    ) -> Ask | None:
        """Send the query down the chain."""
        assert client is not None

        def heard(result: Answer | Failure | Silence) -> None:
            if not isinstance(result, Silence):  # only `acl` is silent, and it stands above
                done(result)

        return self.chain.start(query, client, heard)


def forward_end(source: Source, deadline_seconds: float, clock: Callable[[], float]) -> Terminal:
    """What a chain below the cache ends in: `source`, given so many seconds from then on."""

    def ask(query: Query, client: Client, back: Back) -> Ask | None:
        now = clock()
        return source.ask(query, client, client.transport, now + deadline_seconds, back, now)

    return ask
