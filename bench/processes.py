"""Processes under measurement: started on one core, watched in /proc, always ended by their id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

NANOSECONDS = 1e9
PROBE_SECONDS = 0.2
PROBE_PAUSE_SECONDS = 0.002
READY_SECONDS = 15.0
STOP_SECONDS = 8.0
# Question: a.ready.cluster.local. A IN, id 0x6265, RD.
PROBE = (
    b"be\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    b"\x01a\x05ready\x07cluster\x05local\x00\x00\x01\x00\x01"
)


class NotReady(Exception):
    """The server ended or did not answer in time."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free over both TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


@contextlib.contextmanager
def running(argv: list[str], core: int, log: Path) -> Iterator[int]:
    """Run `argv` pinned to `core`, its output in `log`; gives its process id and ends it after."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
        )
    try:
        yield process.pid
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """TERM, and KILL for the whole tree when that does not do."""
    pids = tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_until_it_answers(port: int, pid: int, seconds: float = READY_SECONDS) -> float:
    """Seconds until `port` answers over UDP; NotReady if `pid` ends first or time runs out."""
    began = time.monotonic()
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(PROBE_SECONDS)
        udp.connect(("127.0.0.1", port))
        while (passed := time.monotonic() - began) < seconds:
            if is_zombie(pid):
                raise NotReady("it ended at once")
            if _is_answered(udp):
                return time.monotonic() - began
    raise NotReady(f"no answer within {passed:.0f} s")


def _is_answered(udp: socket.socket) -> bool:
    try:
        udp.send(PROBE)
        # NOERROR; a server that is up but has no upstream yet says SERVFAIL.
        return udp.recv(512)[3] & 0x0F == 0
    except TimeoutError:
        return False
    except ConnectionRefusedError:
        time.sleep(PROBE_PAUSE_SECONDS)
        return False


def _stat_fields(pid: int) -> list[str]:
    # The name in brackets may hold blanks: what follows the last bracket does not.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_zombie(pid: int) -> bool:
    """True once the process has ended."""
    try:
        return _stat_fields(pid)[0] == "Z"
    except FileNotFoundError:
        return True


def tree(root: int) -> list[int]:
    """`root` and all that descend from it."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children[int(_stat_fields(int(folder.name))[1])].append(int(folder.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes so far.

    The scheduler's own sum over all threads: what utime + stime in /proc/PID/stat show rounded to
    10 ms.
    """
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((thread / "schedstat").read_text().split()[0])
    return total / NANOSECONDS


def memory_octets(pids: list[int]) -> int:
    """Proportional set size of these processes: shared pages count once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
    return total
