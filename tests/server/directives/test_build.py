import logging
import subprocess
import sys

import pytest

from nodecache.corefile import parse
from nodecache.server.chain import Chain
from nodecache.server.directives.build import Directives, check, open_directives
from nodecache.server.directives.counts import DirectiveCounts
from nodecache.server.directives.weights import Weighted, WeightFile
from nodecache.wire import Query
from tests.server.chains import answer, below, client, lines, query, told
from tests.server.directives.trace.test_spans import tracing


class Sink:
    """Somewhere for dnstap's frames that is never looked at."""

    def __init__(self, options) -> None:
        self.is_closed = False
        Sink.opened.append(self)

    opened: list["Sink"] = []  # noqa: RUF012 (the test empties it)

    def put(self, payload: bytes) -> None:
        """Drop it."""

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def no_sinks():
    Sink.opened.clear()


def block(text: str):
    return parse(f".:53 {{\n{text}\n}}\n", "Corefile", env={}).blocks[0]


def opened(text: str, *, forwarded=lambda query: True) -> Directives:
    return open_directives(block(text), DirectiveCounts(), Sink, forwarded)


def names(chain) -> list[str]:
    return [directive.name for directive in chain]


def test_directives_see_a_query_in_the_originals_order():
    made = opened("""
        whoami
        hosts /nonexistent
        template IN A
        rewrite name a b
        minimal
        loadbalance
        dns64
        any
        acl
        dnstap /tap
        log
        metadata
        forward . 192.0.2.1
    """)
    assert names(made.above) == [
        "metadata", "log", "dnstap", "acl", "any", "dns64", "loadbalance", "minimal",
    ]  # fmt: skip
    assert names(made.below) == ["rewrite", "template", "hosts", "whoami"]


def test_the_stock_directives_need_no_chain():
    made = opened("errors\ncache 30\nreload\nloop\nforward . 192.0.2.1\nprometheus :9253")
    assert (made.above, made.below, made.forward_observer) == ([], [], None)


def test_a_traced_block_has_a_span_for_each_directive_that_a_query_comes_to():
    text = """
        cache
        whoami
        template IN A
        acl
        log
        errors
        prometheus
        metadata
        trace
        forward org 192.0.2.1
    """
    tracer, sink, _, _ = tracing()
    made = open_directives(block(text), DirectiveCounts(), Sink, lambda _: True, lambda _: tracer)
    assert names(made.above) == [
        "metadata", "trace", "prometheus", "errors", "log", "log", "acl", "acl", "cache",
    ]  # fmt: skip
    assert names(made.below) == ["template", "template", "forward", "whoami"]
    assert made.forward_observer is not None
    assert not made.is_client_independent
    made.close()
    assert sink.is_closed


def test_what_forward_has_no_part_in_ends_in_whoami():
    tracer, _, _, _ = tracing()
    made = open_directives(
        block("trace\nwhoami"), DirectiveCounts(), Sink, lambda _: False, lambda _: tracer
    )
    assert (names(made.above), names(made.below)) == (["trace"], ["whoami", "whoami"])


def test_trace_without_a_tracer_costs_nothing():
    made = opened("trace {\nevery 0\n}\ncache\nforward . 192.0.2.1")
    assert (made.above, made.below, made.forward_observer) == ([], [], None)


def test_notes_that_nobody_reads_are_not_taken():
    assert opened("metadata\nbufsize 1232\nforward . 192.0.2.1").above == []


def test_whoami_has_what_no_forward_covers():
    def is_forwarded(asked: Query) -> bool:
        return asked.qname.endswith(b"\3org\0")

    made = opened("whoami\nforward org 192.0.2.1", forwarded=is_forwarded)
    end = below(answer)
    results = []
    chain = Chain(made.below, end)
    chain.start(query("a.com."), client(), results.append)
    assert lines(told(results[0]).additional)[0] == "a.com. 0 IN A 10.244.1.7"
    chain.start(query("a.org."), client(), results.append)
    assert end.questions == ["a.org. IN A"]


def test_what_is_open_is_closed_where_the_rest_cannot_be_made():
    with pytest.raises(OSError, match="nope"):
        opened("dnstap /tap\nloadbalance weighted /nope {\n reload 0s\n}\nforward . 192.0.2.1")
    assert [sink.is_closed for sink in Sink.opened] == [True]


def test_closing_ends_the_taps():
    opened("dnstap /tap\ndnstap tcp://192.0.2.1:6000\nforward . 192.0.2.1").close()
    assert [sink.is_closed for sink in Sink.opened] == [True, True]


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ('answer "{{ .Name }} 60 IN A 10.0.0.1"', ""),
        ('answer "{{ nosuch }}"', "'nosuch' is not defined"),
        ('answer "{{ if }}"', "missing value for if"),
    ],
)
def test_templates_are_checked_with_the_corefile(template, fault):
    found = check(block(f"template IN A {{\n{template}\n}}\nforward . 192.0.2.1"))
    assert fault in found
    assert bool(fault) == bool(found)


# Weight files


def test_weights_are_read_again_when_they_change(tmp_path):
    path = tmp_path / "weights"
    path.write_text("a.\n192.0.2.1 3\n")
    weighted = Weighted(lambda size: 0)
    file = WeightFile(str(path), 30.0, weighted)
    file.begin()
    assert weighted.weights == {b"\1a\0": {bytes([192, 0, 2, 1]): 3}}
    path.write_text("a.\n192.0.2.1 7\n")
    file.refresh()
    assert weighted.weights == {b"\1a\0": {bytes([192, 0, 2, 1]): 7}}


def test_a_broken_weight_file_leaves_the_old_weights(tmp_path, caplog):
    path = tmp_path / "weights"
    path.write_text("a.\n192.0.2.1 3\n")
    weighted = Weighted(lambda size: 0)
    file = WeightFile(str(path), 30.0, weighted)
    file.begin()
    path.write_text("a.\n192.0.2.1 0\n")
    file.refresh()
    assert weighted.weights[b"\1a\0"]
    assert f"{path}:2: a weight is 1 to 255" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_weight_file_may_come_later_but_not_be_wrong(tmp_path, caplog):
    path = tmp_path / "weights"
    file = WeightFile(str(path), 30.0, Weighted(lambda size: 0))
    file.begin()
    assert "cannot read weight file" in caplog.text
    path.write_text("nonsense 1 2\n")
    with pytest.raises(ValueError, match=":1: a line is"):
        WeightFile(str(path), 30.0, Weighted(lambda size: 0)).begin()


@pytest.mark.parametrize(
    ("text", "is_alike"),
    [
        pytest.param("loadbalance", True, id="an order as good as any"),
        pytest.param("any\nminimal\nloadbalance round_robin", True, id="the same for everybody"),
        pytest.param("loadbalance {\nprefer 10.0.0.0/8\n}", False, id="an order that matters"),
        pytest.param("log", False, id="each query"),
        pytest.param("acl {\nallow\n}", False, id="each client"),
        pytest.param("dns64", False, id="made of other answers"),
    ],
)
def test_which_directives_leave_replies_to_the_table(text, is_alike):
    assert opened(text).is_client_independent == is_alike


def test_directives_that_the_corefile_does_not_name_are_not_imported():
    code = (
        "import sys, nodecache.command.starting\n"
        "from nodecache.config.rendering import check_templates\n"
        "from nodecache.corefile import parse\n"
        "from nodecache.server import DirectiveCounts, open_directives\n"
        "corefile = parse('. {\\n errors\\n cache 30\\n loop\\n forward . 192.0.2.1\\n}\\n', 'Corefile', env={})\n"
        "check_templates(corefile)\n"
        "open_directives(corefile.blocks[0], DirectiveCounts(), None, lambda _: True)\n"
        "print(*sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    room = "nodecache.server.directives."
    imported = {name.removeprefix(room) for name in told.stdout.split() if name.startswith(room)}
    assert "acl" in imported
    folders = ("dnstap.", "rewrite.", "template.", "trace.")
    assert not [name for name in imported if name.startswith(folders)]
