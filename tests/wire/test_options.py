"""What is taken of an upstream's OPT; what a client's may hold is tested with queries."""

import pytest

from nodecache.wire import read_answer
from tests.wire.messages import TO_QUESTION, ede, opt, option, raw, record

A = record(TO_QUESTION, "A", b"1234")


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        pytest.param(ede(22, b"no route"), ((22, b"no route"),), id="with a text"),
        pytest.param(ede(9), ((9, b""),), id="without"),
        pytest.param(
            option(3, b"ns1") + ede(6) + ede(7, b"x"), ((6, b""), (7, b"x")), id="several"
        ),
        pytest.param(option(15, b"\0"), (), id="too short"),
        pytest.param(ede(6) + b"\0\x0f\0\x09\0\1", ((6, b""),), id="the second cut off"),
        pytest.param(ede(6) + b"\0\x0f\0", ((6, b""),), id="half a header behind"),
        pytest.param(ede(0xFFFF, b"\xff\xfe"), ((0xFFFF, b"\xff\xfe"),), id="no utf-8"),
    ],
)
def test_extended_errors_are_passed_on(data, errors):
    assert read_answer(raw(A, opt(data=data), counts=(1, 1, 0, 1))).ede == errors


def test_extended_errors_are_kept_within_bounds():
    data = b"".join(ede(number, "é".encode() * 200) for number in range(50))
    errors = read_answer(raw(opt(data=data), counts=(1, 0, 0, 1), flags=0x8182)).ede
    assert len(errors) == 4
    assert all(text.decode() == "é" * 127 for _, text in errors)


def test_many_options_are_read_in_linear_time():
    packet = raw(A, opt(data=option(65001) * 16_000), counts=(1, 1, 0, 1))
    assert read_answer(packet).ede == ()
