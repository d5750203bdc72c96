"""Draws one sample for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nodecache.command.control_client import printable

from .view import HELP, SORTS, View

_HEADINGS = {
    "queries": "queries",
    "misses": "misses",
    "nxdomains": "NXDOMAIN",
    "failures": "failures",
}
_AROUND = 12  # lines that are no rows: facts, headings, the last line
_MIN_ROWS = 3
_MIB = 1 << 20


def screen(told: dict[str, Any], view: View, height: int) -> RenderableType:
    """The whole screen, at most `height` lines."""
    upstreams = told["upstreams"][: max(height // 6, 1)]
    room = max(height - _AROUND - len(upstreams), 2 * _MIN_ROWS)
    clients = max(room // 3, _MIN_ROWS)
    return Group(
        *_state_lines(told),
        Text(),
        _counted("name", told["names"], view, room - clients),
        _counted("client", told["clients"], view, clients),
        _upstreams(upstreams),
        _last_line(told, view),
    )


def _state_lines(told: dict[str, Any]) -> list[Text]:
    share = told["hit_share"]
    hits = "no queries" if share is None else f"{100 * share:.1f} % hits"
    late = "  ".join(
        f"{name} ≤ {value:g} ms" if value is not None else f"{name} over 8 s"
        for name, value in told["latency_at_most_milliseconds"].items()
    )
    rcodes = "  ".join(f"{rcode} {rate:g}/s" for rcode, rate in told["rcodes"].items())
    cache = told["cache"]
    budget = f" of {cache['budget_octets'] / _MIB:.0f}" if cache["budget_octets"] else ""
    kept = f"{cache['entries']} answers kept, {cache['octets'] / _MIB:.1f}{budget} MiB"
    rate = f"{told['queries_per_second']:g} queries/s"
    return [
        Text(f"nodecache  {rate}  {hits}  {told['waiting']} waiting", "bold", no_wrap=True),
        Text(printable(f"{late}  {rcodes}"), no_wrap=True),
        Text(kept, no_wrap=True),
    ]


def _counted(what: str, told: list[dict[str, Any]], view: View, max_count: int) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="bold cyan")
    table.add_column(what, no_wrap=True, ratio=1)
    for measure in SORTS:
        mark = "▼" if measure == view.sort else ""
        table.add_column(f"{_HEADINGS[measure]}{mark}", justify="right", no_wrap=True)
    table.add_column("±", justify="right", no_wrap=True)
    for row in view.rows(told, max_count - 1):
        off = row["plus_minus"] + row["too_high_by_at_most"]
        numbers = [str(row[measure]) for measure in SORTS]
        table.add_row(_who(row), *numbers, str(off) if off else "")
    return table


def _who(row: dict[str, Any]) -> Text:
    """A name, an address, or a pod with its address behind it."""
    key = printable(row["key"])
    pod = row.get("pod")
    return Text(key) if pod is None else Text.assemble(f"{printable(pod)}  ", (key, "dim"))


def _upstreams(told: list[dict[str, Any]]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="bold cyan")
    table.add_column("upstream", no_wrap=True, ratio=1)
    for heading in ("state", "queries/s", "in flight", "95 % within"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in told:
        pace = "" if each["milliseconds"] is None else f"{each['milliseconds']:g} ms"
        style = "" if each["standing"] == "good" else "red"
        cells = (each["standing"], f"{each['queries_per_second']:g}", str(each["in_flight"]), pace)
        table.add_row(Text(printable(each["to"])), *cells, style=style)
    return table


def _last_line(told: dict[str, Any], view: View) -> Text:
    if view.typed is not None:
        return Text(f"/{view.typed}", "reverse", no_wrap=True)
    sampling = told["sampling"]
    exact = "each query" if sampling["largest_one_of"] == 1 else f"1 of {sampling['one_of']}"
    text = f"{HELP}   counted for {sampling['seconds']:.0f} s, {exact}"
    if view.filter:
        text += f"   only {view.filter!r}"
    return Text(f"PAUSED   {text}" if view.is_paused else text, "reverse", no_wrap=True)
