"""A timer wheel: queries by the time at which they are to be checked again.

The law of this module: no socket, no clock. Only queries that did not get their answer at once
come here, and one timer for the whole worker serves all of them.
"""

from typing import Final, Generic, TypeVar

TICK_SECONDS: Final = 0.01
_TICKS_PER_SECOND: Final = 100

T = TypeVar("T")


class TimerWheel(Generic[T]):
    """Things by the tick they fall due in: adding and taking cost the same however many there are.

    Due means not before its time, and up to two ticks after.
    """

    __slots__ = ("_by_tick", "_done")

    def __init__(self) -> None:
        self._by_tick: dict[int, list[T]] = {}
        self._done = 0  # every tick up to this one was taken

    def __bool__(self) -> bool:
        return bool(self._by_tick)

    def add(self, thing: T, at: float, now: float) -> None:
        """Have `thing` fall due at `at`, in seconds."""
        if not self._by_tick:
            self._done = int(now * _TICKS_PER_SECOND)
        tick = max(int(at * _TICKS_PER_SECOND), self._done) + 1
        things = self._by_tick.get(tick)
        if things is None:
            self._by_tick[tick] = [thing]
        else:
            things.append(thing)

    def due(self, now: float) -> list[T]:
        """Take everything that is due at `now`, the earliest first."""
        current = int(now * _TICKS_PER_SECOND)
        things: list[T] = []
        while self._by_tick and self._done < current:
            self._done += 1
            things += self._by_tick.pop(self._done, ())
        self._done = max(self._done, current)
        return things
