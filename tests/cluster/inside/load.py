"""Runs in a pod: asks its resolv.conf's first server at a steady pace, one source port a query.

    load.py QUERIES_PER_SECOND SECONDS NAME...

LOAD_SERVER is another server to ask; with LOAD_PROTOCOL=tcp each query has a connection of its own.

`{ip}` in a name is another address, in dashes, for each query: a name that nobody has asked for yet.

Prints one JSON object: sent, lost, failed (rcodes), the longest time from one answered query to the
next with others between them in milliseconds, latencies in microseconds, and when the first was sent (seconds of 1970).
"""

import bisect
import json
import os
import resource
import select
import socket
import struct
import sys
import time
from pathlib import Path

WAIT_SECONDS = 2.0
FIRST_NEW = int(time.time() * 1000) % (1 << 31)  # other names in each run
OPEN_FILES = 8192


def nameserver() -> str:
    lines = Path("/etc/resolv.conf").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("nameserver"))


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    return b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0\0\1\0\1"


class Load:
    """Sends at a pace; keeps what is in flight and when what was answered was sent."""

    def __init__(self, server: str, names: list[str]) -> None:
        self.server = server
        self.names = names
        self.questions = [question(name) for name in names]
        self.epoll = select.epoll()
        self.in_flight: dict[int, tuple[socket.socket, float]] = {}  # oldest first
        self.answered: list[tuple[float, float]] = []  # sent at, seconds until answered
        self.sent_at: list[float] = []
        self.refused = 0
        self.failed: dict[int, int] = {}

    def send(self) -> None:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        query = self.next_query()
        sent_at = self.sent_at[-1]
        try:
            udp.connect((self.server, 53))
            udp.send(query)
        except OSError:
            self.refused += 1
            udp.close()
            return
        self.in_flight[udp.fileno()] = (udp, sent_at)
        self.epoll.register(udp, select.EPOLLIN)

    @property
    def sent(self) -> int:
        return len(self.sent_at)

    def next_query(self) -> bytes:
        """It counts as sent from now on."""
        message_id = struct.pack("!H", self.sent & 0xFFFF)
        self.sent_at.append(time.monotonic())
        return message_id + self.next_question()

    def next_question(self) -> bytes:
        place = self.sent % len(self.names)
        name = self.names[place]
        if "{ip}" not in name:
            return self.questions[place]
        octets = (FIRST_NEW + self.sent).to_bytes(4, "big")
        return question(name.format(ip="-".join(map(str, octets))))

    def receive(self, seconds: float) -> None:
        for fd, _ in self.epoll.poll(max(0.0, seconds)):
            udp, sent_at = self.in_flight.pop(fd)
            try:
                reply = udp.recv(4096)
            except OSError:
                self.refused += 1
            else:
                self.take(reply, sent_at)
            udp.close()

    def take(self, reply: bytes, sent_at: float) -> None:
        if rcode := reply[3] & 0x0F:
            self.failed[rcode] = self.failed.get(rcode, 0) + 1
        else:
            self.answered.append((sent_at, time.monotonic() - sent_at))

    def give_up(self, before: float) -> None:
        """Close what has waited for longer than anybody would."""
        for fd, (udp, sent_at) in list(self.in_flight.items()):
            if sent_at >= before:
                break
            del self.in_flight[fd]
            udp.close()

    def run(self, pace: float, seconds: float) -> dict[str, object]:
        began, wall = time.monotonic(), time.time()
        end = began + seconds
        while (now := time.monotonic()) < end:
            while began + self.sent / pace <= now:
                self.send()
            self.give_up(now - WAIT_SECONDS)
            self.receive(began + self.sent / pace - time.monotonic())
        while self.in_flight and time.monotonic() < end + WAIT_SECONDS:
            self.receive(0.1)
            self.give_up(time.monotonic() - WAIT_SECONDS)
        return self.outcome(wall, began, end)

    def outcome(self, wall: float, began: float, end: float) -> dict[str, object]:
        gap = self.longest_gap(began, end)
        latencies = sorted(seconds for _, seconds in self.answered) or [0.0]
        at = {name: latencies[int(share * (len(latencies) - 1))] * 1e6 for name, share in SHARES}
        return {
            "sent": self.sent,
            "lost": self.sent - len(self.answered) - sum(self.failed.values()),
            "refused": self.refused,
            "failed": {str(rcode): count for rcode, count in self.failed.items()},
            "longest_gap_ms": gap[0] * 1000,
            "gap_at_seconds": gap[1] - began,
            "began_at": wall,
            **at,
        }

    def longest_gap(self, began: float, end: float) -> tuple[float, float]:
        """The longest time from one answered query to the next with others between them; its start.

        A pause of this program itself, in which it sends nothing, is none.
        """
        times = [began, *sorted(sent_at for sent_at, _ in self.answered), end]
        unanswered = set(self.sent_at).difference(times)
        places = {bisect.bisect(times, sent_at) for sent_at in unanswered} - {len(times)}
        gaps = ((times[place] - times[place - 1], times[place - 1]) for place in places)
        return max(gaps, default=(0.0, began))


class TcpLoad(Load):
    """A connection for each query; one that is refused or reset is a query lost."""

    def __init__(self, server: str, names: list[str]) -> None:
        super().__init__(server, names)
        self.connecting: dict[int, bytes] = {}  # what to send once it is there

    def send(self) -> None:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        query = self.next_query()
        self.in_flight[tcp.fileno()] = (tcp, self.sent_at[-1])
        self.connecting[tcp.fileno()] = struct.pack("!H", len(query)) + query
        tcp.connect_ex((self.server, 53))
        self.epoll.register(tcp, select.EPOLLOUT)

    def receive(self, seconds: float) -> None:
        for fd, _ in self.epoll.poll(max(0.0, seconds)):
            tcp, sent_at = self.in_flight[fd]
            try:
                if (query := self.connecting.pop(fd, None)) is not None:
                    tcp.send(query)
                    self.epoll.modify(tcp, select.EPOLLIN)
                    continue
                reply = tcp.recv(4096)[2:]
            except OSError:
                reply = b""
            if reply:
                self.take(reply, sent_at)
            else:
                self.refused += 1
            del self.in_flight[fd]
            tcp.close()

    def give_up(self, before: float) -> None:
        super().give_up(before)
        self.connecting = {fd: it for fd, it in self.connecting.items() if fd in self.in_flight}


SHARES = (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999), ("max_us", 1.0))


def main() -> None:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    pace, seconds, names = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    server = os.environ.get("LOAD_SERVER") or nameserver()
    kind = TcpLoad if os.environ.get("LOAD_PROTOCOL") == "tcp" else Load
    print(json.dumps(kind(server, names).run(pace, seconds)))


main()
