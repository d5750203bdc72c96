"""A stand-in for kube-dns or a resolver that answers late: after a time, or once it is told to.

It knows names below some zones; all others do not exist.
"""

import contextlib
import selectors
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

HEADER = struct.Struct("!6H")
SOA = b"\0\0\6\0\1\0\0\0\x1e\0\x16\0\0" + struct.pack("!5L", 1, 7200, 900, 86400, 30)
ADDRESSES = {1: bytes((192, 0, 2, 1)), 28: bytes.fromhex("20010db8" + "00" * 11 + "01")}


@dataclass
class LateUpstream:
    """Serves by UDP and TCP at port 53 of `host`, in a thread; `asked` counts questions.

    Answers are given after `seconds`; or, where that is None, by whoever takes them.
    """

    host: str
    zones: tuple[str, ...]
    seconds: float | None
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._owed: list[tuple[float, Callable[[bytes], None], bytes]] = []
        self._held: set[str] = set()
        self._taken: set[str] = set()
        self._lock = threading.Lock()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((self.host, 53))
        tcp = socket.create_server((self.host, 53))
        self._selector.register(udp, selectors.EVENT_READ, self._read_datagram)
        self._selector.register(tcp, selectors.EVENT_READ, self._accept)
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def held(self) -> list[str]:
        """Questions whose answers are held; asked twice, they are one."""
        return sorted(self._held)

    def take_owed(self) -> list[Callable[[], None]]:
        """What gives the answers that are held; later ones are none of them."""
        with self._lock:
            owed, self._owed = self._owed, []
            self._taken |= self._held
            self._held = set()
        return [partial(send, reply) for _, send, reply in owed]

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(self._until_due()):
                key.data(key.fileobj)
            self._send_due()

    def _until_due(self) -> float | None:
        if self.seconds is None or not self._owed:
            return None
        return max(0.0, self._owed[0][0] - monotonic())

    def _send_due(self) -> None:
        while self.seconds is not None and self._owed and self._owed[0][0] <= monotonic():
            _, send, reply = self._owed.pop(0)
            send(reply)

    def _read_datagram(self, udp: socket.socket) -> None:
        packet, client = udp.recvfrom(4096)
        self._owe(packet, lambda reply: _quietly(udp.sendto, reply, client))

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        # Or the second of two answers waits for the first one's delayed acknowledgement: 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        unread = bytearray()
        self._selector.register(
            connection, selectors.EVENT_READ, lambda tcp: self._read_stream(tcp, unread)
        )

    def _read_stream(self, tcp: socket.socket, unread: bytearray) -> None:
        octets = b""
        with contextlib.suppress(OSError):
            octets = tcp.recv(65536)
        if not octets:
            self._selector.unregister(tcp)
            tcp.close()
            return
        unread += octets
        while len(unread) >= 2 and len(unread) >= 2 + (size := int.from_bytes(unread[:2], "big")):
            packet = bytes(unread[2 : 2 + size])
            del unread[: 2 + size]
            self._owe(
                packet,
                lambda reply: _quietly(tcp.sendall, struct.pack("!H", len(reply)) + reply),
            )

    def _owe(self, packet: bytes, send: Callable[[bytes], None]) -> None:
        now = monotonic()
        labels, qtype, reply = self._answer(packet)
        if qtype not in ADDRESSES:
            send(reply)  # the agent's own questions: probes, loops, kube-dns' pods
            return
        question = f"{'.'.join(labels)}. {'A' if qtype == 1 else 'AAAA'}"
        with self._lock:
            self.asked[question] += 1
            if (
                question in self._taken
            ):  # asked a second time, by a hedge, while the first was answered
                send(reply)
                return
            self._held.add(question)
            self._owed.append((now + (self.seconds or 0.0), send, reply))

    def _answer(self, packet: bytes) -> tuple[list[str], int, bytes]:
        """The question's labels and type, and the answer."""
        at, labels = HEADER.size, []
        while size := packet[at]:
            labels.append(packet[at + 1 : at + 1 + size].decode("latin-1").lower())
            at += 1 + size
        question = packet[HEADER.size : at + 5]
        qtype = int.from_bytes(packet[at + 1 : at + 3], "big")
        name = ".".join(labels)
        exists = any(name.endswith(f".{zone}") for zone in self.zones)
        data = ADDRESSES.get(qtype) if exists else None
        head = HEADER.pack(
            int.from_bytes(packet[:2], "big"),
            0x8580 if exists else 0x8583,
            1,
            bool(data),
            not data,
            0,
        )
        if data is None:
            return labels, qtype, head + question + SOA
        record = b"\xc0\x0c" + struct.pack("!HHLH", qtype, 1, 30, len(data)) + data
        return labels, qtype, head + question + record


def _quietly(send: Callable[..., object], *arguments: object) -> None:
    with contextlib.suppress(OSError):
        send(*arguments)
