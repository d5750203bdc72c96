"""Where a zone's answers come from when the cache has none.

A `Source` is asked with a callback, so that the plain way, one forwarder, costs no task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nodecache.forward import Failure, Forwarder
from nodecache.wire import Answer, Ede, Query, Rcode, Rdtype

from .chain import Ask, Chain, Client, Silence, nothing_to_ask

_HINFO = int(Rdtype.HINFO)
_LOOP = Failure(Rcode.SERVFAIL, Ede.OTHER, b"this question came from here: a loop", "")

Done = Callable[[Answer | Failure], None]


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

    wants_client: bool


@dataclass(slots=True)
class ForwardSource:
    """A block's `forward` directives: the first that covers the name is asked.

    A question of our own that comes back to us, sent to find loops, goes no further.
    """

    forwarders: Sequence[Forwarder]
    sighted: Callable[[Query], bool]
    wants_client: bool = False

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
        if query.qtype == _HINFO and self.sighted(query):
            done(_LOOP)
            return None
        for forwarder in self.forwarders:
            if forwarder.covers(query):
                return forwarder.ask(query, deadline, done, now, transport)
        return nothing_to_ask(query, client, done)  # type: ignore[arg-type, func-returns-value]


@dataclass(slots=True)
class ChainSource:
    """Directives below the cache, and what they end in."""

    chain: Chain
    wants_client: bool = True

    def ask(
        self,
        query: Query,
        client: Client | None,
        transport: str,
        deadline: float,
        done: Done,
        now: float,  # noqa: ARG002 - the chain's end has its own
    ) -> Ask | None:
        """Send the query down the chain."""
        assert client is not None

        def heard(result: Answer | Failure | Silence) -> None:
            if not isinstance(result, Silence):  # only `acl` is silent, and it stands above
                done(result)

        return self.chain.start(query, client, heard)
