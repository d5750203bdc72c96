"""Runs in the agent's container: what its worker is, and may do.

Prints one JSON object: pid, user id, bounding set of capabilities (0 when empty), and when its
keeper started, in ticks; or {} for none.
"""

import json
from pathlib import Path

KEEPER = "1"  # of the container


def started_at(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[19])


def main() -> None:
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            status = dict(
                line.split(":\t", 1) for line in (folder / "status").read_text().splitlines()
            )
        except (OSError, ValueError):
            continue
        if fields[1] == KEEPER and fields[0] != "Z":
            user, bounding = int(status["Uid"].split()[0]), int(status["CapBnd"], 16)
            told = {"pid": int(folder.name), "user": user, "bounding": bounding}
            print(json.dumps(told | {"keeper": started_at(Path("/proc") / KEEPER)}))
            return
    print("{}")


main()
