import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.corefile import (
    BindLine,
    Corefile,
    CorefileError,
    OwnOptions,
    ZoneKey,
    own_options,
    parse,
    parser,
)
from nodecache.corefile.directives import (
    DIRECTIVES,
    ELSEWHERE,
    answering,
    caching,
    forwarding,
    listening,
    observing,
    own,
    rewriting,
)
from nodecache.corefile.options import CHAIN
from tests.helpers.corefiles import block, body_errors, corefile, errors


def test_a_block_knows_its_zones_directives_and_place():
    found = corefile("# first\n\nA.example b.example:5300 {\n cache\n errors\n whoami\n}\n")
    only = found.blocks[0]
    assert only.zones == (ZoneKey("a.example.", 53), ZoneKey("b.example.", 5300))
    assert only.zone_names == ("a.example.", "b.example.")
    assert only.directives == ("errors", "cache", "whoami")
    assert (only.file, only.line) == ("Corefile", 3)


def test_the_default_port_is_the_caller_s():
    assert corefile(". {\nwhoami\n}", default_port=1053).blocks[0].zones[0].port == 1053


def test_every_directive_has_its_place_in_the_chain():
    modules = (answering, caching, forwarding, listening, observing, own, rewriting)
    rows = [name for module in modules for name in module.DIRECTIVES]
    assert sorted(rows) == sorted(CHAIN)
    assert tuple(DIRECTIVES) == CHAIN


def test_no_directive_is_told_as_one_that_there_is_not():
    assert DIRECTIVES.keys().isdisjoint(ELSEWHERE | parser._ELSEWHERE_SAID.keys())


def test_every_error_is_told_in_the_order_of_the_lines():
    text = """. {
    bogus
    cache {
        success many
        nonsense
    }
    forward . 10.0.0.1 {
        expire -1s
    }
    loop x
}
a..b {
    errors
}
"""
    assert errors(text) == [
        "Corefile:2: bogus: there is no such directive",
        "Corefile:4: cache: success: capacity must be a whole number, not 'many'",
        "Corefile:5: cache: unknown option 'nonsense'",
        "Corefile:8: forward: expire must be at least 0s, not '-1s'",
        "Corefile:10: loop: it takes no more words, but there is 'x'",
        "Corefile:12: the key of a server block must be a domain name, not 'a..b'",
    ]


def test_the_text_of_the_error_is_that_of_the_first():
    with pytest.raises(CorefileError, match=r"^Corefile:2: bogus: there is no such directive$"):
        corefile(". {\nbogus\nwrong\n}")


def test_an_error_can_be_pickled():
    with pytest.raises(CorefileError) as caught:
        corefile(". {\nbogus\nwrong\n}")
    again = pickle.loads(pickle.dumps(caught.value))
    assert [str(each) for each in again.all] == [str(each) for each in caught.value.all]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("forwrad . 10.0.0.1", "forwrad: there is no such directive; is 'forward' meant?"),
        ("kubernetes", "kubernetes: a directive of CoreDNS that node-cache does not have either"),
        (
            "proxy . 10.0.0.1",
            "proxy: there is no such directive; it is 'forward' since CoreDNS 1.5",
        ),
        (
            "alternate . SERVFAIL 10.0.0.1",
            "there is no such directive; 'next' or 'failover' in 'forward' does that",
        ),
        ("hosts f example.com{\nttl 5\n}", "a blank is missing before the '{' of 'example.com{'"),
        ("cache{\nsuccess 5\n}", "a blank is missing before the '{' of 'cache{'"),
        ("cache {\nsucess 5\n}", "cache: unknown option 'sucess'; is 'success' meant?"),
    ],
)
def test_a_slip_of_the_pen_gets_a_hint(body, expected):
    assert body_errors(body)[0].endswith(expected)


@pytest.mark.parametrize(
    "name", ["cache", "errors", "hosts", "loop", "prometheus", "pprof", "ready", "metadata"]
)
def test_some_directives_can_stand_only_once_in_a_block(name):
    assert body_errors(f"{name}\n{name}") == [
        f"Corefile:3: {name}: can be used only once in a server block"
    ]


def test_of_some_directives_the_first_stands_and_of_some_the_last():
    assert block("bufsize 512\nbufsize 600").bufsize == 512
    assert block("reload 10s\nreload 20s").reload.interval_seconds == 10
    assert block("health :1\nhealth :2").health.address == ":2"
    assert block("dns64\ndns64 64:1::/96").dns64.prefix.compressed == "64:1::/96"


def test_of_some_directives_all_stand():
    found = block("forward a 10.0.0.1\nforward b 10.0.0.2\nlog\nlog x\nbind 1.1.1.1\nbind 2.2.2.2")
    assert [forward.from_zone for forward in found.forwards] == ["a.", "b."]
    assert [log.names for log in found.logs] == [(".",), ("x.",)]
    assert found.bind.lines == (BindLine(("1.1.1.1",)), BindLine(("2.2.2.2",)))


@pytest.mark.parametrize("text", ["", "# nothing\n", "(snippet) {\nerrors\n}\n"])
def test_a_corefile_without_a_block_is_an_error(text):
    assert errors(text) == ["Corefile:1: there is no server block"]


def test_a_block_without_directives_is_a_warning():
    assert corefile(". {\n}").warnings == ("Corefile:1: has no directives: every query is refused",)


def test_a_key_outside_ascii_is_served_and_told():
    found = corefile("a {\nwhoami\n}\nbücher.example {\nwhoami\n}")
    assert found.blocks[1].zone_names == ("bücher.example.",)
    assert found.warnings == (
        (
            "Corefile:4: clients ask for names such as 'bücher.example' as xn--…: this is not what they"
            " ask for"
        ),
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("__PILLAR__DNS__DOMAIN__:53 {\nwhoami\n}", "__PILLAR__DNS__DOMAIN__:53"),
        ("${DOMAIN} {\nwhoami\n}", "${DOMAIN}"),
        ("$(DOMAIN):53 {\nwhoami\n}", "$(DOMAIN):53"),
        ("<domain> {\nwhoami\n}", "<domain>"),
        (". { \nforward . __CLUSTER_IP__\n}", "__CLUSTER_IP__"),
        (". { \nbind __LOCAL_DNS__\nwhoami\n}", "__LOCAL_DNS__"),
        (". { \ncache {\ndisable denial __DOMAIN__\n}\n}", "__DOMAIN__"),
    ],
)
def test_a_placeholder_that_nothing_filled_is_told(text, word):
    (told,) = corefile(text).unfilled
    assert told.endswith(f": nothing was put in the place of {word!r}")


@pytest.mark.parametrize("scheme", ["https", "grpc", "quic", "https3"])
def test_a_block_of_a_transport_that_is_not_served_is_left_out(scheme):
    found = corefile(f"{scheme}://x:4453 {{\ntls a b\n}}\n. {scheme}://a {{\nwhoami\n}}")
    assert [block.zone_names for block in found.blocks] == [(".",)]
    assert [told.partition(": left out: ")[0] for told in found.left_out] == [
        "Corefile:1", "Corefile:4",
    ]  # fmt: skip


def test_a_key_whose_port_is_none_is_left_out():
    """CoreDNS listens for `:0` at a port that nobody knows; it kept the whole agent from starting."""
    found = corefile(". org:0 {\nwhoami\n}\nnet:65536 {\nwhoami\n}")
    assert [block.zone_names for block in found.blocks] == [(".",)]
    assert found.left_out == tuple(
        f"Corefile:{line}: left out: the key of a server block must have a port from 1 to 65535, not {key!r}"
        for line, key in [(1, "org:0"), (4, "net:65536")]
    )


@pytest.mark.parametrize("key", ["10.0.0.0/33", "10.0.0.0/", "fd00::/129:53", '"a.\u200bb"'])
def test_a_key_that_is_a_name_for_coredns_alone_is_left_out(key):
    """CoreDNS serves the name `10.0.0.0/33`, which nobody asks for, and the other blocks."""
    found = corefile(f"{key} {{\nwhoami\n}}\n. {{\nwhoami\n}}")
    assert [block.zone_names for block in found.blocks] == [(".",)]
    assert found.left_out[0].startswith("Corefile:1: left out: the key of a server block must be")


@pytest.mark.parametrize(
    ("option", "surplus"),
    [
        ("cache {{\nsuccess 100 30 5 {}\n}}", "7"),
        ("cache {{\ndenial 100 30 5 {}\n}}", "7"),
        ("hosts {{\nttl 60 {}\n}}", "s"),
        ("hosts {{\nno_reverse {}\n}}", "yes"),
    ],
)
def test_a_word_too_many_that_coredns_passes_over_is_a_warning(option, surplus):
    found = corefile(f". {{\n{option.format(surplus)}\n}}")
    plain = corefile(f". {{\n{option.format('')}\n}}")
    (told,) = found.warnings
    assert told.endswith(f" takes no more words: {surplus!r} has no effect")
    assert (found.blocks, plain.warnings) == (plain.blocks, ())


@pytest.mark.parametrize("line", ["forward . {}", "hosts {}", "errors {{\nconsolidate 1m {}\n}}"])
def test_single_quotes_are_told_of(line):
    """They are a part of the word, as in CoreDNS, and no file has that name."""
    quoted, plain = (f". {{\n{line.format(word)}\n}}" for word in ("'/etc/x'", "/etc/x"))
    (told,) = corefile(quoted).warnings
    assert told.endswith(": single quotes are a part of the word, '/etc/x': double ones are not")
    assert not corefile(plain).warnings


def test_single_quotes_around_several_words_are_told_of():
    (told,) = corefile(". {\nlog . '{remote} {name}'\n}").warnings
    assert told.endswith("a part of the word, '{remote}: double ones are not")


def test_nothing_else_to_serve_is_an_error():
    assert errors("https://x {\nwhoami\n}") == [
        (
            "Corefile:1: left out: the key of a server block must be served over dns:// or tls://,"
            " not 'https://x'"
        )
    ]


# Blocks beside each other


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "a {\nwhoami\n}\na:53 {\nwhoami\n}",
            "4: cannot serve dns://a.:53: it is already served by Corefile:1",
            id="the same key",
        ),
        pytest.param(
            "a a. {\nwhoami\n}",
            "1: cannot serve dns://a.:53: it is already served by Corefile:1",
            id="twice in one block",
        ),
        pytest.param(
            "a {\nbind 1.1.1.1 2.2.2.2\n}\na {\nbind 2.2.2.2\n}",
            "4: cannot serve dns://a.:53 on 2.2.2.2: it is already served by Corefile:1",
            id="the same address",
        ),
        pytest.param(
            "a {\nwhoami\n}\na {\nbind 1.1.1.1\n}",
            "4: cannot serve dns://a.:53 on 1.1.1.1: it is served on overlapping addresses by",
            id="bound beside unbound",
        ),
        pytest.param(
            "a {\nbind 1.1.1.1\n}\na {\nwhoami\n}",
            "4: cannot serve dns://a.:53: it is served on overlapping addresses by Corefile:1",
            id="unbound beside bound",
        ),
        pytest.param(
            "10.0.0.0/24 {\nwhoami\n}\n0.0.10.in-addr.arpa {\nwhoami\n}",
            "4: cannot serve dns://0.0.10.in-addr.arpa.:53: it is already served",
            id="a network and its reverse zone",
        ),
    ],
)
def test_a_zone_is_served_once_at_an_address(text, expected):
    assert [error.startswith(f"Corefile:{expected}") for error in errors(text)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "a {\nwhoami\n}\nb.a {\nwhoami\n}",
        "a:53 {\nwhoami\n}\na:54 {\nwhoami\n}",
        "a {\nbind 1.1.1.1\n}\na {\nbind 2.2.2.2\n}",
        "a {\nbind 1.1.1.1 1.1.1.1\n}",
        "a {\nbind 1.1.1.1 2.2.2.2 {\nexcept 2.2.2.2\n}\n}\na {\nbind 2.2.2.2\n}",
        "a:853 {\nwhoami\n}\ntls://a {\nwhoami\n}",
    ],
)
def test_zones_that_do_not_meet_are_served(text):
    assert errors(text) == []


def test_what_is_of_the_whole_process_must_be_said_alike():
    text = "a {\nnodecache {\nbudget 1Gi\n}\n}\nb {\nnodecache {\nbudget 2Gi\nmax_waiting 5\n}\n}"
    assert errors(text) == [
        "Corefile:6: nodecache: budget is of the whole process, and Corefile:1 has another"
    ]
    alike = corefile(text.replace("2Gi", "1024Mi"))
    assert own_options(alike).budget_octets == 1 << 30


def test_options_of_the_process_hold_whichever_block_says_them():
    found = corefile(
        ". {\nnodecache {\nbudget 1Mi\n}\nwhoami\n}\n"
        "a {\nnodecache {\nmax_waiting 100 10\nhedge off\n}\nwhoami\n}\n"
        "b {\nnodecache {\nmax_waiting 100\n}\nwhoami\n}\n"
    )
    assert own_options(found) == OwnOptions(
        budget_octets=1 << 20, max_waiting=100, max_waiting_per_client=10
    )


def test_own_options_are_the_defaults_where_no_block_has_them():
    assert own_options(corefile(". {\nwhoami\n}")).budget_octets is None


# Laws


def test_a_corefile_survives_pickling_and_compares_by_value():
    text = """. {
    cache 30 {
        serve_stale 1h verify
        prefetch 3
    }
    forward . 10.0.0.1 {
        next NXDOMAIN
        failover SERVFAIL
    }
    acl {
        block type A net 10.0.0.0/8
    }
    rewrite name regex (.*)\\.a {1}.b
    template IN A {
        answer "{{ .Name }} 60 IN A 10.0.0.1"
    }
    dns64
    log
}"""
    first, second = corefile(text), corefile("\n" + text)
    assert first == second
    assert pickle.loads(pickle.dumps(first)) == first


_WORDS = st.one_of(
    st.sampled_from([*DIRECTIVES, "{", "}", "\n", "import", "(a)", "a", ".", "{$A}", "10.0.0.1"]),
    st.sampled_from(["success", "denial", "5", "1h", "name", "regex", "answer", "type", "IN", '"']),
    st.text(max_size=6),
)


@given(st.lists(_WORDS).map(" ".join))
def test_any_text_is_a_corefile_or_a_corefile_error(text):
    try:
        found = parse(text, "Corefile", env={"A": "b"})
    except CorefileError as error:
        found = error
    assert isinstance(found, Corefile | CorefileError)


@given(st.lists(_WORDS).map(" ".join))
def test_any_body_is_a_block_or_errors_within_its_lines(body):
    text = f". {{\n{body}\n}}"
    for error in errors(text):
        assert error.startswith("Corefile:")
        assert 1 <= int(error.split(":")[1]) <= text.count("\n") + 1
