import pytest

from nodecache.corefile import RewriteOptions
from nodecache.corefile.rewriting import (
    AnswerRule,
    ClassRule,
    CnameRule,
    EdnsLocalRule,
    EdnsNsidRule,
    EdnsSubnetRule,
    NameRule,
    RcodeRule,
    TtlRule,
    TypeRule,
)
from tests.helpers.corefiles import block, body_errors


def rule(words: str) -> object:
    (found,) = block(f"rewrite {words}").rewrites
    return found.rule


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("name A.com b.ORG", NameRule("exact", "a.com.", "b.org.", is_auto=True)),
        ("name exact a.com. b.org", NameRule("exact", "a.com.", "b.org.", is_auto=True)),
        ("name prefix foo bar", NameRule("prefix", "foo.", "bar.")),
        ("name suffix .a.com .b.org", NameRule("suffix", ".a.com.", ".b.org.")),
        (
            "name suffix a b answer auto",
            NameRule("suffix", "a.", "b.", is_auto=True),
        ),
        ("name substring mid MID", NameRule("substring", "mid.", "mid.")),
        (
            r"name regex (.*)-(us)\.a\.org {1}.b.{2}",
            NameRule("regex", r"(.*)-(us)\.a\.org", "{1}.b.{2}."),
        ),
        (
            "name regex (.*)a {1}b answer name (.*)b {1}a answer value (.*)c {1}d.",
            NameRule("regex", "(.*)a", "{1}b.", answers=(
                AnswerRule("name", "(.*)b", "{1}a."), AnswerRule("value", "(.*)c", "{1}d."))),
        ),
        (
            "name suffix a b answer name auto answer value x y",
            NameRule("suffix", "a.", "b.", is_auto=True, answers=(
                AnswerRule("value", "x", "y."),
            )),
        ),
        (
            "name suffix a b answer name auto answer value auto",
            NameRule("suffix", "a.", "b.", is_auto=True),
        ),
        (
            "name suffix a b answer name auto b",
            NameRule("suffix", "a.", "b.", answers=(AnswerRule("name", "auto", "b."),)),
        ),
        (
            "name exact a b answer value x y value z w",
            NameRule("exact", "a.", "b.", is_auto=True, answers=(
                AnswerRule("value", "x", "y."), AnswerRule("value", "z", "w."))),
        ),
        ("class CH IN", ClassRule(3, 1)),
        ("type ANY HINFO", TypeRule(255, 13)),
        ("ttl a 30", TtlRule("exact", "a.", 30, 30)),
        ("ttl suffix a 30-300", TtlRule("suffix", "a.", 30, 300)),
        ("ttl exact a 30-", TtlRule("exact", "a.", 30, 2**31 - 1)),
        ("ttl regex (a|b) -30", TtlRule("regex", "(a|b)", 0, 30)),
        ("rcode a SERVFAIL NXDOMAIN", RcodeRule("exact", "a.", 2, 3)),
        ("rcode substring a 2 noerror", RcodeRule("substring", "a.", 2, 0)),
        ("cname A b", CnameRule("exact", "a.", "b.")),
        ("cname suffix a.com. b.com.", CnameRule("suffix", "a.com.", "b.com.")),
        ("cname regex (.*)A {1}b", CnameRule("regex", "(.*)a", "{1}b")),
        ("edns0 local set 0xffee abc", EdnsLocalRule("set", 0xFFEE, b"abc")),
        ("edns0 local set 65518 0x0a0B", EdnsLocalRule("set", 0xFFEE, b"\x0a\x0b")),
        ("edns0 local append 10 {qname}", EdnsLocalRule("append", 10, variable="{qname}")),
        (
            "edns0 local set 10 {forward/upstream} revert",
            EdnsLocalRule("set", 10, variable="{forward/upstream}", reverts=True),
        ),
        ("edns0 local unset 0xffee", EdnsLocalRule("unset", 0xFFEE)),
        ("edns0 nsid replace", EdnsNsidRule("replace")),
        ("edns0 nsid set revert", EdnsNsidRule("set", reverts=True)),
        ("edns0 nsid unset", EdnsNsidRule("unset")),
        ("edns0 subnet set 24 56", EdnsSubnetRule("set", 24, 56)),
        ("edns0 subnet append 0x18 56 revert", EdnsSubnetRule("append", 24, 56, reverts=True)),
        ("edns0 subnet unset", EdnsSubnetRule("unset")),
    ],
)  # fmt: skip
def test_rules_are_read(words, expected):
    assert rule(words) == expected


def test_a_rule_stops_unless_it_continues():
    first, second, third = block(
        "rewrite name a b\nrewrite continue name a b\nrewrite STOP type A AAAA"
    ).rewrites
    assert (first.continues, second.continues, third.continues) == (False, True, False)


def test_a_rule_may_stand_in_a_block_a_word_or_a_line_each():
    found = block("rewrite {\nname regex (.*)a {1}b\nanswer name (.*)b {1}a\n}").rewrites
    expected = NameRule("regex", "(.*)a", "{1}b.", answers=(AnswerRule("name", "(.*)b", "{1}a."),))
    assert found == (RewriteOptions(expected),)
    assert block("rewrite stop {\nname a b\n}").rewrites[0].rule == rule("name a b")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "field is missing"),
        ("continue", "field is missing"),
        ("answer name a b", "field must be one of name, class, type, ttl, rcode, cname, edns0"),
        ("name", "FROM is missing"),
        ("name a", "TO is missing"),
        ("name fuzzy a b", "match must be one of exact, prefix, suffix, substring, regex, not"),
        ("name regex ( b", "FROM must be a regular expression (RE2), not '('"),
        ("name regex a {1}", "'{1}.' uses more groups than 'a' has"),
        ("name exact a b c", "word must be answer, not 'c'"),
        ("name suffix a b answer", "answer rule is missing"),
        ("name suffix a b answer both x y", "answer rule must be one of auto, name, value, not"),
        ("name suffix a b answer name x", "answer TO is missing"),
        (
            "name suffix a b answer name x answer value y z",
            "answer TO is missing before the next 'answer'",
        ),
        ("name suffix a b answer name ( y", "answer pattern must be a regular expression"),
        ("name suffix a b answer name x {1}", "'{1}.' uses more groups than 'x' has"),
        (
            "name suffix a b answer auto answer name x y",
            "answer auto cannot go with answer name",
        ),
        ("class XX IN", "FROM must be a class such as IN, not 'XX'"),
        ("class IN", "TO is missing"),
        ("class IN CH x", "it takes no more words, but there is 'x'"),
        ("type A XX", "TO must be a record type such as AAAA, not 'XX'"),
        ("ttl a", "TTL is missing"),
        ("ttl a -", "TTL must be SECONDS, LOWEST-, -HIGHEST or both, not '-'"),
        ("ttl a 30-20", "TTL must be SECONDS, LOWEST-, -HIGHEST or both, not '30-20'"),
        ("ttl a x", "TTL must be SECONDS"),
        ("ttl a 1-2-3", "TTL must be SECONDS"),
        ("rcode a SERVFAIL", "TO is missing"),
        ("rcode a 24 0", "FROM must be an rcode such as NXDOMAIN, not '24'"),
        ("cname a", "TO is missing"),
        ("cname fuzzy a b", "match must be one of"),
        ("edns0", "kind is missing"),
        ("edns0 cookie set", "kind must be one of local, nsid, subnet, not 'cookie'"),
        ("edns0 local put 1 x", "action must be one of set, replace, append, unset, not 'put'"),
        ("edns0 local set 70000 x", "code must be a whole number up to 65535, not '70000'"),
        ("edns0 local set 0xzz x", "code must be a whole number up to 65535, not '0xzz'"),
        ("edns0 local set 1", "data is missing"),
        ("edns0 local set 1 0xabc", "data must be pairs of hex digits after 0x, not '0xabc'"),
        ("edns0 local set 1 {nobody}", "no variable is named '{nobody}'"),
        ("edns0 nsid set x", "it takes no more words, but there is 'x'"),
        ("edns0 subnet set 33 56", "IPv4 bits must be a whole number up to 32, not '33'"),
        ("edns0 subnet set 24 129", "IPv6 bits must be a whole number up to 128, not '129'"),
        ("edns0 subnet set 24", "IPv6 bits is missing"),
    ],
)
def test_broken_rules_are_told(words, why):
    (only,) = body_errors(f"rewrite {words}")
    assert only.partition(": rewrite: ")[2].startswith(why)
