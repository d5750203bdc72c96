import logging

import pytest

from nodecache.corefile import LogOptions
from nodecache.server.directive import NoReply, refusal
from nodecache.server.directives.metadata import Metadata
from nodecache.server.directives.query_log import QueryLog
from tests.server.chains import answer, below, client, query, run

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
ASKED = query("Example.org.", id=0x1234)
SOA = "example.org. 30 IN SOA ns.example. admin.example. 1 2 3 4 5"
FAILED = refusal(2, "no", "read udp 10.0.0.1:1->8.8.8.8:53: i/o timeout")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        self.now += 0.037990251
        return self.now


class Lines:
    """A logger that keeps its lines."""

    name = "queries"

    def __init__(self) -> None:
        self.lines = []

    def isEnabledFor(self, level) -> bool:  # noqa: N802 (logging's name)
        return level == logging.INFO

    def handle(self, record) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(autouse=True)
def shown(caplog):
    caplog.set_level(logging.INFO)


def rules(*options: LogOptions) -> QueryLog:
    return QueryLog(options, logging.getLogger("queries"), Clock())


def logged(form: str, result, asked=ASKED, **more) -> str:
    """The one line for `asked`, in the format `form`."""
    logger = Lines()
    log = QueryLog([LogOptions(format=form)], logger, Clock())
    run(log, asked, then=below(result), **more)
    (line,) = logger.lines
    return line


def test_common_format_of_an_answer():
    upstream = answer(ASKED, "example.org. 30 IN A 192.0.2.1")
    line = logged(COMMON, upstream)
    assert line == (
        '10.244.1.7:40212 - 4660 "A IN example.org. udp 29 false 512" '
        "NOERROR qr,aa,rd,ra 45 0.037990251s"
    )


def test_common_format_of_a_failure():
    line = logged(COMMON, FAILED)
    assert line.endswith('"A IN example.org. udp 29 false 512" SERVFAIL qr,rd 29 0.037990251s')


def test_a_query_that_is_dropped_has_nothing_to_tell():
    class Dropping:
        name = "acl"

        def serve(self, query, client):
            return NoReply.DROPPED

    logger = Lines()
    log = QueryLog([LogOptions(format="{rcode} {>rflags} {rsize}")], logger, Clock())
    run([log, Dropping()], ASKED)
    assert logger.lines == ["- - 0"]


@pytest.mark.parametrize(
    ("form", "asked", "whom", "line"),
    [
        pytest.param("{remote}", ASKED, client("fd00::1"), "[fd00::1]", id="IPv6"),
        pytest.param("{local}", ASKED, client(), "169.254.20.10", id="local"),
        pytest.param("{>opcode}", ASKED, client(), "0", id="opcode"),
        pytest.param("{>bufsize}", ASKED, client(transport="tcp"), "65535", id="tcp"),
        pytest.param(
            "{>bufsize} {>do}",
            query("a.", use_edns=0, payload=1400, want_dnssec=True),
            client(),
            "1400 true",
            id="edns",
        ),
        pytest.param("{/forward/upstream}", ASKED, client(), "-", id="no note"),
        pytest.param(
            "{/forward/upstream}",
            ASKED,
            client(metadata={"forward/upstream": "10.96.0.10:53"}),
            "10.96.0.10:53",
            id="note",
        ),
        pytest.param("a } { {name} }", ASKED, client(), "a } { example.org. }", id="braces"),
        pytest.param("{nosuch}", ASKED, client(), "{nosuch}", id="unknown"),
        pytest.param(
            "{type} {class}", query("a.", "TYPE65280", "CH"), client(), "TYPE65280 CH", id="types"
        ),
    ],
)
def test_placeholders(form, asked, whom, line):
    assert logged(form, answer(asked), asked, whom=whom) == line


def test_ad_is_shown_only_to_who_asked_for_it():
    asked = query("a.example.")
    assert logged("{>rflags}", answer(asked, flags="QR RA AD"), asked) == "qr,rd,ra"
    asked = query("a.example.", flags=0x0120)
    assert logged("{>rflags}", answer(asked, flags="QR RA AD"), asked) == "qr,rd,ra,ad"


OUTCOMES = {
    "success": answer(ASKED, "example.org. 30 IN A 192.0.2.1"),
    "nodata": answer(ASKED, authority=[SOA]),
    "nxdomain": answer(ASKED, authority=[SOA], rcode="NXDOMAIN"),
    "nxdomain without SOA": answer(ASKED, rcode="NXDOMAIN"),
    "nxdomain with answer": answer(ASKED, "example.org. 30 IN CNAME b.", rcode="NXDOMAIN"),
    "delegation": answer(ASKED, authority=["org. 3 IN NS ns.org."]),
    "empty": answer(ASKED),
    "refused": answer(ASKED, rcode="REFUSED"),
    "servfail": FAILED,
    "max_concurrent": refusal(5, "busy", "concurrent queries exceeded maximum 1"),
}


@pytest.mark.parametrize(
    ("classes", "outcomes"),
    [
        pytest.param({"all"}, set(OUTCOMES), id="all"),
        pytest.param({"success"}, {"success", "delegation", "empty"}, id="success"),
        pytest.param({"denial"}, {"nodata", "nxdomain", "nxdomain without SOA"}, id="denial"),
        pytest.param(
            {"error"},
            {"refused", "servfail", "max_concurrent", "nxdomain with answer"},
            id="error",
        ),
        pytest.param(
            {"denial", "error"},
            set(OUTCOMES) - {"success", "delegation", "empty"},
            id="two classes",
        ),
    ],
)
def test_classes_choose_what_is_logged(classes, outcomes, caplog):
    log = rules(LogOptions(format="line", classes=frozenset(classes)))
    seen = set()
    for name, outcome in OUTCOMES.items():
        caplog.clear()
        run(log, ASKED, then=below(outcome))
        if caplog.records:
            seen.add(name)
    assert seen == outcomes


def test_the_first_rule_that_holds_the_name_decides(caplog):
    log = rules(
        LogOptions(names=("example.org.",), format="first", classes=frozenset({"denial"})),
        LogOptions(format="second"),
    )
    run(log, ASKED, then=below(OUTCOMES["success"]))
    assert caplog.messages == []
    other = query("example.net.")
    run(log, other, then=below(answer(other)))
    assert caplog.messages == ["second"]


def test_names_outside_all_rules_are_not_logged(caplog):
    run(rules(LogOptions(names=("other.",), format="x")), ASKED, then=below(OUTCOMES["success"]))
    assert caplog.messages == []


def test_class_and_type_are_noted_for_others():
    whom = client()
    log = rules(LogOptions(format="{/log/class} {/log/type}"))
    run([Metadata(["."]), log], ASKED, then=below(OUTCOMES["nodata"]), whom=whom)
    assert whom.metadata == {"log/type": "NODATA", "log/class": "denial"}


def test_fields_go_along_for_json(caplog):
    run(rules(LogOptions(format="x")), ASKED, then=below(FAILED))
    fields = caplog.records[0].fields
    assert (fields["qname"], fields["rcode"], fields["client"]) == (
        "example.org.",
        "SERVFAIL",
        "10.244.1.7",
    )
