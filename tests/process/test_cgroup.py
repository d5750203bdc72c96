import pytest

from nodecache.process.cgroup import budget_within, max_waiting_within, too_small

MEBI = 1 << 20


@pytest.mark.parametrize(
    ("limit", "budget"),
    [(None, 64), (1024, 256), (128, 32), (72, 18), (64, 14), (44, 4), (38, 1), (30, 1)],
)
def test_a_small_limit_leaves_room_for_more_than_answers(limit, budget):
    assert budget_within(limit and limit * MEBI) == budget * MEBI


@pytest.mark.parametrize(
    ("limit", "max_waiting"), [(None, 8192), (170, 8192), (64, 4778), (48, 2048), (30, 1024)]
)
def test_as_many_queries_may_wait_as_the_answers_leave_room_for(limit, max_waiting):
    assert max_waiting_within(limit and limit * MEBI) == max_waiting


def test_a_limit_that_is_too_small_is_told():
    assert "memory limit of 30 MiB is less than the 48 MiB" in too_small(30 * MEBI)
    assert too_small(48 * MEBI) == ""
    assert too_small(None) == ""
