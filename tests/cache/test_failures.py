from nodecache.cache import Failures
from nodecache.wire import Rcode
from tests.cache.made import START

SERVFAIL = Rcode.SERVFAIL
ERRORS = ((22, b"no answer"),)


def heard(now: float) -> bool:
    """That some upstream answers, so nobody is silent."""
    return False


def failed(times: int = 1, fixed_seconds: float | None = None) -> Failures:
    """A question that failed each time it could be asked again."""
    failures = Failures(fixed_seconds)
    now = START
    for _ in range(times):
        failures.note(b"q", SERVFAIL, ERRORS, now)
        if (known := failures.get(b"q", now, heard)) is not None:
            now = known.until
    return failures


def test_a_failure_is_remembered_for_a_second():
    known = failed().get(b"q", START + 0.9, heard)
    assert (known.rcode, known.ede) == (SERVFAIL, ERRORS)
    assert failed().get(b"q", START + 1, heard) is None
    assert failed().get(b"other", START, heard) is None


def test_it_is_remembered_for_longer_while_it_goes_on():
    failures = failed(3)
    assert failures.get(b"q", START + 3 + 3.9, heard)
    assert failures.get(b"q", START + 3 + 4, heard) is None


def test_it_is_never_remembered_for_more_than_5_seconds():
    """As CoreDNS keeps a SERVFAIL: what upstream can answer again, its clients hear as soon."""
    failures = failed(20)
    known = failures.get(b"q", START + 7 + 16 * 5 + 4, heard)
    assert known.until == START + 7 + 17 * 5


def test_a_failure_long_after_the_last_one_is_a_first_one():
    failures = failed(4)
    failures.note(b"q", SERVFAIL, (), START + 1000)
    assert failures.get(b"q", START + 1001, heard) is None


def test_an_answer_ends_it():
    failures = failed(4)
    failures.clear(b"q")
    failures.clear(b"q")
    assert failures.get(b"q", START + 8, heard) is None
    failures.note(b"q", SERVFAIL, (), START + 10)
    assert failures.get(b"q", START + 11, heard) is None


def test_the_directive_fixes_the_time():
    failures = failed(3, fixed_seconds=5)
    assert failures.get(b"q", START + 14.9, heard)
    assert failures.get(b"q", START + 15, heard) is None


def test_the_directive_may_turn_it_off():
    failures = failed(fixed_seconds=0)
    assert failures.get(b"q", START, heard) is None
    assert len(failures.failed) == 0


def test_a_bounded_number_is_remembered_the_latest():
    failures = Failures()
    for number in range(10_500):
        failures.note(b"%d" % number, SERVFAIL, (), START)
    assert len(failures.failed) == 10_000
    assert failures.get(b"0", START, heard) is None
    assert failures.get(b"10499", START, heard)


def test_that_nobody_answered_is_over_once_somebody_does_and_a_second_has_passed():
    failures, now = Failures(), START
    for _ in range(6):
        failures.note(b"q", SERVFAIL, ERRORS, now, is_unheard=True)
        now = failures.failed[b"q"].until
    noted = now - 30
    assert failures.get(b"q", noted + 20, lambda now: True)
    assert failures.get(b"q", noted + 0.9, heard)
    assert failures.get(b"q", noted + 1, heard) is None


def test_what_an_upstream_said_itself_holds_whoever_answers():
    failures = failed(5)
    assert failures.get(b"q", START + 1 + 2 + 4 + 5 + 4, heard)


def test_long_errors_of_strangers_are_bounded_by_octets():
    failures = Failures()
    ede = ((22, b"x" * 60_000),)
    for number in range(1_000):
        failures.note(b"%d" % number, 2, ede, 100.0)
    assert sum(len(failed.ede[0][1]) for failed in failures.failed.values()) <= 4 << 20
    for number in range(1_000):
        failures.clear(b"%d" % number)
    assert failures._octets == 0
