"""Runs in the agent's container: takes memory, once it is spared itself, until the worker is gone.

The OOM killer then has the choice between keeper and worker.
"""

import json
import time
from pathlib import Path

STEP_OCTETS = 1 << 20
MOST_STEPS = 4096
KEEPER = 1  # of the container


def workers() -> set[int]:
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(KEEPER) and fields[0] != "Z":
            found.add(int(folder.name))
    return found


def main() -> None:
    while Path("/proc/self/oom_score_adj").read_text().strip() != "-1000":
        time.sleep(0.01)
    before, taken = workers(), []
    while workers() & before == before and len(taken) < MOST_STEPS:
        taken.append(bytearray(b"x" * STEP_OCTETS))
    print(json.dumps({"is_worker_gone": workers() & before != before, "mebibytes": len(taken)}))


main()
