"""The agent with a meter in its worker: how long one turn of the event loop and one run of the
garbage collector take. Started by `pauses`; the product itself has none of this.

    python metered.py FIGURES_FILE nodecache's flags…

A turn is everything between two looks at the sockets, so nobody waits for longer than the longest
turn. It is told as CPU time of the thread, which a busy machine does not stretch. The meter keeps
the loop turning without rest, at the cost of a core.
"""

import asyncio
import gc
import mmap
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import thread_time_ns

PHASES = 16
GENERATIONS = 3
_NANOSECONDS = 1e9
# Longest turn, turns above LONG_TURN_SECONDS; runs and longest run of each generation.
_RECORD = struct.Struct("=QQ" + "QQ" * GENERATIONS)
_FILE_OCTETS = 8 + PHASES * _RECORD.size
LONG_TURN_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen in one phase. Seconds."""

    longest_turn: float
    long_turns: int
    collections: tuple[int, ...]
    longest_collections: tuple[float, ...]

    @classmethod
    def read(cls, path: Path, phase: int) -> "Figures":
        """What the meter has written for a phase."""
        numbers = _RECORD.unpack_from(path.read_bytes(), 8 + phase * _RECORD.size)
        return cls(
            numbers[0] / _NANOSECONDS,
            numbers[1],
            numbers[2::2],
            tuple(each / _NANOSECONDS for each in numbers[3::2]),
        )


def make_file(path: Path) -> None:
    """An empty file of figures."""
    path.write_bytes(bytes(_FILE_OCTETS))


def tell_phase(path: Path, phase: int) -> None:
    """From here on figures belong to `phase`."""
    with path.open("r+b") as file:
        file.write(bytes([phase]))


class Meter:
    """Writes to the mapped file, so that nobody has to be asked for the figures."""

    def __init__(self, figures: mmap.mmap, loop: asyncio.AbstractEventLoop) -> None:
        self._map = figures
        self._loop = loop
        self._phase = -1
        self._numbers = [0] * (2 + 2 * GENERATIONS)
        self._turn_began = self._collection_began = thread_time_ns()
        gc.callbacks.append(self._collector_says)
        loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = thread_time_ns()
        turn = now - self._turn_began
        if self._map[0] != self._phase:
            self._phase = self._map[0]
            self._numbers = [0] * (2 + 2 * GENERATIONS)
        numbers = self._numbers
        if turn > LONG_TURN_SECONDS * _NANOSECONDS:
            numbers[1] += 1
        if turn > numbers[0]:
            numbers[0] = turn
            self._write()
        self._loop.call_soon(self._turn)
        self._turn_began = thread_time_ns()

    def _collector_says(self, phase: str, about: Mapping[str, int]) -> None:
        now = thread_time_ns()
        if phase == "start":
            self._collection_began = now
            return
        numbers, at = self._numbers, 2 + 2 * about["generation"]
        numbers[at] += 1
        numbers[at + 1] = max(numbers[at + 1], now - self._collection_began)
        self._write()

    def _write(self) -> None:
        _RECORD.pack_into(self._map, 8 + self._phase * _RECORD.size, *self._numbers)


def main() -> int:
    """Be nodecache, with a meter in each worker."""
    from nodecache.command import main as cli  # noqa: PLC0415 - the bench itself reads figures only
    from nodecache.worker import agent  # noqa: PLC0415 - the bench itself reads figures only

    with Path(sys.argv[1]).open("r+b") as file:  # here: the worker is nobody, who may not
        figures = mmap.mmap(file.fileno(), _FILE_OCTETS)

    class MeteredAgent(agent.Agent):
        """An agent that is watched."""

        def _tick(self) -> None:
            if self._ticks == 0:
                Meter(figures, self._loop)
            super()._tick()

    agent.Agent = MeteredAgent  # type: ignore[misc]
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
