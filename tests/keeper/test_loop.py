import os

import pytest

from nodecache.keeper.loop import Loop


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


def test_who_has_something_to_read_is_called(pipe):
    loop = Loop()
    loop.listen(pipe[0], lambda: os.read(pipe[0], 1))
    os.write(pipe[1], b"x")
    loop.turn(10)
    loop.turn(0)
    assert loop.faults == 0


def test_a_fault_is_told_with_its_place_and_counted_and_the_others_are_called(pipe, caplog):
    loop, called = Loop(), []
    other = os.dup(pipe[0])

    def fail():
        raise RuntimeError("of all things")

    loop.listen(pipe[0], fail)
    loop.listen(other, lambda: called.append("other"))
    os.write(pipe[1], b"x")
    loop.turn(10)
    os.close(other)
    assert called == ["other"]
    assert loop.faults == 1
    assert "of all things" in caplog.text
    assert "test_loop.py" in caplog.text


def test_what_is_waited_for_no_more_calls_nobody(pipe):
    loop = Loop()
    loop.listen(pipe[0], lambda: pytest.fail("called"))
    loop.forget(pipe[0])
    loop.forget(pipe[0])
    os.write(pipe[1], b"x")
    loop.turn(0)
    assert loop.faults == 0
