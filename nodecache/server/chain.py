"""The small directives of a block, in the original's order, and a query's way through them.

A directive does no I/O, waits for nothing and knows no event loop. Its `visit` says at once that the
query is not its business (None) or what comes of it, or it is a generator that yields what it wants
asked and is sent what came back:

    def visit(self, query, client):
        answer = yield Down(query)                 # whoever follows in the chain
        if isinstance(answer, Failure): …
        other = yield Anew(another_query)          # the whole server, from the top
        return answer

So a directive is tested by hand, without a server, and a zone with directives needs no task for a
query: `Chain.start` drives them with callbacks.
"""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from nodecache.forward import Failure
from nodecache.wire import CLASS_IN, Answer, Ede, Query, Rcode

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# An alias that leads to an alias … through this server itself: more in a row are a loop.
MOST_LOOKUPS_DEEP: Final = 8


class Silence(Enum):
    """What a client gets that is to hear nothing at all: `acl … drop`."""

    DROPPED = "dropped"


Outcome = Answer | Failure
"""What comes back from the end of a chain."""

Result = Outcome | Silence
"""What a directive, or a whole chain, makes of a query."""


@dataclass(slots=True)
class Client:
    """Whom a query is answered for, as far as directives may look at it.

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
    """What `trace` measures at the moment for this query; None for those it does not."""
    cache_note: Any = None
    """The zone's own note of what its cache said; not for directives."""

    @property
    def host(self) -> str:
        """The client's address: an IPv4 one as such, also where it came mapped into IPv6."""
        return plain_address(self.address[0])

    @property
    def local_host(self) -> str:
        """The address that was asked."""
        return plain_address(self.local[0])

    @property
    def is_ipv6(self) -> bool:
        """Whether the client speaks IPv6."""
        return ":" in self.host


def plain_address(host: str) -> str:
    """`host` without the prefix that IPv4 addresses have on an IPv6 socket (RFC 4291 §2.5.5.2)."""
    return host.removeprefix("::ffff:") if "." in host else host


@dataclass(frozen=True, slots=True)
class Down:
    """Ask what follows in the chain."""

    query: Query


@dataclass(frozen=True, slots=True)
class Anew:
    """Ask the server itself, as a client would, about another name."""

    query: Query


Steps = Generator[Down | Anew, Result, Result]


class Directive(Protocol):
    """One directive of one block."""

    name: str

    def visit(self, query: Query, client: Client) -> Steps | Result | None:
        """What this directive makes of `query`; None where it has nothing to do with it."""


class Ask(Protocol):
    """A question under way."""

    def cancel(self) -> None:
        """Nobody waits any more."""

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether somebody waits for the answer, or it is fetched for later."""


Done = Callable[[Result], None]
Back = Callable[[Outcome], None]
Terminal = Callable[[Query, Client, Back], Ask | None]
"""What a chain ends in. It calls back exactly once, perhaps before it returns."""


_NO_ANSWER: Final = Failure(
    Rcode.SERVFAIL, Ede.OTHER, b"no directive answers for this name", "no next plugin found"
)
_OTHER_CLASS: Final = Failure(Rcode.REFUSED, Ede.NOT_SUPPORTED, b"only class IN is served", "")


def no_directive_for(query: Query) -> Failure:
    """What nobody answers: other classes than IN are nobody's here."""
    return _NO_ANSWER if query.rdclass == CLASS_IN else _OTHER_CLASS


def nothing_to_ask(query: Query, _client: Client, back: Back) -> None:
    """The end of a chain with no `forward` below it."""
    back(no_directive_for(query))


@dataclass(slots=True)
class ChainCounts:
    """What went wrong inside."""

    panics: int = 0


@dataclass(slots=True)
class Chain:
    """Directives in the order they see a query, and what they end in.

    `lookup` is how the server asks itself.
    """

    directives: Sequence[Directive]
    terminal: Terminal
    lookup: Terminal = nothing_to_ask
    counts: ChainCounts = field(default_factory=ChainCounts)

    def start(self, query: Query, client: Client, done: Done) -> "Walk":
        """Send `query` down; `done` is called exactly once, perhaps before this returns."""
        walk = Walk(self, query, client, done)
        walk.begin()
        return walk


class Walk:
    """One query on its way down a chain and up again."""

    __slots__ = ("_asked", "_chain", "_client", "_done", "_is_awaited", "_query", "_steps")

    def __init__(self, chain: Chain, query: Query, client: Client, done: Done) -> None:
        self._chain = chain
        self._query = query
        self._client = client
        self._done: Done | None = done
        self._steps: list[tuple[int, Steps]] = []  # with each one's index
        self._asked: Ask | None = None
        self._is_awaited = True

    def begin(self) -> None:
        """Start at the top."""
        self._descend(self._query, 0)

    def cancel(self) -> None:
        """Nobody waits any more: `done` is not called after this."""
        self._done = None
        if self._asked is not None:
            self._asked.cancel()
        for _, steps in reversed(self._steps):
            steps.close()

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether somebody waits for the answer."""
        self._is_awaited = is_awaited
        if self._asked is not None:
            self._asked.mark_awaited(is_awaited=is_awaited)

    def _descend(self, query: Query, index: int) -> None:
        """Show `query` to the directives from `index` on, until one takes it up."""
        for at in range(index, len(self._chain.directives)):
            visit = self._guarded(at, self._chain.directives[at].visit, query, self._client)
            if visit is None:
                continue
            if isinstance(visit, Answer | Failure | Silence):
                self._ascend(visit)
            else:
                self._steps.append((at, visit))
                self._resume(None)
            return
        self._ask(self._chain.terminal, query, self._client)

    def _resume(self, outcome: Result | None) -> None:
        """Go on with the directive that waits furthest down the chain."""
        index, steps = self._steps[-1]
        wish = self._guarded(index, _next_wish, steps, outcome)
        if isinstance(wish, Down):
            self._descend(wish.query, index + 1)
        elif isinstance(wish, Anew):
            self._ask_anew(wish.query)
        else:
            self._steps.pop()
            self._ascend(wish)

    def _guarded(
        self, index: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | Failure:
        """Do a directive's work; a fault of ours costs one query its answer, never the process."""
        try:
            return work(*args, **kwargs)
        except Exception:
            self._chain.counts.panics += 1
            log.exception("%s could not deal with a query", self._chain.directives[index].name)
            return Failure(Rcode.SERVFAIL, Ede.OTHER, b"an error inside nodecache", "")

    def _ascend(self, result: Result) -> None:
        """Hand `result` to whoever waits for it."""
        if not self._steps:
            done, self._done = self._done, None
            if done is not None:
                done(result)
        else:
            self._resume(result)

    def _ask_anew(self, query: Query) -> None:
        client = self._client
        if client.depth >= MOST_LOOKUPS_DEEP:
            self._resume(_too_deep())
            return
        inner = Client(
            client.address,
            client.local,
            client.transport,
            client.server,
            received_at=client.received_at,
            metadata=client.metadata,
            depth=client.depth + 1,
            span=client.span,
        )
        self._ask(self._chain.lookup, query, inner)

    def _ask(self, terminal: Terminal, query: Query, client: Client) -> None:
        is_answered = False

        def back(outcome: Outcome) -> None:
            nonlocal is_answered
            is_answered = True
            self._asked = None
            if self._done is not None:
                self._ascend(outcome)

        asked = terminal(query, client, back)
        if not is_answered:
            self._asked = asked
            if asked is not None and not self._is_awaited:
                asked.mark_awaited(is_awaited=False)


def _next_wish(steps: Steps, outcome: Result | None) -> Down | Anew | Result:
    try:
        return steps.send(outcome)  # type: ignore[arg-type]  # None starts it
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _too_deep() -> Failure:
    reason = f"{MOST_LOOKUPS_DEEP} lookups led from one alias to the next"
    return Failure(Rcode.SERVFAIL, Ede.OTHER, reason.encode(), reason)


def refusal(rcode: int, text: str, reason: str = "") -> Failure:
    """No answer by a directive's own decision; with a `reason` the `errors` directive logs it."""
    return Failure(rcode, Ede.OTHER, text.encode(), reason, is_decided=True)
