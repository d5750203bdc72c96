"""Has directives read their files again from time to time, outside of the event loop."""

import asyncio
from collections.abc import Iterable

from nodecache.server import Refreshable


class Refreshing:
    """Calls `refresh` of each of `things` every `refresh_seconds`, until closed.

    The time counts from the end of the last call: a file on a disk that hangs is waited for once.
    """

    def __init__(self, things: Iterable[Refreshable], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._is_closed = False
        for number, thing in enumerate(things):
            if thing.refresh_seconds:
                self._wait(number, thing)

    def close(self) -> None:
        """Stop."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()

    def _wait(self, number: int, thing: Refreshable) -> None:
        if not self._is_closed:
            self._timers[number] = self._loop.call_later(
                thing.refresh_seconds, self._look, number, thing
            )

    def _look(self, number: int, thing: Refreshable) -> None:
        """Refresh in a thread, since a file may be large and a disk slow."""
        looking = self._loop.run_in_executor(None, thing.refresh)
        looking.add_done_callback(lambda _: self._wait(number, thing))
