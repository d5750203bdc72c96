import pytest

from nodecache.wire import Answer, read_answer
from tests.wire.messages import response

SIGNATURE = "60 IN RRSIG {} 8 2 60 {} {} 12051 example. lAaEzB5t"
ADDRESS = "a.example. 60 IN A 192.0.2.1"


def signed(*windows: tuple[str, str]) -> Answer:
    lines = [f"a.example. {SIGNATURE.format('A', until, since)}" for since, until in windows]
    return read_answer(response("a.example. A", "a.example. 60 IN A 192.0.2.1", *lines))


@pytest.mark.parametrize(
    ("wall_clock", "is_signed"),
    [(1000, True), (3000, True), (999, False), (3001, False), (2000 + 2**32, True)],
)
def test_signatures_hold_from_their_inception_to_their_expiration(wall_clock, is_signed):
    answer = signed(("1000", "9000"), ("500", "3000"))
    assert answer.is_signed_at(wall_clock) == is_signed


@pytest.mark.parametrize(
    ("wall_clock", "is_signed"), [(2**32 - 50, True), (2**32 + 50, True), (2**32 + 101, False)]
)
def test_signatures_hold_across_the_end_of_32_bits(wall_clock, is_signed):
    answer = signed((str(2**32 - 100), "100"), (str(2**32 - 90), "1000"))
    assert answer.is_signed_at(wall_clock) == is_signed


def test_what_is_not_signed_is_always_good():
    assert read_answer(response("a.example. A", ADDRESS)).is_signed_at(0)
