"""The chain of a block's directives, in CoreDNS's order of plugins, and how a query runs through it.

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

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from nodecache.forward import Failure, Timer
from nodecache.wire import CLASS_IN, Answer, Ede, Query, Rcode

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# Aliases that directives follow by asking this server itself: more than this in a row are a loop.
MAX_LOOKUP_DEPTH: Final = 8


class Silence(Enum):
    """The result of `acl … drop`: no reply is sent."""

    DROPPED = "dropped"


Outcome = Answer | Failure
"""The result of a lookup in the cache or upstream."""

Result = Outcome | Silence
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


CallLater = Callable[[float, Callable[[], None]], Timer]
"""A loop's `call_later`: seconds from now, and what to do then."""

LATE: Final = Failure(Rcode.SERVFAIL, Ede.NO_REACHABLE_AUTHORITY, b"", "no answer in time")
"""What a directive is sent when its timeout has passed."""

_NO_ANSWER: Final = Failure(
    Rcode.SERVFAIL, Ede.OTHER, b"no directive answers for this name", "no next plugin found"
)
_OTHER_CLASS: Final = Failure(Rcode.REFUSED, Ede.NOT_SUPPORTED, b"only class IN is served", "")


def unserved(query: Query) -> Failure:
    """The failure for a query that no directive answers; only class IN is ever answered."""
    return _NO_ANSWER if query.rdclass == CLASS_IN else _OTHER_CLASS


def no_forward(query: Query, _client: Client, on_outcome: OnOutcome) -> None:
    """The end of a chain in a block without `forward`."""
    on_outcome(unserved(query))


@dataclass(slots=True)
class ChainCounts:
    """Exceptions that directives raised while they served queries."""

    panics: int = 0


@dataclass(slots=True)
class Chain:
    """Directives in the order in which they see a query.

    `terminal` answers what no directive answers; `lookup` answers what a directive asks the server.
    Without `call_later` directives wait for as long as an answer takes.
    """

    directives: Sequence[Directive]
    terminal: Lookup
    lookup: Lookup = no_forward
    counts: ChainCounts = field(default_factory=ChainCounts)
    call_later: CallLater | None = None

    def start(self, query: Query, client: Client, done: OnResult) -> "ChainRun":
        """Run `query` through the chain; `done` is called exactly once, perhaps before this returns."""
        chain_run = ChainRun(self, query, client, done)
        chain_run.begin()
        return chain_run


class _Waiting:
    """A directive that waits for what it wished, and the timer where it has a timeout."""

    __slots__ = ("index", "step", "steps", "timer")

    def __init__(self, index: int, steps: Steps) -> None:
        self.index = index
        self.steps = steps
        self.step: object = None
        self.timer: Timer | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class ChainRun:
    """One query's run through a chain, from the first directive to the end and back."""

    __slots__ = (
        "_asked",
        "_chain",
        "_client",
        "_done",
        "_is_awaited",
        "_lookups",
        "_query",
        "_waiting",
    )

    def __init__(self, chain: Chain, query: Query, client: Client, done: OnResult) -> None:
        self._chain = chain
        self._query = query
        self._client = client
        self._done: OnResult | None = done
        self._waiting: list[_Waiting] = []  # the last one waits for the next outcome
        self._lookups = 0  # so far: only the outcome of the last one is wanted
        self._asked: PendingLookup | None = None
        self._is_awaited = True

    def begin(self) -> None:
        """Show the query to the first directive."""
        self._call_next(self._query, 0)

    def cancel(self) -> None:
        """Nobody waits any more: `done` is not called after this."""
        self._done = None
        if self._asked is not None:
            self._asked.cancel()
        self._close_after(0)

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether somebody waits for the answer."""
        self._is_awaited = is_awaited
        if self._asked is not None:
            self._asked.mark_awaited(is_awaited=is_awaited)

    def _call_next(self, query: Query, index: int) -> None:
        """Show `query` to the directives from `index` on, until one applies."""
        for at in range(index, len(self._chain.directives)):
            serve = self._guarded(at, self._chain.directives[at].serve, query, self._client)
            if serve is None:
                continue
            if isinstance(serve, Answer | Failure | Silence):
                self._return(serve)
            else:
                self._waiting.append(_Waiting(at, serve))
                self._resume(None)
            return
        self._ask(self._chain.terminal, query, self._client)

    def _resume(self, outcome: Result | None) -> None:
        """Send `outcome` to the directive that waits furthest down the chain."""
        waiting = self._waiting[-1]
        waiting.stop_timer()
        step = self._guarded(waiting.index, _next_step, waiting.steps, outcome)
        waiting.step = step
        if isinstance(step, AskNext):
            self._call_next(step.query, waiting.index + 1)
            if step.timeout_seconds is not None and waiting.step is step:  # not answered at once
                self._start_timer(waiting, step.timeout_seconds)
        elif isinstance(step, AskServer):
            self._ask_server(step.query)
        else:
            self._waiting.pop()
            self._return(step)

    def _start_timer(self, waiting: _Waiting, seconds: float) -> None:
        if self._chain.call_later is not None:
            waiting.timer = self._chain.call_later(seconds, partial(self._time_out, waiting))

    def _time_out(self, waiting: _Waiting) -> None:
        """Send `LATE` to a directive, and end those after it, which it waits for no longer."""
        waiting.timer = None
        self._close_after(self._waiting.index(waiting) + 1)
        self._asked = None
        self._lookups += 1
        self._resume(LATE)

    def _close_after(self, count: int) -> None:
        """End all waiting directives but the first `count`, the last one first."""
        while len(self._waiting) > count:
            waiting = self._waiting.pop()
            waiting.stop_timer()
            waiting.steps.close()

    def _guarded(
        self, index: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | Failure:
        """Call a directive; an exception costs one query its answer, never the process."""
        try:
            return work(*args, **kwargs)
        except Exception:
            self._chain.counts.panics += 1
            log.exception("%s could not deal with a query", self._chain.directives[index].name)
            return Failure(Rcode.SERVFAIL, Ede.OTHER, b"an error inside nodecache", "")

    def _return(self, result: Result) -> None:
        """Give `result` to the directive that waits for it, or end the run with it."""
        if not self._waiting:
            done, self._done = self._done, None
            if done is not None:
                done(result)
        else:
            self._resume(result)

    def _ask_server(self, query: Query) -> None:
        client = self._client
        if client.depth >= MAX_LOOKUP_DEPTH:
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

    def _ask(self, terminal: Lookup, query: Query, client: Client) -> None:
        is_answered = False
        number = self._lookups = self._lookups + 1

        def on_outcome(outcome: Outcome) -> None:
            nonlocal is_answered
            is_answered = True
            if self._done is not None and self._lookups == number:
                self._asked = None
                self._return(outcome)

        asked = terminal(query, client, on_outcome)
        if not is_answered:
            self._asked = asked
            if asked is not None and not self._is_awaited:
                asked.mark_awaited(is_awaited=False)


def _next_step(steps: Steps, outcome: Result | None) -> AskNext | AskServer | Result:
    try:
        return steps.send(outcome)  # type: ignore[arg-type]  # None starts it
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _too_deep() -> Failure:
    reason = f"{MAX_LOOKUP_DEPTH} lookups led from one alias to the next"
    return Failure(Rcode.SERVFAIL, Ede.OTHER, reason.encode(), reason)


def refusal(rcode: int, text: str, reason: str = "") -> Failure:
    """A directive's decision not to answer; with a `reason` the `errors` directive logs it."""
    return Failure(rcode, Ede.OTHER, text.encode(), reason, is_decided=True)
