import dns.edns
import pytest

from nodecache.corefile.rewriting import EdnsLocalRule, EdnsNsidRule, EdnsSubnetRule
from nodecache.server.directives.rewrite.edns import apply_edns, octets_of, options_of
from nodecache.wire import Query
from tests.server.chains import client, query

CODE = 0xFFEE
PLAIN = query("Example.org.", "AAAA")


def with_option(data: bytes, code: int = CODE) -> Query:
    return query("example.org.", use_edns=0, options=[dns.edns.GenericOption(code, data)])


def all_sent(rule, asked=PLAIN, whom=None) -> list[tuple[int, bytes]] | None:
    applied = apply_edns(rule, asked, whom or client())
    return None if applied is None else options_of(applied.upstream_options)


def sent(rule, asked=PLAIN, whom=None) -> dict[int, bytes] | None:
    options = all_sent(rule, asked, whom)
    return None if options is None else dict(options)


@pytest.mark.parametrize(
    ("action", "asked", "options"),
    [
        pytest.param("set", PLAIN, {CODE: b"new"}, id="set where there is none"),
        pytest.param("set", with_option(b"old"), {CODE: b"new"}, id="set over the client's"),
        pytest.param("replace", PLAIN, None, id="nothing to replace"),
        pytest.param("replace", with_option(b"old"), {CODE: b"new"}, id="replace the client's"),
        pytest.param("append", PLAIN, {CODE: b"new"}, id="append"),
        pytest.param("unset", with_option(b"old"), {}, id="unset"),
        pytest.param("unset", PLAIN, {}, id="unset nothing"),
    ],
)
def test_actions_on_local_options(action, asked, options):
    assert sent(EdnsLocalRule(action, CODE, b"new"), asked) == options


def test_what_is_appended_stands_beside_the_clients_own():
    options = all_sent(EdnsLocalRule("append", CODE, b"new"), with_option(b"old"))
    assert options == [(CODE, b"old"), (CODE, b"new")]


def test_a_later_rule_sees_what_an_earlier_one_set():
    first = apply_edns(EdnsLocalRule("set", CODE, b"a"), PLAIN, client())
    appended = all_sent(EdnsLocalRule("append", CODE, b"b"), first)
    assert appended == [(CODE, b"a"), (CODE, b"b")]
    assert sent(EdnsLocalRule("replace", CODE, b"b"), first) == {CODE: b"b"}
    assert sent(EdnsLocalRule("set", 0xFFEF, b"b"), first) == {CODE: b"a", 0xFFEF: b"b"}
    assert sent(EdnsLocalRule("unset", CODE), first) == {}


@pytest.mark.parametrize(
    ("variable", "data"),
    [
        ("{qname}", b"Example.org."),
        ("{qtype}", b"\0\x1c"),
        ("{client_ip}", b"\x0a\xf4\1\7"),
        ("{client_port}", (40212).to_bytes(2, "big")),
        ("{protocol}", b"udp"),
        ("{server_ip}", b"\xa9\xfe\x14\x0a"),
        ("{server_port}", b"\0\x35"),
        ("{forward/upstream}", b"10.96.0.10:53"),
    ],
)
def test_variables_stand_for_what_is_known_of_the_query(variable, data):
    whom = client(metadata={"forward/upstream": "10.96.0.10:53"})
    assert sent(EdnsLocalRule("set", CODE, variable=variable), whom=whom) == {CODE: data}


def test_a_note_that_nobody_took_changes_nothing():
    assert sent(EdnsLocalRule("set", CODE, variable="{some/label}")) is None


def test_an_ipv6_address_has_sixteen_octets():
    rule = EdnsLocalRule("set", CODE, variable="{client_ip}")
    assert sent(rule, whom=client("fe80::1%eth0")) == {CODE: b"\xfe\x80" + b"\0" * 13 + b"\1"}


def test_the_name_servers_identity_is_asked_for():
    assert sent(EdnsNsidRule("set")) == {3: b""}
    assert sent(EdnsNsidRule("replace")) is None
    assert sent(EdnsNsidRule("replace"), with_option(b"", 3)) == {3: b""}


@pytest.mark.parametrize(
    ("host", "bits", "address"),
    [
        ("10.244.1.7", (24, 56), "10.244.1.0"),
        ("10.244.129.7", (17, 56), "10.244.128.0"),
        ("10.244.1.7", (0, 0), "0.0.0.0"),
        ("10.244.1.7", (32, 128), "10.244.1.7"),
        ("2001:db8:1:2::3", (24, 56), "2001:db8:1::"),
    ],
)
def test_the_clients_network_is_told(host, bits, address):
    options = sent(EdnsSubnetRule("set", *bits), whom=client(host))
    expected = dns.edns.ECSOption(address, bits[":" in host])
    assert options == {8: expected.to_wire()}


def test_options_survive_the_way_to_octets_and_back():
    options = [(1, b"a"), (2, b""), (65001, b"xyz"), (1, b"c")]
    assert options_of(octets_of(options)) == options
