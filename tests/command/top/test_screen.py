"""A sample fits the terminal, and shows nothing that a terminal would act on."""

import pytest
from rich.console import Console

from nodecache.command.top.screen import screen
from nodecache.command.top.view import View


def told(names: int = 100) -> dict:
    row = {"queries": 640, "misses": 64, "nxdomains": 0, "failures": 0}
    errors = {"too_high_by_at_most": 64, "plus_minus": 400}
    return {
        "seconds": 1.0,
        "queries_per_second": 12_345.6,
        "hit_share": 0.987,
        "rcodes": {"NOERROR": 12_000.0, "NXDOMAIN": 345.6},
        "latency_at_most_milliseconds": {"p50": 0.25, "p95": 1.0, "p99": None},
        "waiting": 3,
        "cache": {"entries": 17, "octets": 1 << 20, "budget_octets": 64 << 20},
        "upstreams": [
            {
                "to": "10.96.0.10:53",
                "queries_per_second": 160.5,
                "standing": "down",
                "in_flight": 3,
                "milliseconds": 1.5,
            }
        ],
        "sampling": {
            "one_of": 16,
            "largest_one_of": 64,
            "seconds": 9.0,
            "samples": 10,
            "capacity": 256,
        },
        "names": [{"key": f"n{n}.example.", **row, **errors} for n in range(names)],
        "clients": [{"key": f"10.244.1.{n}", **row, **errors} for n in range(names)],
    }


def drawn(sample: dict, view: View, width: int = 100, height: int = 30) -> list[str]:
    console = Console(width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(screen(sample, view, height))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_it_fits(width, height):
    lines = drawn(told(), View(), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_it_says_what_is_known_and_how_well():
    text = "\n".join(drawn(told(), View()))
    for part in (
        *("12345.6 queries/s", "98.7 % hits", "p50 ≤ 0.25 ms", "p99 over 8 s", "NXDOMAIN 345.6/s"),
        *("n0.example.", "10.244.1.0", "464", "10.96.0.10:53", "down", "1 of 16", "queries▼"),
    ):
        assert part in text


def test_a_pod_that_is_known_is_named_before_its_address():
    sample = told(2)
    sample["clients"][0]["pod"] = "shop/cart-85ffd558d-htpfl"
    sample["clients"][1]["pod"] = None
    lines = drawn(sample, View())
    assert any(line.startswith("shop/cart-85ffd558d-htpfl  10.244.1.0 ") for line in lines)
    assert any(line.startswith("10.244.1.1 ") for line in lines)


def test_the_filter_that_is_typed_stands_in_the_last_line():
    view = View()
    for key in "/n1.":
        view.press(key)
    lines = drawn(told(), view)
    assert lines[-1].strip() == "/n1."
    assert sum("example." in line for line in lines) == 1


def test_names_cannot_drive_the_terminal():
    sample = told(1)
    sample["names"][0]["key"] = sample["clients"][0]["pod"] = "\x1b[2J[red]a"
    text = "\n".join(drawn(sample, View()))
    assert "\x1b" not in text
    assert text.count("?[2J[red]a") == 2
