"""Runs in a pod: looks a name up as programs do, with the pod's own resolv.conf and search path.

    lookup.py NAME SECONDS

Prints one JSON object: how many lookups, and their latencies in microseconds.
"""

import json
import socket
import sys
import time

PAUSE_SECONDS = 0.002


def main() -> None:
    name, seconds = sys.argv[1], float(sys.argv[2])
    latencies, failed = [], 0
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        try:
            socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
        except OSError:
            failed += 1
        latencies.append((time.monotonic() - began) * 1e6)
        time.sleep(PAUSE_SECONDS)
    latencies.sort()
    at = {"p50_us": 0.5, "p99_us": 0.99}
    figures = {key: latencies[int(share * (len(latencies) - 1))] for key, share in at.items()}
    print(json.dumps({"lookups": len(latencies), "failed": failed, **figures}))


main()
