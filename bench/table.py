"""The comparison as Markdown: a figure, and beside it its ratio to the floor and to the original."""

from collections.abc import Callable, Iterable, Sequence

from bench.cases import Case, Figures
from bench.peers import Found
from bench.results import Results, medians

FLOOR = "floor"
ORIGINAL = "original"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, figures to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def with_ratios(value: float, floor: float | None, original: float | None, digits: int = 1) -> str:
    """`5.4 (1.2 f, 0.35 o)`: the figure, times the floor's, times the original's."""
    ratios = [
        f"{value / base:.2f} {mark}" for base, mark in ((floor, "f"), (original, "o")) if base
    ]
    text = f"{value:,.{digits}f}"
    return f"{text} ({', '.join(ratios)})" if ratios else text


COLUMNS: tuple[tuple[str, Callable[[Figures], float], int], ...] = (
    ("CPU µs a query", lambda figures: figures.cpu, 1),
    ("q/s flat out", lambda figures: figures.queries_per_second, 0),
    ("mean µs", lambda figures: figures.mean, 0),
    ("p50 µs", lambda figures: figures.median, 0),
    ("p99 µs", lambda figures: figures.p99, 0),
)


class Report:
    """The Markdown of one comparison."""

    def __init__(self, results: Results, peers: Sequence[Found], cases: Sequence[Case]) -> None:
        self._results = results
        self._peers = peers
        self._cases = cases

    def text(self) -> str:
        """Summary, memory and start, then one table a case."""
        parts = [self._summary(), self._memory()]
        parts += [self._case(case) for case in self._cases]
        return "\n".join(parts)

    def _cell(self, server: str, case: str, get: Callable[[Figures], float], digits: int) -> str:
        value, floor, original = (
            None if (figures := self._results.median(name, case)) is None else get(figures)
            for name in (server, FLOOR, ORIGINAL)
        )
        return "-" if value is None else with_ratios(value, floor, original, digits)

    def _summary(self) -> str:
        rows = [
            [
                found.peer.name,
                *(self._cell(found.peer.name, case.name, COLUMNS[0][1], 1) for case in self._cases),
            ]
            for found in self._peers
        ]
        head = "## CPU, µs a query\n\n"
        return head + markdown_table(["server", *(case.name for case in self._cases)], rows)

    def _memory(self) -> str:
        rows = [self._memory_row(found.peer.name) for found in self._peers]
        header = ["server", "idle MiB", "after the load MiB", "exec to first answer ms"]
        return "## Memory (PSS of the process tree) and start\n\n" + markdown_table(header, rows)

    def _memory_row(self, server: str) -> list[str]:
        idle, loaded, start = (
            medians(figures)
            for figures in (
                self._results.idle_memory,
                self._results.loaded_memory,
                self._results.start_seconds,
            )
        )
        if server not in loaded:
            return [server, "-", "-", "-"]
        return [
            server,
            with_ratios(idle[server], idle.get(FLOOR), idle.get(ORIGINAL)),
            with_ratios(loaded[server], loaded.get(FLOOR), loaded.get(ORIGINAL)),
            f"{start[server] * 1000:.0f}",
        ]

    def _case(self, case: Case) -> str:
        pace = f"latency at {case.pace:,} q/s"
        count = f"{case.queries:,} queries flat out, " if case.is_flat_out else ""
        rows = [self._case_row(found, case) for found in self._peers]
        header = ["server", "leg", *(title for title, _, _ in COLUMNS), "unanswered", "spread"]
        return f"## {case.name}: {case.title}\n\n{count}{pace}\n\n" + markdown_table(header, rows)

    def _case_row(self, found: Found, case: Case) -> list[str]:
        server = found.peer.name
        figures = self._results.median(server, case.name)
        if figures is None:
            return [server, found.peer.leg, *["-"] * (len(COLUMNS) + 2)]
        return [
            server,
            found.peer.leg,
            *(self._cell(server, case.name, get, digits) for _, get, digits in COLUMNS),
            f"{figures.lost_share:.2%}",
            f"±{self._results.spread(server, case.name) / 2:.0%}",
        ]
