"""External programs (nft, iptables) run so that the keeper never waits for one.

A job is a generator: it yields one Command, is resumed with its Result, and so reads from top to
bottom like ordinary code. The Runner starts one child at a time, is told by the child's pidfd
when it has ended, and kills one that outlives its deadline. Input and output are memory files
(memfd), so no pipe can fill up and nothing has to be pumped.
"""

import contextlib
import logging
import os
import select
import subprocess
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 8.0  # iptables' own wait for the lock is 5
NOT_FOUND = 127  # the code of a program that is not there, as a shell says it
MAX_OUTPUT = 16 << 20  # octets read of what a program printed
POLL_SECONDS = 0.01  # how often a child is asked for where the kernel has no pidfd (before 5.3)


@dataclass(frozen=True, slots=True)
class Command:
    """One program to run: its arguments, its standard input, and the seconds it may take."""

    argv: tuple[str, ...]
    stdin: str = ""
    deadline_seconds: float = DEADLINE_SECONDS

    def __str__(self) -> str:
        return " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended. `code` is None when it had to be killed, or there was no process for it."""

    code: int | None
    stdout: str = ""
    stderr: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.code == 0

    @property
    def reason(self) -> str:
        """The first line of its error output, or why it did not run."""
        return next(
            (line for line in self.stderr.splitlines() if line.strip()), f"exit code {self.code}"
        )


T = TypeVar("T")
Steps = Generator[Command, Result, T]  # yields commands, is sent their results, returns a T
Job = Steps[None]


class Child:
    """One running program. Raises OSError when it cannot be started."""

    def __init__(self, command: Command, now: float) -> None:
        self.command = command
        self.deadline = now + command.deadline_seconds
        self.is_killed = False
        self.pidfd = -1
        self._files: list[int] = []  # what it is to read, what it prints, its errors
        try:
            for name in ("in", "out", "err"):
                self._files.append(os.memfd_create(name, os.MFD_CLOEXEC))
            stdin, stdout, stderr = self._files
            os.write(stdin, command.stdin.encode())
            os.lseek(stdin, 0, os.SEEK_SET)
            self._process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
                command.argv, stdin=stdin, stdout=stdout, stderr=stderr,
                start_new_session=True,  # a ^C at the keeper's terminal is not for it
            )  # fmt: skip
        except OSError:
            self.close()
            raise
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(self._process.pid)

    def result(self, now: float) -> Result | None:
        """How it ended; None while it runs. It is killed when its time is up."""
        code = self._process.poll()
        if code is None:
            if now >= self.deadline and not self.is_killed:
                self.is_killed = True
                self._process.kill()  # and reaped by a later call: nothing here waits
            return None
        if self.is_killed:
            seconds = self.command.deadline_seconds
            return Result(None, stderr=f"killed: not done after {seconds:g} s")
        return Result(code, *map(self._read, self._files[1:]))

    def close(self) -> None:
        """Release its files."""
        for file in self._files:
            os.close(file)
        if self.pidfd >= 0:
            os.close(self.pidfd)

    @staticmethod
    def _read(output: int) -> str:
        return os.pread(output, MAX_OUTPUT, 0).decode(errors="replace")


class Runner:
    """Runs jobs one after the other, driven by an epoll that somebody else waits on."""

    def __init__(self, poller: select.epoll) -> None:
        self._poller = poller
        self._waiting: deque[tuple[str, Job]] = deque()
        self._job: Job | None = None
        self._child: Child | None = None

    @property
    def is_idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return self._job is None and not self._waiting

    @property
    def doing(self) -> str:
        """The program that runs, and what waits for its turn."""
        running = [str(self._child.command)] if self._child is not None else []
        return ", ".join([*running, *(name for name, _ in self._waiting)])

    def add(self, name: str, job: Job) -> None:
        """Run `job` after those already added; it replaces one of that name that has not begun."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] != name)
        self._waiting.append((name, job))

    def next_wake(self, now: float) -> float | None:
        """When `turn` must be called even if no descriptor is readable."""
        if self._child is not None:
            has_pidfd = self._child.pidfd >= 0 and not self._child.is_killed
            return self._child.deadline if has_pidfd else now + POLL_SECONDS
        return None if self.is_idle else now

    def turn(self, now: float) -> None:
        """Run jobs as far as possible without waiting."""
        while True:
            if self._child is not None:
                result = self._child.result(now)
                if result is None:
                    return
                self._forget_child()
                self._resume(result, now)
            elif self._job is None:
                if not self._waiting:
                    return
                _, self._job = self._waiting.popleft()
                self._resume(None, now)

    def drop(self) -> None:
        """Remove every job that has not begun."""
        self._waiting.clear()

    def close_in_child(self) -> None:
        """After a fork, in the child: release the files, leave the program alone."""
        if self._child is not None:
            self._child.close()

    def _resume(self, result: Result | None, now: float) -> None:
        """Run the job up to its next program. It ends by an exception too, which is the caller's."""
        assert self._job is not None
        job, self._job = self._job, None
        try:
            command = next(job) if result is None else job.send(result)
            while (failure := self._start(command, now)) is not None:
                command = job.send(failure)
        except StopIteration:
            return
        self._job = job

    def _start(self, command: Command, now: float) -> Result | None:
        """Start a program; the Result at once when that cannot be done."""
        try:
            self._child = Child(command, now)
        except OSError as error:
            return _not_started(command, error)
        if self._child.pidfd >= 0:
            self._poller.register(self._child.pidfd, select.EPOLLIN)
        return None

    def _forget_child(self) -> None:
        assert self._child is not None
        if self._child.pidfd >= 0:
            self._poller.unregister(self._child.pidfd)
        self._child.close()
        self._child = None


def _not_started(command: Command, error: OSError) -> Result:
    code = NOT_FOUND if isinstance(error, FileNotFoundError) else None
    return Result(code, stderr=f"{command.argv[0]}: {error.strerror}")


def run_now(command: Command) -> Result:
    """Run one program and wait for it: only while nothing is served yet, and in tests."""
    try:
        done = subprocess.run(  # noqa: S603 - argv is ours, no shell
            command.argv, input=command.stdin, capture_output=True, text=True,
            timeout=command.deadline_seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Result(None, stderr=f"killed: not done after {command.deadline_seconds:g} s")
    except OSError as error:
        return _not_started(command, error)
    return Result(done.returncode, done.stdout, done.stderr)
