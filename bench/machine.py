"""What the figures were measured on, and which cores do what."""

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

VERSION = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Which core serves, and which one makes the load and plays the upstream."""

    server: int
    load: int


def choose_cores() -> Cores:
    """The first and the last core this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        print(
            "bench: only one core: server and load share it, figures mean little", file=sys.stderr
        )
    return Cores(server=usable[0], load=usable[-1])


def processor() -> str:
    """The processor's name as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def describe() -> str:
    """One line: processor, cores, kernel, Python, date, and how busy the machine is already."""
    load = os.getloadavg()[0]
    return (
        f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d %H:%M')}, "
        f"load before the run {load:.2f}"
    )


def version_of(argv: list[str]) -> str:
    """The first line with a version number that `argv` prints, or "" when there is none."""
    result = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    lines = (result.stdout + result.stderr).splitlines()
    return next((line.strip() for line in lines if VERSION.search(line)), "")
