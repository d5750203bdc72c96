"""CoreDNS's own data cases for directives that change names: Corefile text in, names out."""

from collections.abc import Sequence

import pytest

from nodecache.corefile import parse
from nodecache.server.directive import Directive
from nodecache.server.directives.build import open_directives
from nodecache.server.directives.counts import DirectiveCounts
from tests.server.chains import answer, below, lines, query, run, told


def directives(*text: str) -> Sequence[Directive]:
    """What stands below the cache in a block with `text`."""
    body = "\n".join(text)
    (block,) = parse(f".:53 {{\n{body}\nforward . 192.0.2.1\n}}\n", "Corefile", env={}).blocks
    return open_directives(block, DirectiveCounts(), lambda _: None, lambda _: True).below


def went_down(chain: Sequence[Directive], qname: str, qtype: str = "A") -> str:
    end = below(answer)
    run(chain, query(qname, qtype), then=end)
    return end.questions[0].split()[0]


@pytest.mark.parametrize(
    ("rule", "qname", "rewritten"),
    [
        ("name prefix foo bar", "foo.example.com.", "bar.example.com."),
        ("name prefix foo. bar.", "foo.example.com.", "bar.example.com."),
        ("name suffix com org", "foo.example.com.", "foo.example.org."),
        ("name suffix .com .org", "foo.example.com.", "foo.example.org."),
        ("name prefix foo bar", "coredns.foo.", "coredns.foo."),
        ("name suffix com org.", "com.coredns.", "com.coredns."),
        ("name substring service svc", "com.coredns.", "com.coredns."),
        (
            "name suffix .ingress.coredns.rocks nginx.coredns.rocks",
            "coredns.ingress.coredns.rocks.",
            "corednsnginx.coredns.rocks.",
        ),
        (r"name regex (core)\.(dns)\.(rocks) {2}.{1}.{3}", "core.dns.rocks.", "dns.core.rocks."),
        ("name from.nl. to.nl.", "from.nl.", "to.nl."),
        ("name regex (f.*m)\\.(nl) to.{2}", "from.nl.", "to.nl."),
        ("stop name exact A.example.org b.example.org", "a.example.org.", "b.example.org."),
    ],
)
def test_names_asked_for(rule, qname, rewritten):
    assert went_down(directives(f"rewrite {rule}"), qname) == rewritten


@pytest.mark.parametrize(
    ("rule", "qname", "below_has", "owner"),
    [
        (
            "name prefix foo bar answer auto",
            "foo.example.com.",
            "bar.example.com.",
            "foo.example.com.",
        ),
        (
            "name suffix com org answer auto",
            "foo.example.com.",
            "foo.example.org.",
            "foo.example.com.",
        ),
        (
            "name suffix .ingress.coredns.rocks nginx.coredns.rocks answer auto",
            "coredns.ingress.coredns.rocks.",
            "corednsnginx.coredns.rocks.",
            "coredns.ingress.coredns.rocks.",
        ),
        (
            r"name regex (core)\.(dns)\.(rocks) {2}.{1}.{3} answer name (dns)\.(core)\.(rocks) {2}.{1}.{3}",
            "core.dns.rocks.",
            "dns.core.rocks.",
            "core.dns.rocks.",
        ),
    ],
)
def test_owners_of_answers(rule, qname, below_has, owner):
    end = below(lambda asked: answer(asked, f"{below_has} 5 IN A 10.0.0.1"))
    reply = told(run(directives(f"rewrite {rule}"), query(qname), then=end))
    assert lines(reply.answer) == [f"{owner} 5 IN A 10.0.0.1"]


_BACK = r"answer value (.*)\.cluster\.local {1}.domain.uk"
_BY_PATTERN = r"name regex (.*)\.domain\.uk {1}.cluster.local"
_OWNER_BACK = r"answer name (.*)\.cluster\.local {1}.domain.uk"

VALUE_RULES = [
    f"rewrite stop {_BY_PATTERN} {_OWNER_BACK} {_BACK}",
    f"rewrite stop name suffix .domain.uk .cluster.local answer auto {_BACK}",
    f"rewrite stop {{\n{_BY_PATTERN}\n{_OWNER_BACK}\n{_BACK}\n}}",
    """rewrite continue name suffix .domain.uk .domain.us answer auto
rewrite stop name suffix .domain.us .cluster.local answer auto""",
]


@pytest.mark.parametrize("rules", VALUE_RULES)
@pytest.mark.parametrize(
    ("qtype", "data", "turned"),
    [
        ("SRV", "0 100 100 srv1.my.cluster.local.", "0 100 100 srv1.my.domain.uk."),
        ("CNAME", "cname.cluster.local.", "cname.domain.uk."),
        ("DNAME", "dname.cluster.local.", "dname.domain.uk."),
        ("MX", "1 mx1.cluster.local.", "1 mx1.domain.uk."),
        ("NS", "ns1.cluster.local.", "ns1.domain.uk."),
        ("PTR", "ptr.cluster.local.", "ptr.domain.uk."),
        (
            "SOA",
            "ns1.cluster.local. admin.cluster.local. 1502165581 14400 3600 604800 14400",
            "ns1.domain.uk. admin.cluster.local. 1502165581 14400 3600 604800 14400",
        ),
        (
            "NAPTR",
            '100 10 "S" "SIP+D2U" "!^.*$!sip:c@example.com!" _sip._udp.cluster.local.',
            '100 10 "S" "SIP+D2U" "!^.*$!sip:c@example.com!" _sip._udp.domain.uk.',
        ),
    ],
)
def test_names_in_the_data_of_answers(rules, qtype, data, turned):
    record, extra = f"my.cluster.local. 5 IN {qtype} {data}", "x.cluster.local. 5 IN A 10.0.0.1"
    end = below(lambda asked: answer(asked, record, additional=[extra]))
    reply = told(run(directives(rules), query("my.domain.uk.", qtype), then=end))
    assert lines(reply.answer) == [f"my.domain.uk. 5 IN {qtype} {turned}"]
    assert lines(reply.additional) == ["x.domain.uk. 5 IN A 10.0.0.1"]


@pytest.mark.parametrize(
    ("rule", "qname", "upstream", "ttl"),
    [
        ("srv1.coredns.rocks 1", "srv1.coredns.rocks.", 5, 1),
        ("exact srv15.coredns.rocks 15", "srv15.coredns.rocks.", 5, 15),
        ("prefix srv30. 30", "srv30.coredns.rocks.", 5, 30),
        ("suffix 45.coredns.rocks 45", "srv45.coredns.rocks.", 5, 45),
        ("substring rv50.core. 50", "srv50.core.dns.rocks.", 5, 50),
        (r"regex (srv10)\.(coredns)\.(rocks) 10", "srv10.coredns.rocks.", 5, 10),
        ("range.example.com. 30-300", "range.example.com.", 5, 30),
        ("range.example.com. 30-300", "range.example.com.", 55, 55),
        ("range.example.com. 30-300", "range.example.com.", 500, 300),
        ("ceil.example.com. -11", "ceil.example.com.", 500, 11),
        ("floor.example.com. 5-", "floor.example.com.", 1, 5),
        ("floor.example.com. 5-", "floor.example.com.", 30000, 30000),
    ],
)
def test_ttls_of_answers(rule, qname, upstream, ttl):
    end = below(lambda asked: answer(asked, f"{qname} {upstream} IN A 10.0.0.1"))
    reply = told(run(directives(f"rewrite ttl {rule}"), query(qname), then=end))
    assert reply.answer[0].ttl == ttl


def test_the_templates_of_the_manual():
    chain = directives(
        "template IN A example {",
        "match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$",
        'answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"',
        "fallthrough",
        "}",
        "template IN PTR in-addr.arpa {",
        "match ^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$",
        'answer "{{ .Name }} 60 IN PTR ip-{{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}.example."',
        "}",
    )
    reply = told(run(chain, query("ip-10-95-12-8.example.")))
    assert lines(reply.answer) == ["ip-10-95-12-8.example. 60 IN A 10.95.12.8"]
    reply = told(run(chain, query("8.12.95.10.in-addr.arpa.", "PTR")))
    assert str(reply.answer[0][0]) == "ip-10-95-12-8.example."


def test_hosts_of_the_corefile():
    chain = directives(
        "hosts /nonexistent {",
        "10.0.0.1 example.org example.com # both",
        "::1 v6.example.org",
        "ttl 7",
        "fallthrough",
        "}",
    )
    assert lines(told(run(chain, query("example.com."))).answer) == ["example.com. 7 IN A 10.0.0.1"]
    assert went_down(chain, "other.org.") == "other.org."
