import pytest

from nodecache.server.chain import Chain
from nodecache.server.directive import NoReply, refusal
from nodecache.server.directives.trace.spans import Span
from nodecache.server.directives.trace.trace import DirectiveSpan, Trace, record_connect, with_spans
from nodecache.wire import Query
from tests.server.chains import answer, below, client, query, run

from .test_spans import Kept, tracing

ASKED = query("Example.org.", "AAAA")
ANSWER = answer(ASKED, "example.org. 30 IN AAAA 2001:db8::1")


def traced(every: int = 1) -> tuple[Trace, Kept]:
    tracer, sink, _, _ = tracing()
    return Trace(tracer, every), sink


def parents(spans: list[Span]) -> dict[str, str]:
    """The name of each span's parent by its own."""
    names = {span.own_id: span.name for span in spans}
    return {span.name: names.get(span.parent_id, "") for span in spans}


def test_a_query_is_told_with_what_came_of_it():
    directive, sink = traced()
    assert run(directive, ASKED, then=below(ANSWER), whom=client("::ffff:10.0.0.9")) is ANSWER
    (span,) = sink.spans
    assert (span.name, span.kind, span.parent_id) == ("servedns", "SERVER", "")
    assert span.trace_id == span.own_id
    assert span.tags == {
        "coredns.io/name": "example.org.",
        "coredns.io/proto": "udp",
        "coredns.io/rcode": "NOERROR",
        "coredns.io/remote": "10.0.0.9",
        "coredns.io/type": "AAAA",
    }
    assert span.notes == []


def test_a_failure_is_told_with_its_reason():
    directive, sink = traced()
    run(directive, ASKED, then=below(refusal(2, "", "read udp: i/o timeout")))
    (span,) = sink.spans
    assert span.tags["coredns.io/rcode"] == "SERVFAIL"
    assert span.tags["error"] == "true"
    assert [text for _, text in span.notes] == ["event:error", "error.object:read udp: i/o timeout"]


def test_a_reason_that_the_cache_keeps_to_itself_was_heard_below_it():
    directive, sink = traced()

    def cached(asked: Query, whom, back) -> None:
        Chain([DirectiveSpan("forward")], below(refusal(2, "", "no healthy proxies"))).start(
            asked, whom, lambda failed: back(refusal(failed.rcode, "no answer"))
        )

    run([directive, DirectiveSpan("cache")], ASKED, then=cached)
    assert parents(sink.spans) == {"forward": "cache", "cache": "servedns", "servedns": ""}
    assert sink.spans[-1].notes[1][1] == "error.object:no healthy proxies"


def test_an_rcode_that_a_directive_chose_is_no_error():
    directive, sink = traced()
    run(directive, ASKED, then=below(refusal(5, "not for you")))
    assert sink.spans[0].tags["coredns.io/rcode"] == "REFUSED"
    assert "error" not in sink.spans[0].tags


class Mute:
    """A directive that says nothing at all."""

    name = "acl"

    def serve(self, asked, whom):
        return NoReply.DROPPED


def test_silence_is_told_as_coredns_does():
    directive, sink = traced()
    run([directive, Mute()], ASKED)
    assert sink.spans[0].tags["coredns.io/rcode"] == "NOERROR"


@pytest.mark.parametrize(("every", "told"), [(1, 6), (2, 3), (4, 1), (7, 0)])
def test_one_query_in_so_many_is_told(every, told):
    directive, sink = traced(every)
    for _ in range(6):
        run(directive, ASKED, then=below(ANSWER))
    assert len(sink.spans) == told


def test_each_directive_has_a_span_in_the_one_before_it():
    directive, sink = traced()
    chain = [directive, *with_spans([Mute()], before=["errors"], after=["cache"])]
    run(chain, ASKED)
    assert parents(sink.spans) == {"acl": "errors", "errors": "servedns", "servedns": ""}


def test_what_is_asked_again_for_a_traced_query_is_in_the_same_trace():
    directive, sink = traced()
    whom = client()
    run([directive, DirectiveSpan("dns64")], ASKED, whom=whom, then=below(ANSWER))
    whom = client(span=sink.spans[-1])
    run([directive, DirectiveSpan("cache")], ASKED, whom=whom, then=below(ANSWER))
    assert [span.name for span in sink.spans] == ["dns64", "servedns", "cache"]
    assert {span.trace_id for span in sink.spans} == {sink.spans[1].own_id}


def test_a_query_that_is_not_traced_leaves_no_spans():
    _, sink = traced()
    assert run(DirectiveSpan("cache"), ASKED, then=below(ANSWER)) is ANSWER
    assert sink.spans == []


def test_a_query_that_nobody_waits_for_any_more_ends_its_spans():
    directive, sink = traced()

    class Asking:
        def cancel(self) -> None:
            """Nothing to give up."""

    chain_run = Chain([directive, DirectiveSpan("cache")], lambda *_: Asking()).start(
        ASKED, client(), lambda _: None
    )
    assert sink.spans == []
    chain_run.cancel()
    assert [span.name for span in sink.spans] == ["cache", "servedns"]


def test_the_id_of_the_trace_can_be_logged():
    directive, _ = traced()
    whom = client(metadata={})
    run(directive, ASKED, then=below(ANSWER), whom=whom)
    assert whom.metadata == {"trace/traceid": "0000000000000001"}


class Upstream:
    to = "10.96.0.10:53"


class Attempt:
    """How an upstream was asked."""

    upstream = Upstream()
    sent_at = 7.5


def test_an_answer_of_an_upstream_is_a_span_in_that_of_forward():
    tracer, sink, clock, _ = tracing()
    forward = tracer.start("forward")
    clock.now += 10**9
    record_connect(client(span=forward), Attempt(), 8.0)
    (span,) = sink.spans
    assert (span.name, span.parent_id) == ("connect", forward.own_id)
    assert span.tags == {"peer.address": "10.96.0.10:53"}
    assert span.ended_at - span.started_at == 500_000_000


def test_an_answer_for_a_query_that_is_not_traced_is_none_of_ours():
    record_connect(client(), Attempt(), 8.0)
