"""What is asked of the original and of nodecache, side by side: Corefiles and queries."""

from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.opcode

RCODES = (
    "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
)  # fmt: skip

ZONE = "\n".join(
    [
        "example.org. 3600 IN SOA ns.example.org. admin.example.org. 1 7200 3600 86400 60",
        "example.org. 3600 IN NS ns.example.org.",
        "example.org. 3600 IN MX 10 mail.example.org.",
        "ns.example.org. 3600 IN A 192.0.2.53",
        "mail.example.org. 300 IN A 192.0.2.25",
        "one.example.org. 300 IN A 192.0.2.1",
        "one.example.org. 300 IN AAAA 2001:db8::1",
        "short.example.org. 1 IN A 192.0.2.1",
        "zero.example.org. 0 IN A 192.0.2.1",
        "long.example.org. 900000 IN A 192.0.2.1",
        "three.example.org. 300 IN A 192.0.2.1",
        "three.example.org. 300 IN A 192.0.2.2",
        "three.example.org. 300 IN A 192.0.2.3",
        "v4.example.org. 300 IN A 192.0.2.42",
        "alias.example.org. 60 IN CNAME one.example.org.",
        "far.example.org. 60 IN CNAME a.elsewhere.test.",
        "dangling.example.org. 60 IN CNAME nope.example.org.",
        "text.example.org. 300 IN TXT hello",
        "web.example.org. 300 IN HTTPS 1 . alpn=h2",
        "unknown.example.org. 300 IN TYPE65280 \\# 2 abcd",
        "_sip._udp.example.org. 300 IN SRV 1 2 5060 one.example.org.",
        *(f"big.example.org. 300 IN TXT {'x' * 120}{number}" for number in range(20)),
        *(f"many.example.org. 300 IN A 192.0.2.{number}" for number in range(1, 60)),
    ]
)

Query = dns.message.Message


@dataclass(frozen=True)
class Case:
    """A Corefile's block (without bind and forward) and what is asked of it, twice."""

    name: str
    lines: tuple[str, ...]
    queries: tuple[Query, ...]
    forward: str = "forward . UPSTREAM"
    key: str = "."
    is_in_node_cache: bool = True
    """Whether node-cache has the directives; CoreDNS itself has them all."""


def ask(qname: str, qtype: str = "A", rdclass: str = "IN", **more: object) -> Query:
    """A query as dig sends it."""
    flags = more.pop("flags", dns.flags.RD)
    return dns.message.make_query(qname, qtype, rdclass, flags=flags, **more)


def with_edns(qname: str, qtype: str = "A", **more: object) -> Query:
    """A query with an OPT."""
    return ask(qname, qtype, use_edns=0, payload=more.pop("payload", 1232), **more)


def _everything() -> tuple[Query, ...]:
    """Names of every kind, with and without EDNS, flags of every kind."""
    names = [
        ("one.example.org.", "A"), ("one.example.org.", "AAAA"), ("oNe.eXample.org.", "A"),
        ("one.example.org.", "MX"), ("nope.example.org.", "A"), ("zero.example.org.", "A"),
        ("short.example.org.", "A"), ("long.example.org.", "A"), ("alias.example.org.", "A"),
        ("alias.example.org.", "MX"), ("far.example.org.", "A"), ("dangling.example.org.", "A"),
        ("text.example.org.", "TXT"), ("web.example.org.", "HTTPS"), ("example.org.", "MX"),
        ("unknown.example.org.", "TYPE65280"), ("_sip._udp.example.org.", "SRV"),
        ("example.org.", "SOA"), ("example.org.", "DS"), ("one.example.org.", "ANY"),
        ("big.example.org.", "TXT"), ("many.example.org.", "A"),
    ]  # fmt: skip
    queries = [make(*name) for name in names for make in (ask, with_edns)]
    queries += [
        with_edns("one.example.org.", want_dnssec=True),
        with_edns("big.example.org.", "TXT", payload=4096),
        with_edns("big.example.org.", "TXT", payload=100),
        ask("one.example.org.", flags=0),
        ask("one.example.org.", flags=dns.flags.RD | dns.flags.AD),
        ask("one.example.org.", flags=dns.flags.RD | dns.flags.CD),
        ask("one.example.org.", rdclass="CH"),
        ask("example.org.", "AXFR"),
    ]
    return tuple(queries)


def _rcodes() -> tuple[Query, ...]:
    names = [f"rcode-{rcode.lower()}.example.org." for rcode in RCODES]
    names += ["badvers.example.org.", "nosoa.example.org.", "referral.example.org."]
    return tuple(make(name) for name in names for make in (ask, with_edns))


def _odd() -> tuple[Query, ...]:
    notify = ask("example.org.", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    update = ask("example.org.", "SOA")
    update.set_opcode(dns.opcode.UPDATE)
    status = ask("example.org.")
    status.set_opcode(dns.opcode.STATUS)
    later = with_edns("one.example.org.")
    later.use_edns(1)
    cookie = with_edns("one.example.org.", options=[dns.edns.GenericOption(10, b"12345678")])
    subnet = with_edns("one.example.org.", options=[dns.edns.ECSOption("10.0.0.0", 8)])
    return (notify, update, status, later, cookie, subnet)


_IPV6 = "dns64 {\n    allow_ipv4\n}"
_TEMPLATE = """template IN A tmpl.example.org {
    match ^(?P<a>[0-9]+)[.]
    answer "{{ .Name }} 60 IN A 10.0.0.{{ .Group.a }}"
    additional "ns.tmpl.example.org. 60 IN A 203.0.113.8"
    authority "tmpl.example.org. 60 IN NS ns.tmpl.example.org."
    fallthrough deep.tmpl.example.org
}
template ANY ANY invalid {
    rcode NXDOMAIN
    authority "invalid. 60 {{ .Class }} SOA ns.invalid. hm.invalid. (1 60 60 60 60)"
    ederror 21 "blocked"
}
template IN ANY foogle.test {
    answer "foogle.test 60 IN CNAME one.example.org"
}
template IN TXT who.test {
    answer "{{ .Name }} 60 IN TXT \\"{{ .Type }} {{ .Zone }} {{ index .Match 0 }}\\""
}
template IN A broken.test {
    answer "{{ .Name }} 60 IN A nonsense"
}
template IN AAAA {
    rcode NOERROR
}"""
_HOSTS = """hosts /nonexistent {
    10.0.0.1 a.hosts.test b.hosts.test
    fd00::1 a.hosts.test
    ttl 77
    fallthrough example.org
}"""

CASES = (
    Case("cache", ("cache 30",), _everything()),
    Case("no cache", (), _everything()),
    Case(
        "cache with bounds",
        ("cache {\n    success 9984 30 0\n    denial 9984 5 0\n}",),
        _everything(),
    ),
    Case("cache keepttl", ("cache 30 {\n    keepttl\n}",), _everything()),
    Case("rcodes", ("cache 30",), _rcodes()),
    Case("rcodes without cache", (), _rcodes()),
    Case("odd queries", ("cache 30",), _odd()),
    Case(
        "names outside",
        ("cache 30",),
        (ask("other.test."), with_edns("other.test."), ask("example.org.", "NS")),
        key="example.org",
    ),
    Case("bufsize", ("bufsize 512", "cache 30"), _everything()),
    Case(
        "loadbalance",
        ("loadbalance", "cache 30"),
        (*_everything(), ask("three.example.org.")),
    ),
    Case(
        "loadbalance prefer",
        ("loadbalance round_robin {\n    prefer 192.0.2.2/31\n}", "cache 30"),
        (ask("three.example.org."), ask("mail.example.org.")),
    ),
    Case(
        "dns64",
        (_IPV6, "cache 30"),
        (
            ask("v4.example.org.", "AAAA"),
            with_edns("v4.example.org.", "AAAA"),
            ask("one.example.org.", "AAAA"),
            ask("nope.example.org.", "AAAA"),
            ask("text.example.org.", "AAAA"),
            ask("alias.example.org.", "AAAA"),
        ),
    ),
    Case(
        "template",
        (_TEMPLATE, "cache 30"),
        (
            ask("7.tmpl.example.org."),
            with_edns("7.TMPL.example.org."),
            ask("x.tmpl.example.org."),
            ask("x.deep.tmpl.example.org."),
            ask("7.tmpl.example.org.", "MX"),
            ask("a.invalid."),
            with_edns("a.invalid."),
            ask("a.invalid.", rdclass="CH"),
            ask("foogle.test."),
            ask("foogle.test.", "MX"),
            ask("who.test.", "TXT"),
            ask("broken.test."),
            ask("one.example.org.", "AAAA"),
        ),
    ),
    Case(
        "template without cache",
        (_TEMPLATE,),
        (ask("7.tmpl.example.org."), with_edns("a.invalid."), ask("x.tmpl.example.org.")),
    ),
    Case(
        "hosts",
        (_HOSTS, "cache 30"),
        (
            ask("a.hosts.test."),
            ask("a.hosts.test.", "AAAA"),
            ask("B.hosts.test."),
            ask("b.hosts.test.", "AAAA"),
            ask("a.hosts.test.", "MX"),
            ask("nope.test."),
            with_edns("nope.test."),
            ask("one.example.org."),
            ask("1.0.0.10.in-addr.arpa.", "PTR"),
            ask("9.0.0.10.in-addr.arpa.", "PTR"),
        ),
    ),
    Case(
        "rewrite names",
        (
            "rewrite name exact exact.test one.example.org",
            "rewrite name prefix pre. one.",
            "rewrite name suffix .short.test. .example.org. answer auto",
            "rewrite name substring middle one",
            "rewrite name regex (.*)[.]re[.]test {1}.example.org answer name (.*)[.]example[.]org {1}.re.test",
            "rewrite name exact none.test a..b",
            "cache 30",
        ),
        (
            ask("exact.test."),
            ask("EXACT.test.", "MX"),
            ask("pre.example.org."),
            ask("alias.short.test."),
            ask("example.short.test.", "MX"),
            ask("middle.example.org."),
            ask("one.re.test."),
            ask("alias.re.test."),
            ask("nope.re.test."),
            ask("none.test."),
        ),
    ),
    Case(
        "rewrite kinds",
        (
            "rewrite continue ttl exact text.example.org 7",
            "rewrite continue ttl suffix mail.example.org 600-900",
            "rewrite continue rcode exact nope.example.org NXDOMAIN NOERROR",
            "rewrite continue rcode exact rcode-servfail.example.org 2 3",
            "rewrite continue cname exact one.example.org three.example.org",
            "rewrite class CH IN",
            "rewrite type ANY TXT",
            "cache {\n    success 9984 3600 0\n}",
        ),
        (
            ask("text.example.org.", "TXT"),
            ask("mail.example.org."),
            ask("nope.example.org."),
            ask("rcode-servfail.example.org."),
            ask("alias.example.org."),
            ask("one.example.org.", rdclass="CH"),
            ask("text.example.org.", "ANY"),
        ),
    ),
    Case(
        "rewrite edns0",
        ("rewrite edns0 local set 0xffee {client_ip} revert", "cache 30"),
        (ask("one.example.org."), with_edns("one.example.org.")),
    ),
    Case(
        "whoami",
        ("whoami",),
        (ask("example.org."), with_edns("example.org.", "AAAA"), ask(".", "NS")),
        forward="",
    ),
    Case("errors and log", ("errors", "log", "cache 30"), (ask("one.example.org."), *_rcodes())),
    Case(
        "acl",
        (
            "acl blocked.example.org {\n    block net 127.0.0.0/8\n}",
            "acl filtered.example.org {\n    filter type A net *\n}",
            "acl allowed.example.org {\n    allow net 127.0.0.1\n    block\n}",
            "cache 30",
        ),
        (
            ask("a.blocked.example.org."),
            with_edns("a.blocked.example.org."),
            ask("a.filtered.example.org."),
            with_edns("a.filtered.example.org."),
            ask("a.filtered.example.org.", "MX"),
            ask("allowed.example.org."),
            ask("one.example.org."),
        ),
        is_in_node_cache=False,
    ),
    Case(
        "any",
        ("any", "cache 30"),
        (ask("a.test.", "ANY"), ask("one.example.org.")),
        is_in_node_cache=False,
    ),
    Case("minimal", ("minimal", "cache 30"), _everything(), is_in_node_cache=False),
)
