from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward.agenda import TICK_SECONDS, Agenda


def test_nothing_falls_due_before_its_time():
    agenda: Agenda[str] = Agenda()
    agenda.add("a", at=10.5, now=10.0)
    assert agenda.due(10.49) == []
    assert agenda.due(10.52) == ["a"]
    assert not agenda


def test_what_is_past_falls_due_with_the_next_look():
    agenda: Agenda[str] = Agenda()
    agenda.add("a", at=1.0, now=10.0)
    assert agenda.due(10.02) == ["a"]


def test_a_long_idle_agenda_costs_no_catching_up():
    agenda: Agenda[str] = Agenda()
    agenda.add("a", at=1e6 + 0.5, now=1e6)
    agenda.add("b", at=1e6 + 0.1, now=1e6)
    assert agenda.due(1e6 + 0.2) == ["b"]
    assert agenda.due(1e6 + 0.6) == ["a"]


@given(
    st.lists(st.floats(0.0, 5.0), max_size=30),
    st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40),
)
def test_each_thing_falls_due_once_within_two_ticks(delays, steps):
    agenda: Agenda[float] = Agenda()
    for delay in delays:
        agenda.add(delay, at=100.0 + delay, now=100.0)
    now, fallen = 100.0, []
    for step in [*steps, 10.0]:
        before, now = now, now + step
        for delay in agenda.due(now):
            assert 100.0 + delay <= now + 1e-9
            assert 100.0 + delay + 2 * TICK_SECONDS > before
            fallen.append(delay)
    assert sorted(fallen) == sorted(delays)
