import dns.flags
import dns.rcode
import pytest

from nodecache.corefile.rewriting import (
    AnswerRule,
    ClassRule,
    CnameRule,
    EdnsLocalRule,
    NameRule,
    RcodeRule,
    RewriteOptions,
    TtlRule,
    TypeRule,
)
from nodecache.server.directive import refusal
from nodecache.server.directives.rewrite.rewrite import Rewriting
from nodecache.wire import Kind
from tests.server.chains import answer, below, client, lines, query, rcode_of, run, told


def rewriting(*rules, continues=False) -> Rewriting:
    return Rewriting([RewriteOptions(rule, continues) for rule in rules])


def asked_for(directive: Rewriting, qname: str, qtype: str = "A", rdclass: str = "IN") -> str:
    """What goes down the chain."""
    end = below(answer)
    run(directive, query(qname, qtype, rdclass), then=end)
    return end.questions[0]


def replied(directive: Rewriting, qname: str, *records: str, qtype="A", lookup=None, **more):
    """What comes up, where what is below answers with `records`."""
    end = below(lambda asked: answer(asked, *records, **more))
    extra = {} if lookup is None else {"lookup": lookup}
    return run(directive, query(qname, qtype), then=end, **extra)


def owners(section) -> list[str]:
    return [record.name.to_text() for record in section]


@pytest.mark.parametrize(
    ("match", "from_name", "to_name", "qname", "rewritten"),
    [
        ("exact", "from.nl.", "to.nl.", "from.nl.", "to.nl."),
        ("exact", "from.nl.", "to.nl.", "From.NL.", "to.nl."),
        ("exact", "from.nl.", "to.nl.", "a.from.nl.", "a.from.nl."),
        ("prefix", "prefix.", "to.", "prefix.example.org.", "to.example.org."),
        ("prefix", "prefix.", "to.", "a.prefix.", "a.prefix."),
        ("suffix", ".suffix.", ".nl.", "foo.suffix.", "foo.nl."),
        ("suffix", ".schmoogle.com.", ".google.com.", "a.b.schmoogle.com.", "a.b.google.com."),
        ("suffix", ".suffix.", ".nl.", "suffix.", "suffix."),
        ("substring", "from.substring.", "to.", "foo.from.substring.nl.", "foo.to.nl."),
        (
            "regex",
            r"(.*)-(us-west-1)\.example\.org",
            "{1}.service.{2}.consul.",
            "ftp-us-west-1.example.org.",
            "ftp.service.us-west-1.consul.",
        ),
        ("regex", r"(f.*m)\.(nl)", "to.{2}.", "from.nl.", "to.nl."),
        ("regex", r"x", "to.", "from.nl.", "from.nl."),
    ],
)
def test_names_are_rewritten(match, from_name, to_name, qname, rewritten):
    directive = rewriting(NameRule(match, from_name, to_name))
    assert asked_for(directive, qname).lower() == f"{rewritten} in a"


def test_class_and_type_are_rewritten():
    directive = rewriting(ClassRule(3, 1))
    assert asked_for(directive, "a.nl.", rdclass="CH") == "a.nl. IN A"
    directive = rewriting(TypeRule(255, 13))
    assert asked_for(directive, "a.nl.", "ANY") == "a.nl. IN HINFO"
    assert asked_for(directive, "a.nl.", "A") == "a.nl. IN A"


def test_the_answer_has_the_clients_question_again():
    directive = rewriting(NameRule("exact", "from.nl.", "to.nl."), ClassRule(3, 1))
    reply = told(replied(directive, "FROM.nl.", "to.nl. 5 IN A 192.0.2.1"))
    assert str(reply.question[0]) == "FROM.nl. IN A"


def test_the_first_rule_that_applies_is_the_last_unless_it_continues():
    first, second = NameRule("exact", "a.", "b."), NameRule("exact", "b.", "c.")
    assert asked_for(rewriting(first, second), "a.") == "b. IN A"
    assert asked_for(rewriting(first, second, continues=True), "a.") == "c. IN A"
    assert asked_for(rewriting(second, first), "a.") == "b. IN A"


def test_a_query_that_no_rule_is_for_passes_untouched():
    asked = query("other.nl.")
    upstream = answer(asked)
    directive = rewriting(NameRule("exact", "from.nl.", "to.nl."))
    assert run(directive, asked, then=below(upstream)) is upstream


@pytest.mark.parametrize("to_name", ["a..b.", f"{'x' * 64}.", f"{'x' * 60}." * 5])
def test_a_name_that_is_none_is_a_server_failure(to_name):
    result = run(rewriting(NameRule("exact", "a.", to_name)), query("a."))
    assert rcode_of(result) == "SERVFAIL"
    assert result.reason.startswith("invalid name after rewrite: ")


# Answers


def test_names_of_an_answer_are_turned_back_by_themselves():
    directive = rewriting(NameRule("exact", "red.nl.", "blue.nl.", is_auto=True))
    reply = told(
        replied(
            directive,
            "Red.nl.",
            "blue.nl. 5 IN CNAME www.blue.nl.",
            "www.blue.nl. 5 IN A 192.0.2.1",
            "other.nl. 5 IN A 192.0.2.2",
            authority=["blue.nl. 5 IN NS ns.blue.nl."],
            additional=["ns.blue.nl. 5 IN A 192.0.2.53", "xblue.nl. 5 IN A 192.0.2.54"],
        )
    )
    assert lines(reply.answer) == [
        "red.nl. 5 IN CNAME www.red.nl.",
        "www.red.nl. 5 IN A 192.0.2.1",
        "other.nl. 5 IN A 192.0.2.2",
    ]
    assert lines(reply.authority) == ["red.nl. 5 IN NS ns.red.nl."]
    assert owners(reply.additional) == ["ns.red.nl.", "xblue.nl."]


def test_without_auto_the_names_of_the_answer_stay():
    directive = rewriting(NameRule("suffix", ".nl.", ".org."))
    assert owners(told(replied(directive, "a.nl.", "a.org. 5 IN A 192.0.2.1")).answer) == ["a.org."]


def test_auto_of_a_suffix_exchanges_the_suffixes():
    directive = rewriting(NameRule("suffix", ".coredns.rocks.", ".consul.", is_auto=True))
    reply = told(
        replied(
            directive,
            "a.coredns.rocks.",
            "a.consul. 5 IN SRV 1 2 3 b.consul.",
            "c.consul. 5 IN A 192.0.2.1",
            qtype="SRV",
        )
    )
    assert lines(reply.answer) == [
        "a.coredns.rocks. 5 IN SRV 1 2 3 b.coredns.rocks.",
        "c.coredns.rocks. 5 IN A 192.0.2.1",
    ]


def test_names_of_an_answer_are_rewritten_by_a_pattern():
    directive = rewriting(
        NameRule(
            "regex",
            r"(.*)-(us-west-1)\.coredns\.rocks",
            "{1}.service.{2}.consul.",
            answers=(
                AnswerRule("name", r"(.*)\.service\.(us-west-1)\.consul", "{1}-{2}.coredns.rocks."),
            ),
        )
    )
    reply = told(
        replied(
            directive,
            "ftp-us-west-1.coredns.rocks.",
            "ftp.service.us-west-1.consul. 0 IN A 10.10.10.10",
        )
    )
    assert owners(reply.answer) == ["ftp-us-west-1.coredns.rocks."]


@pytest.mark.parametrize(
    ("record", "rewritten"),
    [
        ("x. 5 IN PTR a.service.consul.", "x. 5 IN PTR a.rocks."),
        ("x. 5 IN CNAME a.service.consul.", "x. 5 IN CNAME a.rocks."),
        ("x. 5 IN DNAME a.service.consul.", "x. 5 IN DNAME a.rocks."),
        ("x. 5 IN NS a.service.consul.", "x. 5 IN NS a.rocks."),
        ("x. 5 IN MX 10 a.service.consul.", "x. 5 IN MX 10 a.rocks."),
        ("x. 5 IN SRV 1 2 3 a.service.consul.", "x. 5 IN SRV 1 2 3 a.rocks."),
        (
            "x. 5 IN SOA a.service.consul. b.service.consul. 1 2 3 4 5",
            "x. 5 IN SOA a.rocks. b.service.consul. 1 2 3 4 5",
        ),
        (
            'x. 5 IN NAPTR 1 2 "s" "SIP+D2U" "" a.service.consul.',
            'x. 5 IN NAPTR 1 2 "s" "SIP+D2U" "" a.rocks.',
        ),
        ("x. 5 IN TXT a.service.consul.", 'x. 5 IN TXT "a.service.consul."'),
        ("x. 5 IN PTR other.test.", "x. 5 IN PTR other.test."),
    ],
)
def test_names_in_data_are_rewritten_by_a_pattern(record, rewritten):
    rule = AnswerRule("value", r"(.*)\.service\.consul\.", "{1}.rocks.")
    directive = rewriting(NameRule("exact", "q.", "x.", answers=(rule,)))
    assert lines(told(replied(directive, "q.", record)).answer) == [rewritten]


def test_answers_are_changed_in_the_opposite_order_of_the_rules():
    first = NameRule("exact", "a.", "b.", is_auto=True)
    second = NameRule("exact", "b.", "c.", is_auto=True)
    reply = told(replied(rewriting(first, second, continues=True), "a.", "c. 5 IN A 192.0.2.1"))
    assert owners(reply.answer) == ["a."]


@pytest.mark.parametrize(
    ("lowest", "highest", "ttl"),
    [(15, 15, 15), (30, 300, 30), (0, 3, 3), (10, 2**31 - 1, 10), (1, 9, 5)],
)
def test_ttls_are_brought_into_a_range(lowest, highest, ttl):
    directive = rewriting(TtlRule("suffix", "example.", lowest, highest))
    reply = told(
        replied(
            directive, "a.example.", "a.example. 5 IN A 192.0.2.1", additional=["b. 5 IN A 1.2.3.4"]
        )
    )
    assert [record.ttl for record in (*reply.answer, *reply.additional)] == [ttl, ttl]
    assert told(replied(directive, "a.test.", "a.test. 5 IN A 192.0.2.1")).answer[0].ttl == 5


def test_an_rcode_is_said_in_place_of_another():
    directive = rewriting(RcodeRule("regex", r"(.*)\.rocks", 3, 0))
    soa = "rocks. 5 IN SOA ns.rocks. hm.rocks. 1 2 3 4 5"
    result = replied(directive, "a.rocks.", rcode="NXDOMAIN", authority=[soa])
    assert (rcode_of(result), result.kind) == ("NOERROR", Kind.NODATA)
    assert rcode_of(replied(directive, "a.rocks.", rcode="REFUSED")) == "REFUSED"
    assert rcode_of(replied(directive, "a.test.", rcode="NXDOMAIN")) == "NXDOMAIN"


def test_an_rcode_without_any_record_is_rewritten_too():
    directive = rewriting(RcodeRule("exact", "a.", 2, 0))
    assert rcode_of(replied(directive, "a.", rcode="SERVFAIL")) == "NOERROR"
    result = run(directive, query("a."), then=below(refusal(2, "no", "i/o timeout")))
    assert dns.rcode.to_text(told(result).rcode()) == "NOERROR"
    assert told(result).flags & dns.flags.RA, "glibc would take it for a lame server's"


def test_a_failure_that_no_rule_is_for_stays_one():
    failure = refusal(2, "no", "i/o timeout")
    directive = rewriting(NameRule("exact", "a.", "b."))
    assert run(directive, query("a."), then=below(failure)) is failure


# Targets of aliases


def test_an_alias_is_pointed_elsewhere_and_resolved_again():
    directive = rewriting(CnameRule("regex", r"(.*)\.cdn\.example\.net\.", "{1}.other.cdn.com."))
    lookup = below(lambda asked: answer(asked, "my-app.com.other.cdn.com. 100 IN A 30.3.1.2"))
    reply = told(
        replied(
            directive,
            "my-app.com.",
            "my-app.com. 200 IN CNAME my-app.com.cdn.example.net.",
            "my-app.com.cdn.example.net. 300 IN A 20.2.0.1",
            lookup=lookup,
        )
    )
    assert lookup.questions == ["my-app.com.other.cdn.com. IN A"]
    assert lines(reply.answer) == [
        "my-app.com. 200 IN CNAME my-app.com.other.cdn.com.",
        "my-app.com.other.cdn.com. 100 IN A 30.3.1.2",
    ]


def test_aliases_before_the_rewritten_one_are_kept():
    directive = rewriting(CnameRule("exact", "c.", "z."))
    lookup = below(lambda asked: answer(asked, "z. 1 IN A 192.0.2.1"))
    reply = told(
        replied(
            directive,
            "a.",
            "a. 1 IN CNAME b.",
            "b. 1 IN CNAME c.",
            "c. 1 IN CNAME d.",
            "d. 1 IN A 192.0.2.9",
            lookup=lookup,
        )
    )
    assert lines(reply.answer) == ["a. 1 IN CNAME b.", "b. 1 IN CNAME z.", "z. 1 IN A 192.0.2.1"]


def test_other_aliases_are_left_alone():
    directive = rewriting(CnameRule("suffix", ".nope.", ".z."))
    reply = told(replied(directive, "a.", "a. 1 IN CNAME b.", "b. 1 IN A 192.0.2.9"))
    assert len(reply.answer) == 2


def test_a_new_target_that_did_not_fit_makes_the_answer_incomplete():
    directive = rewriting(CnameRule("exact", "b.", "z."))
    lookup = below(lambda asked: answer(asked, flags="QR TC"))
    result = replied(directive, "a.", "a. 1 IN CNAME b.", lookup=lookup)
    assert (result.is_truncated, result.kind) == (True, Kind.OTHER)


# EDNS


def test_an_option_goes_upstream_and_not_back_to_the_client():
    directive = rewriting(EdnsLocalRule("set", 0xFFEE, b"abcd"))
    end = below(answer)
    reply = told(run(directive, query("a."), then=end))
    assert end.asked[0].upstream_options == b"\xff\xee\0\4abcd"
    assert reply.options == ()


def test_rules_of_all_kinds_work_together():
    directive = rewriting(
        EdnsLocalRule("set", 0xFFEE, variable="{client_ip}"),
        TypeRule(255, 1),
        NameRule("exact", "a.", "b.", is_auto=True),
        TtlRule("exact", "b.", 60, 60),
        continues=True,
    )
    end = below(lambda asked: answer(asked, "b. 5 IN A 192.0.2.1"))
    reply = told(run(directive, query("a.", "ANY"), then=end, whom=client("10.0.0.1")))
    assert end.questions == ["b. IN A"]
    assert end.asked[0].upstream_options == b"\xff\xee\0\4\x0a\0\0\1"
    assert str(reply.question[0]) == "a. IN ANY"
    assert lines(reply.answer) == ["a. 60 IN A 192.0.2.1"]
    assert dns.flags.to_text(reply.flags) == "QR AA RD RA"
