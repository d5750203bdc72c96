from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.timer_wheel import TICK_SECONDS, TimerWheel


def test_nothing_falls_due_before_its_time():
    wheel: TimerWheel[str] = TimerWheel()
    wheel.add("a", at=10.5, now=10.0)
    assert wheel.due(10.49) == []
    assert wheel.due(10.52) == ["a"]
    assert not wheel


def test_what_is_past_falls_due_with_the_next_look():
    wheel: TimerWheel[str] = TimerWheel()
    wheel.add("a", at=1.0, now=10.0)
    assert wheel.due(10.02) == ["a"]


def test_a_long_idle_agenda_costs_no_catching_up():
    wheel: TimerWheel[str] = TimerWheel()
    wheel.add("a", at=1e6 + 0.5, now=1e6)
    wheel.add("b", at=1e6 + 0.1, now=1e6)
    assert wheel.due(1e6 + 0.2) == ["b"]
    assert wheel.due(1e6 + 0.6) == ["a"]


@given(
    st.lists(st.floats(0.0, 5.0), max_size=30),
    st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40),
)
def test_each_thing_falls_due_once_within_two_ticks(delays, steps):
    wheel: TimerWheel[float] = TimerWheel()
    for delay in delays:
        wheel.add(delay, at=100.0 + delay, now=100.0)
    now, fallen = 100.0, []
    for step in [*steps, 10.0]:
        before, now = now, now + step
        for delay in wheel.due(now):
            assert 100.0 + delay <= now + 1e-9
            assert 100.0 + delay + 2 * TICK_SECONDS > before
            fallen.append(delay)
    assert sorted(fallen) == sorted(delays)
