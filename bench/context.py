"""What every measurement is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case
from bench.machine import Cores
from bench.peers import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One call of the bench: the servers found, and how much of what to do with them."""

    peers: Sequence[Found]
    cases: Sequence[Case]
    rounds: int
    scale: float
    cores: Cores
    workspace: Path  # for what is thrown away afterwards
    results: Path
    about: str  # machine and date, one line

    def caches(self) -> list[Found]:
        """The servers that keep anything: all but the floor."""
        return [found for found in self.peers if found.peer.has_cache]


Measurement = Callable[[Bench], str]
