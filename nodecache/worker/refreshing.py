"""Has directives read their files again from time to time, outside of the event loop."""

import asyncio
from collections.abc import Iterable

from nodecache.server import Refreshable


class Refreshing:
    """Calls `refresh` of each of `things` every `refresh_seconds`, until closed."""

    def __init__(self, things: Iterable[Refreshable], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timers: dict[int, asyncio.TimerHandle] = {}
        for number, thing in enumerate(things):
            if thing.refresh_seconds:
                self._wait(number, thing)

    def close(self) -> None:
        """Stop."""
        for timer in self._timers.values():
            timer.cancel()

    def _wait(self, number: int, thing: Refreshable) -> None:
        self._timers[number] = self._loop.call_later(
            thing.refresh_seconds, self._look, number, thing
        )

    def _look(self, number: int, thing: Refreshable) -> None:
        """Refresh in a thread, since a file may be large and a disk slow."""
        self._loop.run_in_executor(None, thing.refresh)
        self._wait(number, thing)
