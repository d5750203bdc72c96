from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.ahead_budget import AheadBudget

ACTS = st.lists(
    st.tuples(st.sampled_from(["earn", "spend", "use"]), st.integers(1, 500)), max_size=60
)


@given(ACTS)
def test_whatever_happens_less_than_a_twentieth_of_what_clients_ask_is_asked_in_vain(acts):
    budget, earned = AheadBudget(), 0
    for act, times in acts:
        for _ in range(times):
            if act == "earn":
                budget.earn()
                earned += 1
            elif act == "spend" and not budget.is_spent:
                budget.spend()
            elif act == "use" and budget.used < budget.asked:
                budget.note_used()
        assert budget.asked - budget.used <= 64 + earned / 40 + 1e-6
        assert budget.left >= 0


def test_it_does_not_grow_for_ever():
    budget = AheadBudget()
    for _ in range(100_000):
        budget.earn()
    assert budget.left <= 1025
