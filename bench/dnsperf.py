"""Runs dnsperf and reads what it says."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MICROSECONDS = 1e6
CLIENTS = 8
OUTSTANDING = 200
TIMEOUT_SECONDS = 2
SPARE_SECONDS = 30
COOKIE_CODE = 10  # RFC 7873


class NoDnsperf(Exception):
    """dnsperf is not installed, or did not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of dnsperf: which names, how many times through, how fast at most, for how long."""

    names: Path
    times: int = 1
    queries_per_second: int | None = None
    seconds: float = 6.0
    has_cookie: bool = False
    is_stream: bool = False
    clients: int = CLIENTS
    outstanding: int = OUTSTANDING
    timeout_seconds: float = TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came back. Latencies are in microseconds, in order."""

    sent: int
    answered: int
    failed: int  # answers that are neither NOERROR nor NXDOMAIN
    queries_per_second: float
    latencies: list[float]

    @property
    def lost(self) -> int:
        return self.sent - self.answered

    def latency(self, share: float) -> float:
        """The latency that this share of the answers did not exceed."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]

    @property
    def mean_latency(self) -> float:
        return sum(self.latencies) / max(1, len(self.latencies))


def _arguments(load: Load, port: int) -> list[str]:
    argv = ["-s", "127.0.0.1", "-p", str(port), "-d", str(load.names), "-n", str(load.times)]
    argv += ["-l", f"{load.seconds:g}", "-c", str(load.clients), "-q", str(load.outstanding)]
    argv += ["-t", f"{load.timeout_seconds:g}", "-v"]
    if load.queries_per_second is not None:
        argv += ["-Q", str(load.queries_per_second)]
    if load.is_stream:
        argv += ["-m", "tcp"]
    if load.has_cookie:
        argv += ["-E", f"{COOKIE_CODE}:0123456789abcdef"]
    return argv


def program() -> str:
    """Where dnsperf is."""
    found = shutil.which("dnsperf")
    if found is None:
        raise NoDnsperf("dnsperf is not on PATH: install Debian's dnsperf")
    return found


def start(load: Load, port: int, core: int, output: Path) -> "subprocess.Popen[bytes]":
    """Start dnsperf pinned to `core`; what it prints goes to `output`."""
    argv = ["taskset", "-c", str(core), program(), *_arguments(load, port)]
    with output.open("wb") as file:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def run(load: Load, port: int, core: int, output: Path) -> Outcome:
    """Run dnsperf to its end."""
    process = start(load, port, core, output)
    return finish(process, load, output)


def finish(process: "subprocess.Popen[bytes]", load: Load, output: Path) -> Outcome:
    """Wait for a started dnsperf, and read its output."""
    try:
        process.wait(load.seconds + load.timeout_seconds + SPARE_SECONDS)
    finally:
        process.kill()
    return read_output(output.read_text(errors="replace"))


def read_output(text: str) -> Outcome:
    """The statistics and the latency of each answer, from a verbose run's output."""
    answers = re.findall(r"^> (\S+) .* (\d+\.\d+)$", text, re.MULTILINE)
    good = {"NOERROR", "NXDOMAIN"}
    return Outcome(
        sent=int(_statistic(text, "Queries sent")),
        answered=int(_statistic(text, "Queries completed")),
        failed=sum(rcode not in good for rcode, _ in answers),
        queries_per_second=_statistic(text, "Queries per second"),
        latencies=sorted(float(seconds) * MICROSECONDS for _, seconds in answers),
    )


def _statistic(text: str, name: str) -> float:
    match = re.search(rf"^\s*{name}:\s+([\d.]+)", text, re.MULTILINE)
    if match is None:
        raise NoDnsperf(f"dnsperf printed no {name!r}: {text[-500:]}")
    return float(match[1])
