from ipaddress import ip_network

import pytest

from nodecache.corefile import (
    AclOptions,
    AclPolicy,
    Dns64Options,
    ExtendedErrorOptions,
    HostsOptions,
    LoadbalanceOptions,
    TemplateOptions,
)
from tests.helpers.corefiles import block, body_errors, corefile

A, AAAA, ANY = 1, 28, 255
IN = 1


def fault(body: str) -> str:
    (only,) = body_errors(body)
    return only.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("hosts", HostsOptions(file="/etc/hosts", ttl=3600, reload_seconds=5.0)),
        ("hosts /h a b", HostsOptions(file="/h", zones=("a.", "b."))),
        (
            "hosts {\n10.0.0.1 a.b  c\nttl 60\n::1 d\nno_reverse\nreload 0\nfallthrough\n}",
            HostsOptions(
                inline=("10.0.0.1 a.b c", "::1 d"), ttl=60, has_reverse=False,
                reload_seconds=0.0, fallthrough_zones=(".",),
            ),
        ),
        (
            "hosts {\nfallthrough a 10.0.0.0/8\nfallthrough_unsupported\n}",
            HostsOptions(
                fallthrough_zones=("a.", "10.in-addr.arpa."), fallthrough_unsupported=True
            ),
        ),
    ],
)  # fmt: skip
def test_hosts_is_read_its_other_lines_as_a_hosts_file_s(body, expected):
    assert block(body).hosts == expected


def test_a_line_of_hosts_without_an_address_is_a_warning():
    found = corefile(". {\nhosts {\nfalltrough\n}\n}")
    assert found.warnings == (
        (
            "Corefile:3: hosts: 'falltrough' is neither an option nor an address: no effect; "
            "is 'fallthrough' meant?"
        ),
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("template IN A", TemplateOptions(rdclass=IN, rdtype=A)),
        ("template ANY ANY a b", TemplateOptions(rdclass=255, rdtype=ANY, zones=("a.", "b."))),
        (
            "template IN AAAA {\nrcode NOERROR\n}",
            TemplateOptions(rdclass=IN, rdtype=AAAA, rcode=0),
        ),
        (
            ('template IN A {\nmatch ^a b\nmatch c\nanswer "{{ .Name }} 60 IN A 1.2.3.4"\n'
            "additional x\nauthority y\nauthority z\nrcode NXDOMAIN\nederror 21 blocked\n"
            "fallthrough a.b\nupstream whatever\n}"),
            TemplateOptions(
                rdclass=IN, rdtype=A, patterns=("^a", "b", "c"),
                answers=("{{ .Name }} 60 IN A 1.2.3.4",), additionals=("x",),
                authorities=("y", "z"), rcode=3, ede=ExtendedErrorOptions(21, "blocked"),
                fallthrough_zones=("a.b.",),
            ),
        ),
        (
            "template IN A {\nederror 0\nfallthrough\n}",
            TemplateOptions(
                rdclass=IN, rdtype=A, ede=ExtendedErrorOptions(0), fallthrough_zones=(".",),
            ),
        ),
    ],
)  # fmt: skip
def test_template_is_read(body, expected):
    assert block(body).templates == (expected,)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("dns64", Dns64Options()),
        ("dns64 64:1::/96", Dns64Options(prefix=ip_network("64:1::/96"))),
        (
            "dns64 64:1::/96 {\nallow_ipv4\n}",
            Dns64Options(prefix=ip_network("64:1::/96"), allow_ipv4=True),
        ),
        (
            "dns64 {\nprefix 64:2::/32\ntranslate_all\nallow_ipv4\n}",
            Dns64Options(prefix=ip_network("64:2::/32"), translate_all=True, allow_ipv4=True),
        ),
    ],
)
def test_dns64_is_read(body, expected):
    assert block(body).dns64 == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("loadbalance", LoadbalanceOptions()),
        ("loadbalance round_robin", LoadbalanceOptions()),
        (
            "loadbalance weighted /w {\nreload 10s\n}",
            LoadbalanceOptions(policy="weighted", weight_file="/w", reload_seconds=10.0),
        ),
        (
            "loadbalance {\nprefer 10.1.0.0/16 2001:db8::/32\n}",
            LoadbalanceOptions(prefer=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))),
        ),
    ],
)
def test_loadbalance_is_read(body, expected):
    assert block(body).loadbalance == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("acl", AclOptions()),
        ("acl {\nblock\n}", AclOptions(policies=(AclPolicy(action="block"),))),
        (
            ("acl a.org {\nallow net 10.0.0.0/8 10.1.1.1 ::1\nDROP type A AAAA net *\n"
            "filter type * net 192.168.0.0/16\n}"),
            AclOptions(
                zones=("a.org.",),
                policies=(
                    AclPolicy(
                        action="allow",
                        networks=(
                            ip_network("10.0.0.0/8"), ip_network("10.1.1.1/32"),
                            ip_network("::1/128"),
                        ),
                    ),
                    AclPolicy(action="drop", rdtypes=frozenset({A, AAAA})),
                    AclPolicy(action="filter", networks=(ip_network("192.168.0.0/16"),)),
                ),
            ),
        ),
    ],
)  # fmt: skip
def test_acl_is_read(body, expected):
    assert block(body).acls == (expected,)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("hosts /h a..b", "hosts: zone must be a domain name, not 'a..b'"),
        ("hosts {\nttl\n}", "hosts: ttl needs a value"),
        ("hosts {\nttl 0\n}", "hosts: ttl must be a whole number from 1 to 65535, not '0'"),
        ("hosts {\nttl 65536\n}", "hosts: ttl must be a whole number from 1 to 65535"),
        ("hosts {\nreload -1s\n}", "hosts: reload must be at least 0s, not '-1s'"),
        ("hosts {\nfallthrough\n1.1.1.1 a\n}", "hosts: unknown option '1.1.1.1'"),
        ("hosts {\nfallthrough_unsupported\n}", "hosts: fallthrough_unsupported needs fallthrough"),
        ("template", "template: class is missing"),
        ("template IN", "template: type is missing"),
        ("template XX A", "template: class must be a class such as IN, not 'XX'"),
        ("template IN XX", "template: type must be a record type such as AAAA, not 'XX'"),
        ("template IN A {\nmatch\n}", "template: match needs a value"),
        ("template IN A {\nmatch (\n}", "template: match must be a regular expression"),
        ("template IN A {\nanswer\n}", "template: answer needs a value"),
        ("template IN A {\nrcode FOO\n}", "template: rcode must be an rcode such as NXDOMAIN"),
        ("template IN A {\nederror 70000\n}", "template: ederror: code must be a whole number"),
        ("template IN A {\ninvalid\n}", "template: unknown option 'invalid'"),
        ("dns64 10.0.0.0/8", "dns64: prefix must be an IPv6 network of 32, 40, … or 96 bits"),
        ("dns64 64::/33", "dns64: prefix must be an IPv6 network of 32, 40, … or 96 bits"),
        ("dns64 64::/24", "dns64: prefix must be an IPv6 network of at least 32 bits"),
        ("dns64 a b", "dns64: prefix must be a network in CIDR notation"),
        ("dns64 {\nfoo\n}", "dns64: unknown option 'foo'"),
        ("loadbalance fair", "loadbalance: policy must be round_robin or weighted, not 'fair'"),
        ("loadbalance round_robin x", "loadbalance: it takes no more words, but there is 'x'"),
        ("loadbalance weighted", "loadbalance: weight file is missing"),
        (
            "loadbalance weighted /w {\nreload -5s\n}",
            "loadbalance: reload must be at least 0s, not '-5s'",
        ),
        ("loadbalance {\nreload 5s\n}", "loadbalance: unknown option 'reload'"),
        ("loadbalance {\nprefer 10.0.0.1\n}", "loadbalance: prefer must be a network in CIDR"),
        ("acl {\npermit\n}", "acl: must be allow, block, filter or drop, not 'permit'"),
        ("acl {\nblock 10.0.0.0/8\n}", "acl: section must be type or net, not '10.0.0.0/8'"),
        ("acl {\nblock type\n}", "acl: type is missing"),
        ("acl {\nblock type net *\n}", "acl: type must be a record type such as AAAA, not 'net'"),
        ("acl {\nblock net 10.0.0.0/33\n}", "acl: net must be a network in CIDR notation"),
        ("acl {\nblock type ABC\n}", "acl: type must be a record type such as AAAA, not 'ABC'"),
    ],
)
def test_broken_ones_are_told(body, why):
    assert fault(body).startswith(why)


@pytest.mark.parametrize("option", ["var n int(group('1'))", "expr n > 1"])
def test_a_template_that_needs_expressions_is_refused_and_not_served_without_them(option):
    (told,) = body_errors(f"template IN A {{\nanswer x\n{option}\n}}")
    name = option.split()[0]
    assert told.startswith(
        f"Corefile:4: template: {name} is not supported: nodecache does not have"
    )
