"""Runs in the agent's container: fills shared memory, which counts for the container but belongs to
no process, until the OOM killer has taken the worker.

Prints one JSON object: whether the worker went, and how many MiB that took.
"""

import json
import mmap
from pathlib import Path

STEP_OCTETS = 1 << 20
HOARD = Path("/dev/shm/hoard")  # 64 MiB in a container, unless somebody gave it more
KEEPER = "1"  # of the container


def workers() -> set[int]:
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == KEEPER and fields[0] != "Z":
            found.add(int(folder.name))
    return found


def main() -> None:
    before, taken = workers(), 0
    page = mmap.mmap(-1, STEP_OCTETS)
    with HOARD.open("wb", buffering=0) as hoard:
        try:
            while workers() & before == before:
                hoard.write(page)
                taken += 1
        except OSError:
            pass  # full: it was not enough
        finally:
            HOARD.unlink()
    print(json.dumps({"is_worker_gone": workers() & before != before, "mebibytes": taken}))


main()
