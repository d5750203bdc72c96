"""The supervisor of the worker: forks it, reads its messages, kills it if it hangs, replaces it when it ends."""

import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any, Protocol

from nodecache.process.channel import Channel
from nodecache.process.messages import MalformedControlMessage, Message

from .child import Worker, fork_worker
from .loop import Loop
from .respawn import Respawn

log = logging.getLogger(__name__)

_FORK_PAUSE = 0.1
MAX_MESSAGES_PER_TURN = 16  # so that a worker that sends without end delays nothing else


class WorkerOwner(Protocol):
    """Owns the worker, and is called when something happens to it."""

    @property
    def is_worker_wanted(self) -> bool:
        """Whether a worker that ended is to be replaced."""

    def be_worker(self, channel: Channel) -> int:
        """What the forked child does; its exit status."""

    def worker_message(self, message: Message, now: float) -> None:
        """It sent a message."""

    def worker_alive(self, now: float) -> None:
        """It is alive: all its messages have been handled."""

    def worker_ended(self, now: float) -> None:
        """It has ended."""

    def worker_failed(self) -> None:
        """Workers fail one after another: none is started for a while."""

    def worker_unkillable(self) -> None:
        """It hangs and cannot be killed; it may recover."""


class Supervisor:
    """At most one worker at a time. `deaths` counts by how: `exited`, `killed`, `hung`, `protocol`."""

    def __init__(self, loop: Loop, owner: WorkerOwner) -> None:
        self.worker: Worker | None = None
        self.deaths: Counter[str] = Counter()
        self._loop = loop
        self._owner = owner
        self._respawn = Respawn()
        self._respawn_at: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a worker, and it has built everything."""
        return self.worker is not None and self.worker.is_ready

    def next_wake(self) -> float:
        """When `turn` has a worker to start; infinity for never."""
        return float("inf") if self._respawn_at is None else self._respawn_at

    def spawn(self, now: float) -> None:
        """Fork a worker; if that fails, try again later."""
        self._respawn_at = now + _FORK_PAUSE  # whatever it is that fails below
        self._respawn.started(now)
        try:
            worker = fork_worker(self._owner.be_worker, now)
        except OSError as error:
            pause = max(self._respawn.ended(now), _FORK_PAUSE)
            self._respawn_at = now + pause
            self._loop.faults += 1
            log.error("no worker can be forked: %s; tried again in %.1f s", error, pause)
            self._owner.worker_failed()
            return
        self.worker = worker
        self._respawn_at = None
        self._loop.listen(worker.channel, self._on_says)

    def turn(self, now: float) -> None:
        """Handle a worker that has ended or is silent; start the next one when it is time."""
        worker = self.worker
        if worker is not None and worker.has_ended:
            self._on_died(worker, now)
        elif worker is not None and worker.is_silent(now):
            self._on_says()  # it may have said something while we were not let run ourselves
            if self.worker is worker and worker.is_silent(now):
                self.replace("said nothing for some seconds")
        if self.worker is None and now >= self.next_wake():
            self._respawn_at = None
            if self._owner.is_worker_wanted:
                self.spawn(now)

    def send(self, kind: str, descriptors: Sequence[int] = (), **fields: Any) -> None:
        """Send the worker a message, if there is one. A worker that does not read is replaced."""
        if self.worker is not None and not self.worker.send(kind, descriptors, **fields):
            self.replace("does not read what it is told")

    def replace(self, why: str, fault: str = "hung") -> bool:
        """Kill the worker; the next one starts when it is dead. False where it cannot be killed."""
        if self.worker is None:
            return True
        log.error("worker %d %s: it is replaced", self.worker.pid, why)
        self.worker.restart_patience(monotonic())
        is_killed = self.worker.kill()
        self.worker.fault = fault if is_killed else ""
        if not is_killed:
            self._owner.worker_unkillable()
        return is_killed

    def finish(self, seconds: float) -> None:
        """Have the worker answer what is left and end, within `seconds`."""
        if self.worker is not None:
            self.worker.send("stop")
            self.worker.finish(seconds)

    def _on_died(self, worker: Worker, now: float) -> None:
        pause = self._respawn.ended(now, is_hung=worker.fault == "hung")
        self.worker, self._respawn_at = None, now + pause  # whatever fails below
        self._loop.forget(worker.channel)
        how = worker.reap()
        self.deaths[worker.fault or how.partition(" ")[0]] += 1
        if self._owner.is_worker_wanted:
            log.warning("worker %d %s; the next one starts in %.1f s", worker.pid, how, pause)
        self._owner.worker_ended(now)
        if pause:
            self._owner.worker_failed()

    def _on_says(self) -> None:
        """Read a bounded number of the worker's messages; the others in the next turn."""
        now = monotonic()
        heard = 0
        while heard < MAX_MESSAGES_PER_TURN and self._hear(now):
            heard += 1
        if heard and self.worker is not None:
            self._owner.worker_alive(now)

    def _hear(self, now: float) -> bool:
        """Handle one message of the worker; False where there is no other."""
        if (worker := self.worker) is None:
            return False
        try:
            message = worker.receive(now)
        except BlockingIOError:
            return False
        except MalformedControlMessage as error:
            self._loop.forget(worker.channel)
            self.replace(f"is not to be trusted ({error})", "protocol")
            return False
        if message is None:  # it is about to die; else its silence will tell
            self._loop.forget(worker.channel)
            return False
        self._owner.worker_message(message, now)
        return True
