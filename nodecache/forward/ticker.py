"""One coarse timer for everything that waits: slow queries, silent connections, deadlines.

A query that is answered at once does not use it. It runs only while something waits.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from .runtime import Runtime, Timer
from .timer_wheel import TICK_SECONDS, TimerWheel
from .work_queue import WorkQueue

log = logging.getLogger("plugin/forward")

# How often open connections are looked over for age and idleness.
_HOUSEKEEPING_SECONDS: Final = 1.0

# A tick that comes later than this was delayed by something: another process, a long callback.
_LATE_SECONDS: Final = 0.02


class Watched(Protocol):
    """Something with queries in flight or open connections."""

    def tick(self, now: float) -> bool:
        """Check queries in flight for time-outs; False where none is in flight."""

    def housekeep(self, now: float) -> bool:
        """Close idle and old connections; False where none is open."""


class Wakeable(Protocol):
    """A query that waits for a point in time."""

    def wake(self, now: float) -> None:
        """The time has come."""


class Ticker:
    """Calls `tick` on what is busy and `wake` on what falls due, every 10 ms; housekeeps every 1 s."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.work_queue = WorkQueue(runtime)
        self._busy: dict[Watched, None] = {}
        self._open: dict[Watched, None] = {}
        self._timer_wheel: TimerWheel[Wakeable] = TimerWheel()
        self._timer: Timer | None = None
        self._is_closed = False
        self._due_at = 0.0
        self._is_excused = False
        self._housekeeping: Timer | None = None

    def watch(self, watched: Watched) -> None:
        """Call `tick` of `watched` while it has queries in flight, and `housekeep` while anything is open."""
        self._busy[watched] = None
        self._run()
        if watched not in self._open:
            self._open[watched] = None
            if self._housekeeping is None and not self._is_closed:
                self._housekeeping = self._later(_HOUSEKEEPING_SECONDS, self._housekeep)

    def wake_at(self, wakeable: Wakeable, at: float, now: float) -> None:
        """Wake `wakeable` at `at`, or up to two ticks later."""
        self._timer_wheel.add(wakeable, at, now)
        self._run()

    def now(self) -> float:
        """Monotonic seconds, for callers that were not given `now`."""
        return self._runtime.clock()

    def forget(self, watched: Watched) -> None:
        """Stop calling `watched`."""
        self._busy.pop(watched, None)
        self._open.pop(watched, None)

    def close(self) -> None:
        """Stop for good."""
        self._is_closed = True
        for timer in (self._timer, self._housekeeping):
            if timer is not None:
                timer.cancel()
        self._busy.clear()
        self._open.clear()

    def _later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._runtime.call_later(seconds, callback)

    def _run(self) -> None:
        if self._timer is None and not self._is_closed:
            self._due_at = self._runtime.clock() + TICK_SECONDS
            self._timer = self._later(TICK_SECONDS, self._tick)

    def _is_too_late(self, now: float) -> bool:
        """Whether this process was kept from running, so that answers may lie unread.

        A loop runs its timers before it reads: every upstream would seem silent. One tick is skipped.
        """
        is_late = now - self._due_at > _LATE_SECONDS
        self._is_excused = is_late and not self._is_excused
        return self._is_excused

    def _tick(self) -> None:
        # The timer counts as running while the queries are looked at, so that what they send
        # does not start a second one.
        now = self._runtime.clock()
        if not self._is_too_late(now):
            self._tick_all(now)
        self._timer = None
        if self._busy or self._timer_wheel:
            self._run()

    def _tick_all(self, now: float) -> None:
        for watched in list(self._busy):
            if not _guarded(watched.tick, now):
                self._busy.pop(watched, None)
        self.work_queue.submit(self._timer_wheel.due(now), _wake)

    def _housekeep(self) -> None:
        now = self._runtime.clock()
        for watched in list(self._open):
            if not _guarded(watched.housekeep, now):
                self._open.pop(watched, None)
        self._housekeeping = None
        if self._open:
            self._housekeeping = self._later(_HOUSEKEEPING_SECONDS, self._housekeep)


def _wake(wakeable: Wakeable, now: float) -> None:
    wakeable.wake(now)


def _guarded(call: Callable[[float], bool | None], now: float) -> bool | None:
    """Call; an exception in one is logged, and the timer goes on for the others."""
    try:
        return call(now)
    except Exception:
        log.exception("an error inside the forwarder")
        return True
