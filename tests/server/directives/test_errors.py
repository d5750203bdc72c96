import logging

import pytest

from nodecache.corefile import Consolidation, ErrorsOptions
from nodecache.server.directive import refusal
from nodecache.server.directives.errors import ErrorLog, go_duration
from tests.server.chains import query

TIMEOUT = refusal(2, "", "read udp 10.0.0.1:40212->8.8.8.8:53: i/o timeout")
REFUSED = refusal(2, "", "dial tcp 10.96.0.10:53: connect: connection refused")
ASKED = query("Example.org.", "AAAA")


class Timers:
    """A loop's `call_later` by hand."""

    def __init__(self) -> None:
        self.running: list[tuple[float, object]] = []

    def __call__(self, seconds, work):
        timer = (seconds, work)
        self.running.append(timer)
        running = self.running

        class Handle:
            def cancel(self) -> None:
                running.remove(timer)

        return Handle()

    def ring(self) -> None:
        for timer in list(self.running):
            self.running.remove(timer)
            timer[1]()


@pytest.fixture(autouse=True)
def everything(caplog):
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def timers():
    return Timers()


def errors(timers: Timers, *consolidations: Consolidation) -> ErrorLog:
    return ErrorLog(ErrorsOptions(consolidations=consolidations), timers)


def test_a_failure_is_one_line(timers, caplog):
    errors(timers).note(ASKED, TIMEOUT)
    (record,) = caplog.records
    assert record.name == "plugin/errors"
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "2 example.org. AAAA: read udp 10.0.0.1:40212->8.8.8.8:53: i/o timeout"
    )


def test_a_directives_own_decision_is_no_error(timers, caplog):
    errors(timers).note(ASKED, refusal(2, "the name is not in the hosts file"))
    assert caplog.records == []


def test_failures_alike_are_told_once_the_time_is_over(timers, caplog):
    log = errors(timers, Consolidation(30.0, ".* i/o timeout$", "warning"))
    for _ in range(3):
        log.note(ASKED, TIMEOUT)
    assert caplog.records == []
    assert [seconds for seconds, _ in timers.running] == [30.0]
    timers.ring()
    assert caplog.messages == ["3 errors like '.* i/o timeout$' occurred in last 30s"]
    assert caplog.records[0].levelno == logging.WARNING


def test_the_next_failure_begins_a_new_count(timers, caplog):
    log = errors(timers, Consolidation(1.0, "timeout"))
    for _ in range(2):
        log.note(ASKED, TIMEOUT)
        timers.ring()
    assert caplog.messages == ["1 errors like 'timeout' occurred in last 1s"] * 2


def test_other_failures_are_not_counted(timers, caplog):
    log = errors(timers, Consolidation(1.0, "timeout"))
    log.note(ASKED, REFUSED)
    assert "connection refused" in caplog.messages[0]


def test_the_first_pattern_that_matches_counts(timers, caplog):
    log = errors(timers, Consolidation(1.0, "dial"), Consolidation(1.0, "refused"))
    log.note(ASKED, REFUSED)
    log.close()
    assert caplog.messages == ["1 errors like 'dial' occurred in last 1s"]


def test_show_first_shows_one_and_sums_up_more(timers, caplog):
    log = errors(timers, Consolidation(5.0, "timeout", "info", show_first=True))
    log.note(ASKED, TIMEOUT)
    assert caplog.messages[0].startswith("2 example.org. AAAA: read udp")
    assert caplog.records[0].levelno == logging.INFO
    timers.ring()
    assert len(caplog.records) == 1
    for _ in range(2):
        log.note(ASKED, TIMEOUT)
    timers.ring()
    assert caplog.messages[-1] == "2 errors like 'timeout' occurred in last 5s"


def test_closing_tells_what_is_left_and_counts_no_more(timers, caplog):
    log = errors(timers, Consolidation(60.0, "timeout"))
    log.note(ASKED, TIMEOUT)
    log.close()
    assert timers.running == []
    log.note(ASKED, TIMEOUT)
    assert caplog.messages[0] == "1 errors like 'timeout' occurred in last 1m0s"
    assert caplog.messages[1].startswith("2 example.org.")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.0000015, "1.5µs"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (3600, "1h0m0s"),
        (4830.5, "1h20m30.5s"),
    ],
)
def test_durations_read_as_go_prints_them(seconds, text):
    assert go_duration(seconds) == text
