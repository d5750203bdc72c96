"""What a directive is: its interface, what it may ask for, and what it returns.

A directive does no I/O, never waits and knows no event loop. Its `serve` returns None where it has
nothing to do with the query, or a result, or it is a generator that yields the queries that it wants
answered and is sent their results:

    def serve(self, query, client):
        answer = yield AskNext(query)              # the next directive in the chain
        if isinstance(answer, Failure): …
        other = yield AskServer(another_query)     # this server itself, as a client would
        return answer

So a test can drive a directive without a server, and a zone with directives needs no task for a
query: `Chain.start` drives them with callbacks.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from nodecache.forward import Failure
from nodecache.wire import CLASS_IN, Answer, Ede, Query, Rcode


class NoReply(Enum):
    """The result of `acl … drop`: no reply is sent."""

    DROPPED = "dropped"


Outcome = Answer | Failure
"""The result of a lookup in the cache or upstream."""

Result = Outcome | NoReply
"""The result of a directive or of a whole chain."""


@dataclass(slots=True)
class Client:
    """The client that a query came from, as far as directives may look at it.

    `received_at` is monotonic seconds. `metadata` is None unless the block has the `metadata`
    directive. `depth` counts how often the server asked itself on the way here.
    """

    address: tuple[str, int]
    local: tuple[str, int]
    transport: str
    server: str = ""
    zone_name: str = "."
    received_at: float = 0.0
    metadata: dict[str, str] | None = None
    depth: int = 0
    span: Any = None
    """The innermost open span of a query that `trace` samples; None for all others."""
    cache_note: Any = None
    """What the zone's cache had to do with the answer; directives do not use it."""

    @property
    def host(self) -> str:
        """The client's address; an IPv4-mapped IPv6 address as plain IPv4."""
        return plain_address(self.address[0])

    @property
    def local_host(self) -> str:
        """The address that the query was sent to."""
        return plain_address(self.local[0])

    @property
    def is_ipv6(self) -> bool:
        """Whether the client's address is an IPv6 one."""
        return ":" in self.host


def plain_address(host: str) -> str:
    """`host` without the prefix that IPv4 addresses have on an IPv6 socket (RFC 4291 §2.5.5.2)."""
    return host.removeprefix("::ffff:") if "." in host else host


@dataclass(frozen=True, slots=True)
class AskNext:
    """A directive's wish: have the next directive of the chain, or its end, answer `query`.

    With `timeout_seconds` the directive waits no longer than that, and is sent `LATE` then. The
    question stays asked, and its answer is cached.
    """

    query: Query
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AskServer:
    """A directive's wish: have this server answer `query` from the top, as for a client."""

    query: Query


Steps = Generator[AskNext | AskServer, Result, Result]


class Directive(Protocol):
    """One directive of one block."""

    name: str

    def serve(self, query: Query, client: Client) -> Steps | Result | None:
        """The result for `query`, or the steps to it; None where this directive does not apply."""


class PendingLookup(Protocol):
    """A lookup that has not returned an outcome yet."""

    def cancel(self) -> None:
        """Nobody waits for the outcome any more."""

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether somebody waits for the answer, or it is fetched for later."""


OnResult = Callable[[Result], None]

OnOutcome = Callable[[Outcome], None]

Lookup = Callable[[Query, Client, OnOutcome], PendingLookup | None]
"""Looks a query up. It calls `on_outcome` exactly once, perhaps before it returns."""

LATE: Final = Failure(Rcode.SERVFAIL, Ede.NO_REACHABLE_AUTHORITY, b"", "no answer in time")
"""What a directive is sent when its timeout has passed."""

_NO_ANSWER: Final = Failure(
    Rcode.SERVFAIL, Ede.OTHER, b"no directive answers for this name", "no next plugin found"
)

_OTHER_CLASS: Final = Failure(
    Rcode.REFUSED, Ede.NOT_SUPPORTED, b"only class IN is served", "", is_decided=True
)


def unserved(query: Query) -> Failure:
    """The failure for a query that no directive answers; only class IN is ever answered."""
    return _NO_ANSWER if query.rdclass == CLASS_IN else _OTHER_CLASS


def no_forward(query: Query, _client: Client, on_outcome: OnOutcome) -> None:
    """The end of a chain in a block without `forward`."""
    on_outcome(unserved(query))


def refusal(rcode: int, text: str, reason: str = "") -> Failure:
    """A directive's decision not to answer; with a `reason` the `errors` directive logs it."""
    return Failure(rcode, Ede.OTHER, text.encode(), reason, is_decided=True)
