"""`trace`: spans of every so many queries, for Zipkin.

The tree of spans is CoreDNS's: `servedns`, in it one span for each directive that the query reached,
each inside the one before it, and one named `connect` for each answer of an upstream. For a query that
is not sampled only a counter is incremented.
"""

from collections.abc import Sequence
from typing import cast

from nodecache.forward import Attempt, Failure
from nodecache.server.directive import AskNext, Client, Directive, Result, Steps
from nodecache.server.directives.metadata import note
from nodecache.server.mnemonics import rcode_word, type_text
from nodecache.wire import Answer, Query, Rcode, text_of

from .spans import Span, Tracer

TRACE_ID = "trace/traceid"

_TOP = "servedns"
_NANOSECONDS = 1_000_000_000


class Trace:
    """Begins a trace for one query in `every`."""

    name = "trace"

    def __init__(self, tracer: Tracer, every: int) -> None:
        self.tracer = tracer
        self._every = every
        self._count = 0

    def serve(self, query: Query, client: Client) -> Steps | None:
        """Let the query pass, and begin a trace for every so many that are in none yet."""
        self._count += 1
        if self._count % self._every or client.span is not None:
            return None
        return self._trace(query, client)

    def _trace(self, query: Query, client: Client) -> Steps:
        client.span = span = self.tracer.start(_TOP)
        span.kind = "SERVER"
        note(client, TRACE_ID, span.trace_id)
        try:
            result = yield AskNext(query)
            _tag(span, query, client, result)
            return result
        finally:
            span.end()


def _tag(span: Span, query: Query, client: Client, result: Result) -> None:
    """Tag the span with query, client and result, under CoreDNS's names."""
    # A query that `acl … drop` left unanswered counts as NOERROR in CoreDNS.
    rcode = result.rcode if isinstance(result, Answer | Failure) else Rcode.NOERROR
    span.tags = {
        "coredns.io/name": text_of(query.qname).lower(),
        "coredns.io/proto": client.transport,
        "coredns.io/rcode": rcode_word(rcode),
        "coredns.io/remote": client.host,
        "coredns.io/type": type_text(query.qtype),
    }
    if not isinstance(result, Failure):
        return
    # The cache passes failures on without their reasons, which a span below it has noted.
    if reason := result.reason or "; ".join(span.reasons):
        span.tags["error"] = "true"
        span.note("event:error")
        span.note(f"error.object:{reason}")


class DirectiveSpan:
    """Puts a span around the rest of the chain, named after the next directive."""

    def __init__(self, name: str) -> None:
        self.name = name

    def serve(self, query: Query, client: Client) -> Steps | None:
        """Let the query pass, and time the rest of the chain if it is traced."""
        return None if client.span is None else self._measure(query, client, client.span)

    def _measure(self, query: Query, client: Client, around: Span) -> Steps:
        client.span = span = around.child(self.name)
        try:
            result = yield AskNext(query)
            if isinstance(result, Failure) and result.reason and result.reason not in span.reasons:
                span.reasons.append(result.reason)
            return result
        finally:
            client.span = around
            span.end()


def with_spans(
    directives: Sequence[Directive], *, before: Sequence[str] = (), after: Sequence[str] = ()
) -> list[Directive]:
    """`directives`, each behind a span of its name; `before` and `after` name steps outside of the chain."""
    spanned: list[Directive] = [DirectiveSpan(name) for name in before]
    for directive in directives:
        spanned += (DirectiveSpan(directive.name), directive)
    spanned += [DirectiveSpan(name) for name in after]
    return spanned


def record_connect(client: Client, attempt: Attempt, now: float) -> None:
    """Add a span for the answer that an upstream gave at `now` (monotonic seconds)."""
    if client.span is None:
        return
    around = cast("Span", client.span)
    ended_at = around.tracer.clock()
    span = around.child("connect", ended_at - int((now - attempt.sent_at) * _NANOSECONDS))
    span.tags = {"peer.address": attempt.upstream.to}
    span.end()
