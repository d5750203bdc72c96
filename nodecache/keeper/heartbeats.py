"""How long a worker has been silent, less the time in which the kernel did not let it run.

A worker sends two heartbeats a second. If its container has used up its share of CPU, or the node
is busy, it is late with them but does not hang. The kernel counts how long a process waits for a CPU,
being throttled included (`/proc/PID/schedstat`, the second number).
A process that is stopped, asleep, or in an endless loop does not wait for a CPU.
Where everything stood still, the keeper too (a paused machine, a frozen container), no time is counted.
"""

from collections.abc import Callable
from pathlib import Path

# The worker's loop is never busy for longer than some tenths of this.
SILENT_SECONDS = 2.0
BUILD_SECONDS = 20.0  # nothing is said while a configuration is built
UNMEASURED_SECONDS = 5.0  # where the kernel does not count who waits
LONGEST_SECONDS = 60.0  # whatever it waited for
LOOK_SECONDS = 1.0  # the keeper looks as often, or it did not run itself
_NANOSECOND = 1e-9


def waited_for_cpu(pid: int) -> float | None:
    """Seconds for which a process waited for a CPU; None where the kernel does not count them."""
    try:
        numbers = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
        return int(numbers[1]) * _NANOSECOND
    except (OSError, ValueError, IndexError):
        return None


class Heartbeats:
    """The signs of life of one process. `heard_at` is the last one's time, monotonic seconds."""

    def __init__(
        self, pid: int, now: float, waited: Callable[[int], float | None] = waited_for_cpu
    ) -> None:
        self._pid = pid
        self._waited = waited
        self._looked_at = now
        self.heard(now)

    def heard(self, now: float) -> None:
        """Note a message from it."""
        self.heard_at = now
        self._waited_before = self._waited(self._pid)

    def looked(self, now: float) -> None:
        """Note that the keeper looks. Of the time since it last did, only what is usual counts as silence."""
        pause = max(now - self._looked_at - LOOK_SECONDS, 0.0)
        self.heard_at = min(self.heard_at + pause, now)
        self._looked_at = now

    def is_lost(self, now: float, *, is_building: bool) -> bool:
        """Whether it has been silent for longer than a worker that can run would be."""
        patience = BUILD_SECONDS if is_building else SILENT_SECONDS
        silence = now - self.heard_at
        if silence <= patience:
            return False
        waited = self._waited(self._pid)
        if waited is None or self._waited_before is None:
            return silence > max(patience, UNMEASURED_SECONDS)
        return silence - (waited - self._waited_before) > patience or silence > LONGEST_SECONDS
