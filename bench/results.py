"""The figures of a comparison."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from bench.cases import Figures


def _lists() -> defaultdict[str, list[float]]:
    return defaultdict(list)


@dataclass(slots=True)
class Results:
    """Every figure of every round, by server; memory in MiB."""

    figures: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    idle_memory: defaultdict[str, list[float]] = field(default_factory=_lists)
    loaded_memory: defaultdict[str, list[float]] = field(default_factory=_lists)
    start_seconds: defaultdict[str, list[float]] = field(default_factory=_lists)

    def add(self, server: str, case: str, figures: Figures) -> None:
        self.figures.setdefault((server, case), []).append(figures)

    def median(self, server: str, case: str) -> Figures | None:
        """The median over the rounds, each figure by itself; None if never measured."""
        runs = self.figures.get((server, case))
        if not runs:
            return None
        names = [one.name for one in fields(Figures)]
        return Figures(
            **{name: statistics.median(getattr(run, name) for run in runs) for name in names}
        )

    def spread(self, server: str, case: str) -> float:
        """How far the rounds lay apart: (most - least) / median of the CPU a query."""
        runs = [run.cpu for run in self.figures[server, case]]
        return (max(runs) - min(runs)) / statistics.median(runs)


def medians(figures: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each server's figures."""
    return {server: statistics.median(values) for server, values in figures.items() if values}
