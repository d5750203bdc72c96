import dns.flags
import dns.rcode
import pytest

from nodecache.corefile import TemplateOptions
from nodecache.corefile.answering import ExtendedErrorOptions
from nodecache.forward import Failure
from nodecache.server.directives.counts import DirectiveCounts
from nodecache.server.directives.template.template import Templates
from nodecache.wire import Kind
from tests.server.chains import answer, below, client, lines, query, rcode_of, run, told

IN, ANY = 1, 255
A, PTR, MX, TXT, AAAA = 1, 12, 15, 16, 28
PASSED = object()

IP = r"(^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$"
ADDRESS = "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"


def template(rdtype: int = A, rdclass: int = IN, **more) -> TemplateOptions:
    return TemplateOptions(rdclass=rdclass, rdtype=rdtype, **more)


def outcome(options, qname, qtype="A", rdclass="IN", *, lookup=None, counts=None, whom=None):
    chosen = options if isinstance(options, list) else [options]
    directive = Templates(chosen, ["."], counts or DirectiveCounts())
    asked = query(qname, qtype, rdclass)
    upstream = answer(asked)
    more = {} if lookup is None else {"lookup": lookup}
    result = run(directive, asked, then=below(upstream), whom=whom, **more)
    return PASSED if result is upstream else result


def test_groups_of_the_pattern_are_filled_in():
    options = template(zones=("example.",), patterns=(IP,), answers=(ADDRESS,))
    reply = told(outcome(options, "ip-10-95-12-8.EXAMPLE."))
    assert lines(reply.answer) == ["ip-10-95-12-8.example. 60 IN A 10.95.12.8"]
    assert dns.flags.to_text(reply.flags) == "QR AA RD"


def test_the_first_pattern_that_matches_counts():
    options = template(
        patterns=(r"^ip-(?P<a>10)-", r"^(?P<a>[0-9]*)[.]ext[.]"),
        answers=('{{ .Name }} 5 IN TXT {{ .Group.a }} "{{ .Regex }}"',),
        rdtype=ANY,
    )
    assert '"10" "^ip-(?P<a>10)-"' in lines(told(outcome(options, "ip-10-x.")).answer)[0]
    assert '"7"' in lines(told(outcome(options, "7.ext.")).answer)[0]


def test_hexadecimal_numbers_are_read_by_parse_int():
    options = template(
        patterns=("^ip(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})[.]example[.]$",),
        answers=(
            "{{ .Name }} 60 IN A {{ parseInt .Group.b 16 8 }}.{{ parseInt .Group.c 16 8 }}.0.1",
        ),
    )
    reply = told(outcome(options, "ip0a5f.example."))
    assert str(reply.answer[0][0]) == "10.95.0.1"


def test_all_sections_are_written():
    options = template(
        rdtype=MX,
        answers=("{{ .Name }} 60 IN MX 10 {{ .Name }}",),
        additionals=("{{ .Name }} 60 IN A 203.0.113.8",),
        authorities=("example. 60 IN NS ns0.example.", "example. 60 IN NS ns1.example."),
    )
    reply = told(outcome(options, "mail.example.", "MX"))
    assert [len(section) for section in (reply.answer, reply.authority, reply.additional)] == [
        1,
        2,
        1,
    ]


def test_a_denial_with_an_soa_may_be_kept():
    options = template(
        rdtype=ANY,
        rdclass=ANY,
        zones=("invalid.",),
        rcode=3,
        authorities=("invalid. 60 {{ .Class }} SOA ns.invalid. hm.invalid. (1 60 60 60 60)",),
        ede=ExtendedErrorOptions(21, "Blocked according to RFC2606"),
    )
    result = outcome(options, "test.invalid.", rdclass="CH")
    assert (result.kind, result.soa_ttl) == (Kind.NXDOMAIN, 60)
    assert result.ede == ((21, b"Blocked according to RFC2606"),)
    assert "60 CH SOA" in lines(told(result).authority)[0]
    assert outcome(options, "test.valid.") is PASSED


def test_aaaa_without_data_is_the_popular_use():
    result = outcome(template(AAAA), "a.example.", "AAAA")
    assert (rcode_of(result), told(result).answer) == ("NOERROR", [])
    assert outcome(template(AAAA), "a.example.", "A") is PASSED


@pytest.mark.parametrize(
    ("own", "asked", "passes"),
    [
        pytest.param((TXT, IN), ("TXT", "IN"), False, id="equal"),
        pytest.param((TXT, IN), ("A", "IN"), True, id="other type"),
        pytest.param((TXT, IN), ("TXT", "CH"), True, id="other class"),
        pytest.param((ANY, IN), ("A", "IN"), False, id="any type"),
        pytest.param((TXT, ANY), ("TXT", "CH"), False, id="any class"),
        pytest.param((TXT, IN), ("ANY", "ANY"), False, id="ANY is asked"),
    ],
)
def test_class_and_type_choose(own, asked, passes):
    options = template(own[0], own[1], answers=("{{ .Name }} 5 {{ .Class }} {{ .Type }} x",))
    if own[0] == ANY:
        options = template(ANY, answers=("{{ .Name }} 5 IN TXT {{ .Type }}",))
    assert (outcome(options, "a.example.", *asked) is PASSED) is passes


def test_what_matches_no_pattern_is_a_server_failure_unless_it_falls_through():
    options = {"zones": ("example.",), "patterns": ("^x",)}
    result = outcome(template(**options), "a.example.")
    assert isinstance(result, Failure)
    assert (rcode_of(result), result.reason) == ("SERVFAIL", "")
    assert outcome(template(fallthrough_zones=("example.",), **options), "a.example.") is PASSED
    assert (
        rcode_of(outcome(template(fallthrough_zones=("b.",), **options), "a.example."))
        == "SERVFAIL"
    )


def test_the_next_template_is_asked_where_one_falls_through():
    first = template(patterns=("^x",), fallthrough_zones=(".",))
    second = template(answers=("{{ .Name }} 5 IN A 10.0.0.2",))
    assert told(outcome([first, second], "a.")).answer
    assert outcome([first, first], "a.") is PASSED


def test_names_outside_all_zones_pass():
    assert outcome(template(zones=("example.",)), "example.org.") is PASSED


def test_servfail_can_be_said_on_purpose():
    result = outcome(template(rcode=2), "a.")
    assert isinstance(result, Failure)
    assert rcode_of(result) == "SERVFAIL"


@pytest.mark.parametrize("rcode", ["REFUSED", "NOTIMP", "NXDOMAIN"])
def test_other_rcodes_are_said_once(rcode):
    number = dns.rcode.from_text(rcode)
    assert dns.rcode.to_text(told(outcome(template(rcode=number), "a.")).rcode()) == rcode


def test_types_and_classes_without_a_name_are_counted_as_one():
    counts = DirectiveCounts()
    for number in range(260, 5000, 17):
        outcome(template(ANY, ANY, rcode=3), "a.", f"TYPE{number}", f"CLASS{number}", counts=counts)
    assert len(counts.template_matches) < 5


def test_a_template_that_cannot_be_filled_in_is_an_error():
    counts = DirectiveCounts()
    options = template(answers=("{{ index .Match 7 }} 5 IN A 10.0.0.1",))
    result = outcome(options, "a.", counts=counts)
    assert rcode_of(result) == "SERVFAIL"
    assert "index out of range" in result.reason
    labels = ("dns://169.254.20.10:53", ".", "", "IN", "A", "answer", options.answers[0])
    assert counts.template_failures == {labels: 1}
    assert counts.template_matches == {labels[:5]: 1}


def test_a_line_that_is_no_record_is_an_error():
    counts = DirectiveCounts()
    result = outcome(template(answers=("{{ .Name }} 5 IN A nonsense",)), "a.", counts=counts)
    assert "nonsense" in result.reason
    assert list(counts.template_rr_failures.values()) == [1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ .Remote }}", "10.244.1.7"),
        ("{{ .Zone }}", "example."),
        ("{{ index .Match 0 }}", "a.example."),
        ("{{ .Question.Name }}", "A.example."),
        ("{{ (index .Message.Question 0).Qtype }}", "16"),
        ("{{ .Message.RecursionDesired }}", "true"),
        ('{{ .Meta "forward/upstream" }}', "10.96.0.10:53"),
        ('{{ .Meta "nope" }}x', "x"),
    ],
)
def test_templates_see_the_query(text, shown):
    options = template(TXT, zones=("example.",), answers=(f'{{{{ .Name }}}} 5 IN TXT "{text}"',))
    whom = client(metadata={"forward/upstream": "10.96.0.10:53"})
    reply = told(outcome(options, "A.example.", "TXT", whom=whom))
    assert str(reply.answer[0][0]) == f'"{shown}"'


# Aliases


def test_an_alias_is_looked_up_by_the_server_itself():
    options = template(ANY, zones=("foogle.com.",), answers=("foogle.com 60 IN CNAME google.com",))
    lookup = below(lambda asked: answer(asked, "google.com. 30 IN A 192.0.2.1"))
    reply = told(outcome(options, "foogle.com.", "A", lookup=lookup))
    assert lines(reply.answer) == [
        "foogle.com. 60 IN CNAME google.com.",
        "google.com. 30 IN A 192.0.2.1",
    ]
    assert lookup.questions == ["google.com. IN A"]


def test_an_alias_stays_alone_where_its_target_has_nothing():
    options = template(ANY, answers=("foogle.com 60 IN CNAME google.com",))
    lookup = below(Failure(2, 0, b"", ""))
    assert len(told(outcome(options, "foogle.com.", "A", lookup=lookup)).answer) == 1


def test_an_alias_is_not_followed_for_other_types():
    options = template(ANY, answers=("foogle.com 60 IN CNAME google.com",))
    assert len(told(outcome(options, "foogle.com.", "MX", lookup=below())).answer) == 1


def test_a_target_that_did_not_fit_makes_the_answer_incomplete():
    options = template(ANY, answers=("foogle.com 60 IN CNAME google.com",))
    lookup = below(lambda asked: answer(asked, flags="QR TC"))
    result = outcome(options, "foogle.com.", "A", lookup=lookup)
    assert (result.is_truncated, result.kind) == (True, Kind.OTHER)
