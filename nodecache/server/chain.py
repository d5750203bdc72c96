"""The chain of a block's directives, in CoreDNS's order of plugins, and a query's run through it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, ParamSpec, TypeVar

from nodecache.forward import Failure, Timer
from nodecache.wire import Answer, Ede, Query, Rcode

from .directive import (
    LATE,
    AskNext,
    AskServer,
    Client,
    Directive,
    Lookup,
    NoReply,
    OnResult,
    Outcome,
    PendingLookup,
    Result,
    Steps,
    no_forward,
)

log = logging.getLogger(__name__)

P = ParamSpec("P")

T = TypeVar("T")

# Aliases that directives follow by asking this server itself: more than this in a row are a loop.
MAX_LOOKUP_DEPTH: Final = 8

CallLater = Callable[[float, Callable[[], None]], Timer]
"""A loop's `call_later`: seconds from now, and what to do then."""


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
            if isinstance(serve, Answer | Failure | NoReply):
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
