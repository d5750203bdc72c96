import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.corefile import KubeDns, read_kubedns


def read(**keys: object) -> KubeDns:
    return read_kubedns({key: json.dumps(value) for key, value in keys.items()})


def faults(files: dict[str, str]) -> list[tuple[str, str]]:
    return list(read_kubedns(files).faults)


@pytest.mark.parametrize("files", [{}, {"stubDomains": ""}, {"stubDomains": "null"}, {"x": "y"}])
def test_an_empty_configmap_says_nothing(files):
    assert read_kubedns(files) == KubeDns()


def test_stub_domains_are_sorted_and_their_servers_are_not():
    assert read(
        stubDomains={
            "widget.local": ["[2001:db8::2]:10053", "2001:db8::3", "2.2.2.2:10053"],
            "acme.local": ["1.1.1.1"],
            "google.local": ["dns.google.com", "ns.google.com:5300"],
        }
    ).stub_domains == (
        ("acme.local", ("1.1.1.1",)),
        ("google.local", ("dns.google.com", "ns.google.com:5300")),
        ("widget.local", ("[2001:db8::2]:10053", "2001:db8::3", "2.2.2.2:10053")),
    )


@pytest.mark.parametrize(
    "servers",
    [[], ["1.2.3.4"], ["1.2.3.4", "8.8.4.4", "8.8.8.8"], ["1.2.3.4:53"], ["[2001:db8::2]:53"]],
)
def test_upstream_name_servers_are_kept_in_order(servers):
    assert read(upstreamNameservers=servers).upstream_nameservers == tuple(servers)


def test_federations_are_checked_and_without_effect():
    assert read_kubedns({"federations": "a=d.e.f, b=example.com"}) == KubeDns()
    assert faults({"federations": "a.b=cdef"}) == [
        ("federations", "must be NAME=DOMAIN, …, not 'a.b=cdef'")
    ]


SERVER = "must be an IP address or a host name, with a port or without, not"
UPSTREAM = "must be an IP address, with a port or without, not"


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("stubDomains", '{"": ["1.2.3.4"]}', "must be a domain name, not ''"),
        ("stubDomains", '{"$$$$": ["1.2.3.4"]}', "must be a domain name, not '$$$$'"),
        ("stubDomains", '{"a.b": ["1.2.3.4"], "A.b.": ["1.2.3.4"]}', "A.b.: is there twice"),
        ("stubDomains", f'{{"a": {["1.2.3.4"] * 16}}}'.replace("'", '"'), "a: must be at most 15"),
        ("stubDomains", "[" * 100_000, "must be JSON, an object of domains and lists of servers"),
        ("stubDomains", '{"foo": ["$$$$"]}', f"foo: {SERVER} '$$$$'"),
        ("stubDomains", '{"foo": ["1.2.3.4:65564"]}', f"foo: {SERVER} '1.2.3.4:65564'"),
        ("stubDomains", '{"foo": ["1.2.3.4:0"]}', f"foo: {SERVER} '1.2.3.4:0'"),
        ("stubDomains", '{"foo": ["1.2.3.400"]}', f"foo: {SERVER} '1.2.3.400'"),
        ("stubDomains", '{"foo": [7]}', f"foo: {SERVER} 7"),
        ("stubDomains", '{"foo": []}', "foo: must have a list of servers, not []"),
        ("stubDomains", '{"foo": "1.2.3.4"}', "foo: must have a list of servers, not '1.2.3.4'"),
        ("stubDomains", "[]", "must be an object of domains and lists of servers, not '[]'"),
        ("stubDomains", "{", "must be JSON, an object of domains and lists of servers: Expecting"),
        ("upstreamNameservers", '["ns.example.org"]', f"{UPSTREAM} 'ns.example.org'"),
        ("upstreamNameservers", '["1.1.1.1:"]', f"{UPSTREAM} '1.1.1.1:'"),
        ("upstreamNameservers", '["1.1.1.1:abc"]', f"{UPSTREAM} '1.1.1.1:abc'"),
        ("upstreamNameservers", '["1.1.1.1:123456789"]', f"{UPSTREAM} '1.1.1.1:123456789'"),
        ("upstreamNameservers", "[null]", f"{UPSTREAM} None"),
        ("upstreamNameservers", "{}", "must be a list of addresses, not '{}'"),
        (
            "upstreamNameservers",
            '["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"]',
            "must be at most 3, not 4",
        ),
    ],
)
def test_a_broken_key_is_told(key, value, why):
    ((at, told),) = faults({key: value})
    assert at == key
    assert told.startswith(why)


def test_every_fault_is_told():
    files = {"stubDomains": '{"_": [], "b": ["_"]}', "upstreamNameservers": '["x", "y"]'}
    assert [key for key, _ in faults(files)] == ["stubDomains"] * 3 + ["upstreamNameservers"] * 2


def test_names_may_be_in_any_case_and_have_their_last_dot():
    found = read(stubDomains={"Acme.Local.": ["NS.Acme.Example."]})
    assert found.stub_domains == (("acme.local", ("NS.Acme.Example.",)),)
    assert not found.faults


def test_what_is_sound_beside_a_fault_is_taken():
    found = read(
        stubDomains={"a": "1.1.1.1", "b": ["1.1.1.1", "-"], "c": ["2.2.2.2"], "_": ["1.1.1.1"]},
        upstreamNameservers=["x", "9.9.9.9"],
        federations=3,
    )
    assert found.stub_domains == (("b", ("1.1.1.1",)), ("c", ("2.2.2.2",)))
    assert found.upstream_nameservers == ("9.9.9.9",)
    assert [key for key, _ in found.faults] == [
        *["stubDomains"] * 3, "upstreamNameservers", "federations",
    ]  # fmt: skip


def test_a_key_with_a_fault_says_what_it_said_before():
    before = read(stubDomains={"a": ["1.1.1.1"]}, upstreamNameservers=["9.9.9.9"])
    now = read(stubDomains={"a": "1.1.1.1", "b": ["2.2.2.2"]}, upstreamNameservers=[])
    kept = now.where_faulty(before)
    assert kept.stub_domains == before.stub_domains
    assert kept.upstream_nameservers == (), "this key was emptied on purpose"
    assert now.where_faulty(None) == now == now.where_faulty(KubeDns())


@given(st.dictionaries(st.sampled_from(["stubDomains", "upstreamNameservers"]), st.text()))
def test_any_text_is_a_configmap(files):
    assert isinstance(read_kubedns(files), KubeDns)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(_JSON)
def test_any_json_is_a_configmap(value):
    for key in ("stubDomains", "upstreamNameservers"):
        assert isinstance(read(**{key: value}), KubeDns)
