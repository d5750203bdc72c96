"""How many queries go upstream when many clients ask for the same new name at once."""

import select
import socket
import statistics
import struct
import time

from bench.context import Bench
from bench.peers import Found
from bench.stage import Stage, each, set_stage
from bench.table import markdown_table

CLIENTS = 100
NAMES = 10
WAIT_SECONDS = 3.0


def report(bench: Bench) -> str:
    """One row a server."""
    rows = each(bench.caches(), lambda found: _row(bench, found))
    header = ["server", "queries upstream, median", "most", "clients answered"]
    title = f"## {CLIENTS} clients ask for the same new name at once"
    return f"{title}\n\n" + markdown_table(header, rows)


def _row(bench: Bench, found: Found) -> list[str]:
    sent, answered = [], 0
    with set_stage(found, bench.cores, bench.workspace) as stage:
        for number in range(NAMES):
            before = stage.upstream_queries()
            answered += _ask_together(stage, f"new-{number}.slow")
            sent.append(stage.upstream_queries() - before)
    share = answered / (CLIENTS * NAMES)
    return [found.peer.name, f"{statistics.median(sent):.0f}", str(max(sent)), f"{share:.0%}"]


def _ask_together(stage: Stage, name: str) -> int:
    """Ask from CLIENTS sockets; how many were answered."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(CLIENTS)]
    try:
        for number, client in enumerate(sockets):
            client.connect(("127.0.0.1", stage.port))
            header = struct.pack("!6H", 1000 + number, 0x0100, 1, 0, 0, 0)
            client.send(header + labels + b"\0\0\1\0\1")
        return _count_answered(sockets)
    finally:
        for client in sockets:
            client.close()


def _count_answered(sockets: list[socket.socket]) -> int:
    waiting = set(sockets)
    deadline = time.monotonic() + WAIT_SECONDS
    while waiting and (left := deadline - time.monotonic()) > 0:
        waiting.difference_update(select.select(list(waiting), [], [], left)[0])
    return len(sockets) - len(waiting)
