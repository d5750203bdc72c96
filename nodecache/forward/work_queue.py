"""Runs a callback for each of many queries in time slices, so that hits are not delayed.

A connection that ends, or an upstream that answers nothing, may have thousands of queries waiting,
and each takes 50 µs to be sent elsewhere or to fail.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from .runtime import Runtime

log = logging.getLogger("plugin/forward")

_TURN_SECONDS: Final = 0.001

T = TypeVar("T")


class WorkQueue:
    """Runs work at once, and leaves the rest to the next turn after each millisecond of it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._queue: deque[tuple[Callable[[Any, float], object], Any]] = deque()
        self._is_under_way = False

    def submit(self, things: Iterable[T], act: Callable[[T, float], object]) -> None:
        """Call `act(thing, now)` for each, now or soon; an exception in one does not stop the others."""
        self._queue.extend((act, thing) for thing in things)
        if not self._is_under_way:
            self._turn()

    def _turn(self) -> None:
        queue, clock = self._queue, self._runtime.clock
        self._is_under_way = True
        began = now = clock()
        while queue and now - began < _TURN_SECONDS:
            act, thing = queue.popleft()
            try:
                act(thing, now)
            except Exception:
                log.exception("an error inside the forwarder")
            now = clock()
        if queue:
            self._runtime.call_soon(self._turn)
        else:
            self._is_under_way = False
