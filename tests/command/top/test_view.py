"""Keys change what is shown."""

import pytest

from nodecache.command.top.view import View

ROWS = [
    {"key": "a.example.", "queries": 5, "misses": 0, "nxdomains": 4, "failures": 0},
    {"key": "b.example.", "queries": 9, "misses": 1, "nxdomains": 0, "failures": 0},
    {"key": "c.other.", "queries": 1, "misses": 1, "nxdomains": 1, "failures": 1},
]


def pressed(keys: str) -> View:
    view = View()
    for key in keys:
        view.press(key)
    return view


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("", "bac"),
        ("s", "bca"),
        ("ss", "acb"),
        ("sss", "cab"),
        ("ssss", "bac"),
        ("/example", "ba"),
        ("/EXAMPLE\r", "ba"),
        ("/example\x1b", "bac"),
        ("/exq\x7f\r", "ba"),
        ("/other\r\x1b", "bac"),
        ("/q\r", ""),
    ],
)
def test_rows_are_sorted_and_filtered(keys, shown):
    assert "".join(row["key"][0] for row in pressed(keys).rows(ROWS, 10)) == shown


def test_clients_are_filtered_by_their_pods_names_and_addresses():
    clients = [{**ROWS[0], "key": "10.244.0.7", "pod": "shop/cart"}, {**ROWS[1], "pod": None}]
    for keys in ("/shop", "/0.7"):
        assert [row["key"] for row in pressed(keys).rows(clients, 10)] == ["10.244.0.7"]


def test_no_more_rows_than_there_is_room_for():
    assert len(View().rows(ROWS, 2)) == 2


def test_p_pauses_and_goes_on_and_q_quits():
    assert pressed("p").is_paused
    assert not pressed("pp").is_paused
    assert pressed("q").has_quit
    assert pressed("/abc\x03").has_quit
    assert not pressed("/q").has_quit
