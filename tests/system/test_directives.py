"""The small directives in the real agent, one Corefile after another, asked as clients ask."""

import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.agent import Agent, free_port
from tests.helpers.taps import TapReader
from tests.helpers.upstream import FakeUpstream, obey, saying, silent
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

ZONE = """
www.example.org. 300 IN A 192.0.2.1
www.example.org. 300 IN A 192.0.2.2
www.example.org. 300 IN A 192.0.2.3
www.example.org. 300 IN TXT text
v4.example.org. 300 IN A 192.0.2.42
alias.example.org. 300 IN CNAME www.example.org.
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the worker can enter, who is nobody by then."""
    path = Path(tempfile.mkdtemp(prefix="nodecache-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def upstream():
    with FakeUpstream(ZONE) as upstream:
        yield upstream


def block(*lines: str, cache: str = "cache 30") -> str:
    """A server block with the upstream below and `lines` in it."""
    body = "\n    ".join(line.replace("\n", "\n    ") for line in (cache, *lines))
    return (
        f".:{{port}} {{\n    bind 127.0.0.1\n    errors\n    {body}\n    forward . UPSTREAM\n}}\n"
    )


def agent(folder: Path, upstream: FakeUpstream, text: str) -> Agent:
    return Agent(folder, text.replace("UPSTREAM", upstream.address))


def data(reply: dns.message.Message) -> list[str]:
    return [f"{rrset.name} {record}" for rrset in reply.answer for record in rrset]


def test_rewritten_names_are_asked_cached_and_turned_back(folder, upstream):
    rules = ("rewrite name suffix .short. .example.org. answer auto", "rewrite type ANY TXT")
    with agent(folder, upstream, block(*rules)) as nodecache:
        first = nodecache.ask("www.short.")
        assert min(data(first)) == "www.short. 192.0.2.1"
        upstream.behave = silent
        assert data(nodecache.ask("www.short.")) == data(first)
        upstream.behave = obey
        assert data(nodecache.ask("www.example.org.", "ANY")) == ['www.example.org. "text"']
        assert {asked.qname for asked in upstream.asked} == {"www.example.org."}


def test_an_option_set_by_rewrite_goes_upstream(folder, upstream):
    text = block("rewrite edns0 local set 0xffee {client_ip}")
    with agent(folder, upstream, text) as nodecache:
        assert nodecache.ask("www.example.org.").answer
    (option,) = upstream.asked[0].message.options
    assert (option.otype, option.to_wire()) == (0xFFEE, bytes([127, 0, 0, 1]))


def test_templates_answer_and_follow_aliases(folder, upstream):
    text = block(
        """template IN A tmpl {
    match ^(?P<a>[0-9]+)[.]
    answer "{{ .Name }} 60 IN A 10.0.0.{{ .Group.a }}"
    fallthrough
}""",
        'template IN ANY foogle.com {\n    answer "foogle.com 60 IN CNAME www.example.org"\n}',
        "template IN AAAA {\n    rcode NOERROR\n}",
    )
    with agent(folder, upstream, text) as nodecache:
        assert data(nodecache.ask("7.tmpl.")) == ["7.tmpl. 10.0.0.7"]
        assert nodecache.ask("7.tmpl.").answer[0].ttl <= 30
        assert nodecache.ask("x.tmpl.").rcode() == dns.rcode.NXDOMAIN
        assert "www.example.org. 192.0.2.1" in data(nodecache.ask("foogle.com."))
        assert nodecache.ask("www.example.org.", "AAAA").answer == []


def test_hosts_answer_and_follow_their_file(folder, upstream):
    file = folder / "hosts"
    file.write_text("10.0.0.1 a.hosts\n")
    text = block(
        f"hosts {file} {{\n    10.9.9.9 inline.hosts\n    reload 100ms\n    ttl 1\n    fallthrough\n}}",
        cache="",
    )
    with agent(folder, upstream, text) as nodecache:
        assert data(nodecache.ask("a.hosts.")) == ["a.hosts. 10.0.0.1"]
        assert data(nodecache.ask("inline.hosts.")) == ["inline.hosts. 10.9.9.9"]
        assert data(nodecache.ask("9.9.9.10.in-addr.arpa.", "PTR")) == [
            "9.9.9.10.in-addr.arpa. inline.hosts."
        ]
        assert len(data(nodecache.ask("www.example.org."))) == 3
        file.write_text("10.0.0.2 a.hosts\n10.0.0.3 b.hosts\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while data(nodecache.ask("a.hosts.")) != ["a.hosts. 10.0.0.2"]:
            assert time.monotonic() < deadline


def test_addresses_are_shuffled_on_hits(folder, upstream):
    with agent(folder, upstream, block("loadbalance")) as nodecache:
        nodecache.ask("www.example.org.")
        upstream.behave = silent
        orders = {tuple(data(nodecache.ask("www.example.org."))) for _ in range(60)}
    assert len(orders) == 6


def test_names_without_ipv6_get_it(folder, upstream):
    with agent(folder, upstream, block("dns64 {\n    allow_ipv4\n}")) as nodecache:
        assert data(nodecache.ask("v4.example.org.", "AAAA")) == [
            "v4.example.org. 64:ff9b::c000:22a"
        ]


def test_whoami_tells_the_client(folder):
    text = ".:{port} {\n    bind 127.0.0.1\n    whoami\n}\n"
    with Agent(folder, text) as nodecache:
        reply = nodecache.ask("example.org.")
        assert str(reply.additional[0][0]) == "127.0.0.1"


def test_acl_refuses_filters_and_drops(folder, upstream):
    text = block(
        "acl refused.test {\n    block type A net 127.0.0.0/8\n}",
        "acl filtered.test {\n    filter\n}",
        "acl dropped.test {\n    drop\n}",
    )
    with agent(folder, upstream, text) as nodecache:
        refused = nodecache.ask("refused.test.", use_edns=0)
        assert (refused.rcode(), refused.extended_errors()[0].code) == (dns.rcode.REFUSED, 15)
        assert nodecache.ask("refused.test.", "MX").rcode() == dns.rcode.NXDOMAIN
        assert nodecache.ask("filtered.test.").rcode() == dns.rcode.NOERROR
        with pytest.raises(dns.exception.Timeout):
            nodecache.udp(dns.message.make_query("dropped.test.", "A"), timeout=0.3)


def test_any_minimal_and_bufsize(folder, upstream):
    with agent(folder, upstream, block("any", "minimal", "bufsize 512")) as nodecache:
        assert "HINFO" in str(nodecache.ask("www.example.org.", "ANY").answer[0])
        upstream.learn("\n".join(f"big. 30 IN TXT {'x' * 100}{n}" for n in range(9)))
        reply = nodecache.ask("big.", "TXT", use_edns=0, payload=4096)
        assert reply.flags & dns.flags.TC


def test_queries_and_errors_are_logged(folder, upstream):
    text = block('log . "{name} {type} {rcode} {>rflags} {/log/class}"', "metadata")
    with agent(folder, upstream, text) as nodecache:
        nodecache.ask("www.example.org.")
        line = nodecache.wait_for_line("www.example.org.")
        assert line == "[INFO] www.example.org. A NOERROR qr,aa,rd,ra success"
        nodecache.ask("nope.example.org.")
        assert nodecache.wait_for_line("nope.example.org.").endswith("NXDOMAIN qr,aa,rd,ra denial")
        upstream.behave = saying("SERVFAIL")
        nodecache.ask("fails.example.org.")
        assert "SERVFAIL" in nodecache.wait_for_line("fails.example.org. A")


def test_dnstap_tells_queries_replies_and_upstreams(folder, upstream):
    path = str(folder / "tap.sock")
    text = block(
        f'metadata\ndnstap {path} full {{\n    identity node-1\n    extra "{{name}} {{/forward/upstream}}"\n}}'
    )
    with TapReader(path) as reader, agent(folder, upstream, text) as nodecache:
        reply = nodecache.ask("www.example.org.")
        tapped = reader.wait_for(4)
        assert [each.event for each in tapped] == [
            "CLIENT_QUERY",
            "FORWARDER_QUERY",
            "FORWARDER_RESPONSE",
            "CLIENT_RESPONSE",
        ]
        assert {each.identity for each in tapped} == {b"node-1"}
        assert tapped[3].extra == f"www.example.org. {upstream.address}".encode()
        told = dns.message.from_wire(tapped[3].message[14])
        assert told.answer == reply.answer
        assert tapped[1].message[7] == upstream.port
        nodecache.ask("www.example.org.")
        assert [each.event for each in reader.wait_for(6)][4:] == [
            "CLIENT_QUERY",
            "CLIENT_RESPONSE",
        ]


def test_a_reload_takes_new_directives_and_forgets_what_they_answered(folder, upstream):
    first = block('template IN A tmpl {\n    answer "{{ .Name }} 60 IN A 10.0.0.1"\n}')
    with agent(folder, upstream, first) as nodecache:
        assert data(nodecache.ask("x.tmpl.")) == ["x.tmpl. 10.0.0.1"]
        nodecache.write(first.replace("10.0.0.1", "10.0.0.2").replace("UPSTREAM", upstream.address))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while data(nodecache.ask("x.tmpl.")) != ["x.tmpl. 10.0.0.2"]:
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('template IN A {\n    answer "{{ .Name"\n}', "template"),
        ('template IN A {\n    expr "1 +"\n}', "expr is not supported"),
    ],
)
def test_a_template_that_is_none_is_an_error_at_start(folder, upstream, line, told):
    nodecache = agent(folder, upstream, block(line))
    with pytest.raises(AssertionError, match="no line"):
        nodecache.__enter__()
    assert "Corefile:" in nodecache.log
    assert told in nodecache.log
    assert nodecache.process.wait(PATIENCE_SECONDS) == 1
    nodecache.__exit__()


def test_metrics_tell_what_directives_did(folder, upstream):
    port = free_port()
    text = block(
        'template IN A tmpl {\n    answer "{{ .Name }} 60 IN A 10.0.0.1"\n}',
        "acl refused.test {\n    block\n}",
        f"prometheus 127.0.0.1:{port}",
    )

    with agent(folder, upstream, text) as nodecache:
        nodecache.ask("x.tmpl.")
        nodecache.ask("refused.test.")
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    server = f"dns://127.0.0.1:{nodecache.port}"
    own = {"server": server, "view": ""}
    found = {(name, frozenset(labels.items())): value for name, labels, value in samples(page)}
    matched = {**own, "zone": "tmpl.", "class": "IN", "type": "A"}
    assert found["coredns_template_matches_total", frozenset(matched.items())] == 1
    blocked = {**own, "zone": "refused.test."}
    assert found["coredns_acl_blocked_requests_total", frozenset(blocked.items())] == 1
    told = {**own, "zone": ".", "rcode": "NOERROR", "plugin": "template"}
    assert found["coredns_dns_responses_total", frozenset(told.items())] == 1


def samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_what_is_about_the_process_is_heeded(folder, upstream):
    port = free_port()
    text = block("debug", f"pprof 127.0.0.1:{port}")
    with agent(folder, upstream, text):
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/pprof/goroutine").read()
        assert b"thread MainThread" in page
