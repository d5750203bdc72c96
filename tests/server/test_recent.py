from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.recent import Recent


def test_what_was_put_is_found_until_it_is_forgotten():
    table: Recent[str, int] = Recent(max_values=10, seconds=60)
    table.put("a", 1, 0.0)
    table.put("b", 2, 61.0)
    assert table.get("a") == 1
    table.put("c", 3, 122.0)
    table.put("d", 4, 183.0)
    assert table.get("b") is None
    assert table.get("a") is None
    assert table.get("d") == 4


def test_what_is_looked_up_stays():
    table: Recent[str, int] = Recent(max_values=10, seconds=60)
    for number in range(10):
        table.put("a" if not number else f"{number}", number, number * 61.0)
        assert table.get("a") == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50)), max_size=300))
def test_it_holds_no_more_than_twice_its_size(acts):
    table: Recent[int, int] = Recent(max_values=5, seconds=60)
    for is_put, key in acts:
        if is_put:
            table.put(key, key, 0.0)
            assert table.get(key) == key
        else:
            assert table.get(key) in (None, key)
        assert len(table) <= 10
