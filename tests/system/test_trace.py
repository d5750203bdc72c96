"""`trace` in the real agent, told to a stand-in for Zipkin; and beside the original, where it is."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.helpers.agent import HOST, Agent
from tests.helpers.original import Original, find_original
from tests.helpers.upstream import FakeUpstream, obey, silent
from tests.helpers.zipkin import SpanJson, Zipkin
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

COREFILE = """
.:{port} {
    bind 127.0.0.1
    trace ZIPKIN {
        service Node-DNS
        zipkin_max_batch_interval 100ms
    }
    errors
    log
    metadata
    loadbalance
    cache 30
    rewrite name other.example.org www.example.org
    template IN A tmpl {
        answer "{{ .Name }} 60 IN A 10.0.0.1"
    }
    forward . UPSTREAM {
        max_connect_attempts 1
    }
}
"""


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("www.example.org. 300 IN A 192.0.2.1") as server:
        yield server


def corefile(zipkin: Zipkin, upstream: FakeUpstream) -> str:
    text = COREFILE.replace("ZIPKIN", zipkin.address)
    return text.replace("UPSTREAM", upstream.address)


def ask(port: int, *names: str) -> None:
    for name in names:
        dns.query.udp(dns.message.make_query(name, "A"), HOST, port=port, timeout=PATIENCE_SECONDS)


def shape(spans: list[SpanJson]) -> list[object]:
    """What both programs must tell alike: names, what is in what, kinds, tags, who we are."""
    names = {span["id"]: span["name"] for span in spans}
    return [
        (
            span["name"],
            names.get(span.get("parentId", ""), ""),
            span.get("kind"),
            span.get("tags"),
            {**span["localEndpoint"], "port": 0},
            [note["value"].split(":")[0] for note in span.get("annotations", ())],
        )
        for span in spans
    ]


def chain(spans: list[SpanJson]) -> list[str]:
    return [span["name"] for span in spans]


def test_a_miss_a_hit_and_an_answer_of_a_directive_are_told(tmp_path, upstream):
    with Zipkin() as zipkin, Agent(tmp_path, corefile(zipkin, upstream)) as agent:
        ask(agent.port, "www.example.org.")
        miss = zipkin.wait_for_trace("www.example.org.")
        above = ["servedns", "errors", "log", "loadbalance", "cache"]
        assert chain(miss) == [*above, "rewrite", "template", "forward", "connect"]
        assert miss[-1]["tags"] == {"peer.address": upstream.address}
        for outer, inner in pairwise(miss):
            assert inner["timestamp"] >= outer["timestamp"]
            assert inner["duration"] <= outer["duration"]
        ask(agent.port, "x.tmpl.")
        assert chain(zipkin.wait_for_trace("x.tmpl.")) == [*above, "rewrite", "template"]
        zipkin.posted.clear()
        ask(agent.port, "www.example.org.")
        assert chain(zipkin.wait_for_trace("www.example.org.")) == above
        assert agent.stop() == 0


def test_a_collector_that_is_away_costs_no_answers(tmp_path, upstream):
    with Zipkin() as zipkin:
        text = corefile(zipkin, upstream)
    with Agent(tmp_path, text) as agent:
        for number in range(300):
            assert agent.ask(f"{number}.tmpl.").answer
        assert "failed to send the request" in agent.wait_for_line("plugin/trace")


def test_one_query_in_so_many_and_none_after_a_reload_without_it(tmp_path, upstream):
    with Zipkin() as zipkin:
        text = corefile(zipkin, upstream).replace("service", "every 3\nservice")
        with Agent(tmp_path, text) as agent:
            for number in range(1, 10):
                ask(agent.port, f"{number}.tmpl.")
            zipkin.wait_for_trace("9.tmpl.")
            tops = [span["tags"]["coredns.io/name"] for span in zipkin.spans if "kind" in span]
            assert tops == ["3.tmpl.", "6.tmpl.", "9.tmpl."]
            agent.write("\n".join(line for line in text.splitlines() if "log" not in line))
            agent.wait_for_line("Reloading complete")
            ask(agent.port, *[f"{number}.tmpl." for number in range(11, 14)])
            assert chain(zipkin.wait_for_trace("13.tmpl."))[:3] == [
                "servedns",
                "errors",
                "loadbalance",
            ]


def test_the_tree_of_spans_is_the_originals(tmp_path, upstream):
    program = find_original()
    if program is None:
        pytest.skip("the original, node-cache, is not on PATH")
    names = ("www.example.org.", "x.tmpl.", "Other.Example.org.", "silence.example.")
    theirs, ours = (
        told(kind, tmp_path / kind, upstream, names, program) for kind in ("original", "nodecache")
    )
    assert ours == theirs


def told(
    kind: str, folder: Path, upstream: FakeUpstream, names: tuple[str, ...], program: str
) -> list[object]:
    folder.mkdir()
    with Zipkin() as zipkin:
        text = corefile(zipkin, upstream)
        is_original = kind == "original"
        with Original(program, folder, text) if is_original else Agent(folder, text) as agent:
            found: list[object] = []
            for name in names:
                if name.startswith("silence"):
                    upstream.behave = silent
                zipkin.posted.clear()
                ask(agent.port, name)
                spans = zipkin.wait_for_trace(name.lower())
                # An attempt that brought no answer has no span here: see docs/corefile.md.
                found += [
                    each
                    for each in shape(spans)
                    if upstream.behave is not silent or each[0] != "connect"
                ]
            upstream.behave = obey
            return found
