"""One worker process as the keeper sees it: fork, messages, signs of life, end."""

import gc
import logging
import math
import mmap
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from nodecache.config.flags import Flags
from nodecache.config.source import Config
from nodecache.process.channel import Channel, channel_pair, close_descriptors
from nodecache.process.listen import ListenAddress
from nodecache.process.memory_file import check_sealed
from nodecache.process.messages import MalformedControlMessage, Message
from nodecache.process.protocol import FROM_KEEPER, FROM_WORKER, MAX_CACHE_OCTETS
from nodecache.process.sockets import Sockets
from nodecache.process.vitals import KeeperVitals

from .heartbeats import Heartbeats

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.01  # how often to look whether a worker that is to end has ended
RELOAD_SECONDS = 60.0  # to build what it was offered, and to say so
# What of all that a worker may say is said only if it was asked for, and by which message.
_ANSWERS = {
    "ready": "start",
    "reloaded": "reload",
    "refused": "reload",
    "paused": "pause",
    "cache": "pause for a successor",
}

Work = Callable[
    [Flags, Config, Mapping[ListenAddress, Sockets], Channel, KeeperVitals, mmap.mmap], int
]
"""What a forked worker does, to its exit status: `worker/agent.py`, which the keeper does not import."""


class Worker:
    """One forked worker; `heartbeats` has its signs of life.

    It reads what strangers send and may have been taken over by one: its messages are accepted only
    if they are due, and `fault` is the reason for which the keeper has killed it.
    """

    def __init__(self, pid: int, channel: Channel, now: float) -> None:
        self.pid = pid
        self.channel = channel
        self.heartbeats = Heartbeats(pid, now)
        self.is_ready = False
        self.fault = ""
        self.is_paused = False  # it reads no more, for another agent does
        self._owed = Counter({"start": 1})  # answers that it may still give
        self._reload_by = math.inf

    def send(self, kind: str, descriptors: Sequence[int] = (), **fields: Any) -> bool:
        """Send it a message; False if it does not read earlier ones."""
        if not self.channel.send(kind, descriptors, **fields):
            return self.has_ended
        self._owed[kind] += 1
        if fields.get("has_successor"):
            self._owed["pause for a successor"] += 1
        if kind == "reload":
            self._reload_by = monotonic() + RELOAD_SECONDS
        return True

    def owes(self, kind: str) -> bool:
        """Whether it has not answered a message of this kind yet."""
        return self._owed[kind] > 0

    def receive(self, now: float) -> Message | None:
        """Its next message. BlockingIOError: none yet; None: it closed the channel.

        Raises MalformedControlMessage for a message that it may not send, or not now.
        """
        message = self.channel.receive()
        if message is None:
            return None
        try:
            self._check(message)
        except MalformedControlMessage:
            close_descriptors(message.descriptors)
            raise
        self.heartbeats.heard(now)
        return message

    def _check(self, message: Message) -> None:
        asked = _ANSWERS.get(message.kind)
        if asked is not None:
            if not self._owed[asked]:
                raise MalformedControlMessage(f"{message.kind!r}, which nobody asked for")
            self._owed[asked] -= 1
        if asked == "reload":
            self._reload_by = math.inf
        if message.kind == "cache":
            check_sealed(message.descriptors[0], MAX_CACHE_OCTETS)

    def is_silent(self, now: float) -> bool:
        """Whether it was silent, or left a message unanswered, for too long; asked in every turn."""
        self.heartbeats.looked(now)
        is_building = not self.is_ready or self.owes("reload")
        return self.heartbeats.is_lost(now, is_building=is_building) or now > self._reload_by

    def restart_patience(self, now: float) -> None:
        """Start its time-outs again."""
        self.heartbeats.heard(now)
        self._reload_by = math.inf

    @property
    def has_ended(self) -> bool:
        """Whether it is dead, also before SIGCHLD has come."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.pid, flags) is not None
        except ChildProcessError:  # somebody else has collected it
            return True

    def kill(self) -> bool:
        """Kill it; SIGCHLD reports its end like any other. False where that is not permitted.

        It is our child and not collected yet, so nobody else can have its process id.
        """
        lack = ""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except PermissionError:  # it is another user than we are
            lack = "the capability CAP_KILL is missing"
        except OSError as error:
            lack = str(error)
        if lack:
            log.error("worker %d cannot be killed: %s", self.pid, lack)
        return not lack

    def finish(self, seconds: float) -> None:
        """Wait for its end, and kill it after `seconds`.

        One that cannot be killed is left: it ends with its container, or when it runs again and
        finds the channel closed.
        """
        deadline = monotonic() + seconds
        while not self.has_ended:
            if monotonic() >= deadline:
                log.warning("worker %d did not end in time: it is killed", self.pid)
                if not self.kill():
                    return
                break
            time.sleep(_LOOK_SECONDS)
        self.reap()

    def reap(self) -> str:
        """Reap the dead process; returns how it died, in words."""
        self.channel.drain()
        self.channel.close()
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return "exited unseen"
        code = os.waitstatus_to_exitcode(status)
        return f"exited with {code}" if code >= 0 else f"killed by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    """`SIGKILL` and the like; most real-time signals have no name."""
    names = (each.name for each in signal.Signals if each == number)
    return next(names, f"signal {number}")


def fork_worker(body: Callable[[Channel], int], now: float) -> Worker:
    """Fork a worker that runs `body` and exits with what it returns. OSError where it cannot be.

    The keeper runs no thread, so that a fork is safe. What was imported is shared with the child;
    freezing it first keeps its garbage collector from touching, and so copying, those pages.
    """
    ours, theirs = channel_pair(FROM_KEEPER, FROM_WORKER)
    gc.freeze()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid:
        theirs.close()
        return Worker(pid, ours, now)
    status = 1
    try:
        ours.close()
        status = body(theirs)
    except Exception:
        log.exception("the worker ends on what nobody expected")
    finally:
        os._exit(status)
