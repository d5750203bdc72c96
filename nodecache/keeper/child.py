"""The keeper's hold on one worker process: its birth, its signs of life, its end."""

import contextlib
import gc
import logging
import mmap
import os
import select
import signal
from collections.abc import Callable, Mapping
from typing import Protocol

from nodecache.config.flags import Flags
from nodecache.config.source import Config
from nodecache.process.channel import Channel, Message, channel_pair
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import Sockets
from nodecache.process.vitals import KeeperVitals

log = logging.getLogger(__name__)

# A worker that says nothing for this long is stuck: its loop says so once a second.
SILENT_SECONDS = 5.0


class Work(Protocol):
    """What a forked worker does: `worker/agent.py`, which the keeper does not import."""

    def __call__(
        self,
        flags: Flags,
        config: Config,
        sockets: Mapping[ListenAddress, Sockets],
        channel: Channel,
        vitals: KeeperVitals,
        memory: mmap.mmap,
    ) -> int:
        """Serve `config` until told to stop; the exit status."""


class Worker:
    """One forked worker. `heard_at` is when it last said anything, monotonic seconds."""

    def __init__(self, pid: int, channel: Channel, now: float) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.channel = channel
        self.heard_at = now
        self.is_ready = False
        self.is_hung = False
        self.is_paused = False  # it reads no more, for another agent does

    def messages(self, now: float) -> list[Message]:
        """What it said since the last call."""
        said: list[Message] = []
        with contextlib.suppress(BlockingIOError):
            while (message := self.channel.receive()) is not None:
                said.append(message)
        if said:
            self.heard_at = now
        return said

    def is_silent(self, now: float) -> bool:
        """Whether it said nothing for too long."""
        return now - self.heard_at > SILENT_SECONDS

    def kill(self) -> bool:
        """End it at once; its death is told by `pidfd` like any other. Whether that may be done."""
        lack = ""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except PermissionError:  # it is another user than we are
            lack = "the capability CAP_KILL is missing"
        except OSError as error:
            lack = str(error)
        if lack:
            log.error("worker %d cannot be killed: %s", self.pid, lack)
        return not lack

    def finish(self, seconds: float) -> None:
        """Collect it when it ends, and kill it where it has not within `seconds`.

        One that cannot be killed either is left: it ends with its container, or once it wakes and
        finds the channel closed.
        """
        waiting = select.poll()
        waiting.register(self.pidfd, select.POLLIN)
        if not waiting.poll(seconds * 1000):
            log.warning("worker %d did not end in time: it is killed", self.pid)
            if not self.kill():
                return
        self.reap()

    def reap(self) -> str:
        """Collect the dead process; how it died, in words."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self.channel.close()
        code = os.waitstatus_to_exitcode(status)
        return f"exited with {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def fork_worker(body: Callable[[Channel], int], now: float) -> Worker:
    """Fork a worker that runs `body` and exits with what it returns.

    The keeper runs no thread, so that a fork is safe. What was imported is shared with the child;
    freezing it first keeps its garbage collector from touching, and so copying, those pages.
    """
    ours, theirs = channel_pair()
    gc.freeze()
    pid = os.fork()
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
