"""Clients: one query, and a stream of them at an even pace whose losses and gaps are counted."""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from tests.patience import PATIENCE_SECONDS

Address = IPv4Address | IPv6Address
# id.server. CH TXT: the agent REFUSEs it by itself, the stand-in kube-dns answers it.
QUESTION = b"\x02id\x06server\x00\x00\x10\x00\x03"
REFUSED, NOERROR = 5, 0
_LATE_SECONDS = 8.0  # for what two workers read at once, or a third has to read after them


def ask(address: Address, protocol: str = "udp", seconds: float = PATIENCE_SECONDS) -> int | None:
    """Ask from the namespace this thread is in; the rcode, or None."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    packet = os.urandom(2) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION
    with socket.socket(family, kind) as client:
        client.settimeout(seconds)
        try:
            client.connect((str(address), 53))
            client.sendall(packet if protocol == "udp" else struct.pack("!H", len(packet)) + packet)
            reply = client.recv(4096)
        except OSError:
            return None
    reply = reply if protocol == "udp" else reply[2:]
    return reply[3] & 15 if reply[:2] == packet[:2] else None


def ask_on(connection: socket.socket) -> int | None:
    """The rcode of a query on an open connection; None when it is at its end."""
    packet = os.urandom(2) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION
    try:
        connection.sendall(struct.pack("!H", len(packet)) + packet)
        reply = connection.recv(4096)
    except OSError:
        return None
    return reply[5] & 15 if reply[2:4] == packet[:2] else None


@dataclass
class Answered:
    """What a stream of queries saw: when each was sent, and which rcode came (None: nothing)."""

    sent_at: list[float] = field(default_factory=list)
    rcodes: list[int | None] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return sum(rcode is None for rcode in self.rcodes)

    def rcodes_after(self, moment: float) -> set[int | None]:
        return {code for at, code in zip(self.sent_at, self.rcodes, strict=True) if at >= moment}


class Asker:
    """Asks by UDP at an even pace in a thread of its own, each query from a fresh port.

    Each is waited for to the end: one that is answered late, on a busy machine, is not lost.
    """

    def __init__(self, family: int = 4) -> None:
        self._family = socket.AF_INET if family == 4 else socket.AF_INET6
        self._is_on = True
        self.answered = Answered()
        self._by_socket: dict[int, tuple[socket.socket, int]] = {}
        self._thread: threading.Thread | None = None

    def start(self, address: Address, namespace: Any, every_seconds: float = 0.01) -> None:
        def body() -> None:
            with namespace.entered():
                self._run(address, every_seconds)

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    def _run(self, address: Address, every_seconds: float) -> None:
        poller = select.poll()
        self._ask_while(lambda: self._is_on, address, every_seconds, poller)
        asked = len(self.answered.rcodes)
        # What was asked before another one that is answered now has been read, or will never be.
        end = time.monotonic() + PATIENCE_SECONDS
        self._ask_while(
            lambda: not any(code is not None for code in self.answered.rcodes[asked:])
            and time.monotonic() < end,
            address, every_seconds, poller,
        )  # fmt: skip
        end = time.monotonic() + _LATE_SECONDS
        while time.monotonic() < end and None in self.answered.rcodes[:asked]:
            self._receive(poller, 0.05)
        for client, _ in self._by_socket.values():
            client.close()
        del self.answered.sent_at[asked:], self.answered.rcodes[asked:]

    def _ask_while(
        self, holds: Callable[[], bool], address: Address, every_seconds: float, poller: select.poll
    ) -> None:
        due = time.monotonic()
        while holds():
            now = time.monotonic()
            if now >= due:
                due += every_seconds
                self._send(address, now, poller)
            self._receive(poller, max(0.0, due - time.monotonic()))

    def _send(self, address: Address, now: float, poller: select.poll) -> None:
        client = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        number = len(self.answered.rcodes)
        self.answered.sent_at.append(now)
        self.answered.rcodes.append(None)
        header = struct.pack("!H", number & 0xFFFF) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        try:
            client.connect((str(address), 53))
            client.send(header + QUESTION)
        except OSError:
            client.close()
            return
        self._by_socket[client.fileno()] = (client, number)
        poller.register(client, select.POLLIN)

    def _receive(self, poller: select.poll, seconds: float) -> None:
        for descriptor, _ in poller.poll(seconds * 1000):
            client, number = self._by_socket.pop(descriptor)
            poller.unregister(descriptor)
            with contextlib.suppress(OSError):
                self.answered.rcodes[number] = client.recv(4096)[3] & 15
            client.close()

    def stop(self) -> Answered:
        self._is_on = False
        self._thread.join(2 * PATIENCE_SECONDS)
        return self.answered
