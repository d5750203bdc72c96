"""Probes of the worker: real queries over UDP and TCP through the real sockets.

Non-blocking, driven by the keeper's epoll. The query is for a CHAOS TXT record, which
the server answers by itself (RFC 4892 names `id.server.`); REFUSED is an answer too. So no upstream
takes part. The source address is the probed one, so that no packet can leave the
host or be sent elsewhere by kube-proxy's rules: an address that is not local fails at once.
"""

import contextlib
import enum
import errno
import secrets
import select
import socket
import struct
from collections.abc import Iterable

from .options import Address

# qname id.server., qtype TXT (16), class CH (3)
QUESTION = b"\x02id\x06server\x00" + struct.pack("!HH", 16, 3)
# What a packet rule tells our probes by: linux/socket.h's SO_PRIORITY, which routes nothing.
PROBE_PRIORITY = 0x6E630001
_HEADER = struct.Struct("!HHHHHH")
_RD = 0x0100
_QR = 0x80

Target = tuple[Address, int]


class Outcome(enum.Enum):
    """The outcome of a round, or of one exchange."""

    WAITING = "waiting"
    ANSWERED = "answered"
    SILENT = "silent"


def query(message_id: int, question: bytes = QUESTION) -> bytes:
    """A query's octets: one question, recursion desired, no OPT."""
    return _HEADER.pack(message_id, _RD, 1, 0, 0, 0) + question


def is_reply(packet: bytes, message_id: int) -> bool:
    """Whether `packet` is a reply to our query, with any rcode."""
    return (
        len(packet) >= _HEADER.size
        and bool(packet[2] & _QR)
        and packet[:2] == message_id.to_bytes(2, "big")
    )


class Exchange:
    """One query over one fresh socket."""

    def __init__(self, target: Target, kind: socket.SocketKind, question: bytes) -> None:
        self.target = target
        self.kind = kind
        self.outcome = Outcome.WAITING
        self._id = secrets.randbelow(1 << 16)
        self._is_stream = kind is socket.SOCK_STREAM
        packet = query(self._id, question)
        self._unsent = struct.pack("!H", len(packet)) + packet if self._is_stream else packet
        self._received = bytearray()
        address, port = target
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with contextlib.suppress(PermissionError):  # without CAP_NET_ADMIN no rule of ours is there
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, PROBE_PRIORITY)
        try:
            self._socket.bind((str(address), 0))
            self._socket.connect((str(address), port))
        except BlockingIOError:
            pass
        except OSError:
            self.outcome = Outcome.SILENT

    def fileno(self) -> int:
        """The socket to poll, for reading and, while there is something to send, for writing."""
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """What to poll for."""
        return select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)

    def turn(self) -> None:
        """Send and receive without waiting."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            self._receive()
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EINPROGRESS):
                self.outcome = Outcome.SILENT

    def _receive(self) -> None:
        octets = self._socket.recv(4096)
        if not self._is_stream:
            if is_reply(octets, self._id):
                self.outcome = Outcome.ANSWERED
            return
        self._received += octets
        if is_reply(bytes(self._received[2:]), self._id):
            self.outcome = Outcome.ANSWERED
        elif not octets or len(self._received) > 2 + _HEADER.size:
            self.outcome = Outcome.SILENT

    def close(self) -> None:
        """Release the socket; TCP ends with a reset, which leaves no TIME_WAIT behind."""
        if self._is_stream:
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def close_quietly(self) -> None:
        """Close the descriptor only: another process goes on with the exchange."""
        self._socket.close()


class Probe:
    """Rounds of exchanges, one at a time: answered when every exchange of the round is."""

    def __init__(self, poller: select.epoll, question: bytes = QUESTION) -> None:
        self._poller = poller
        self._question = question
        self._exchanges: list[Exchange] = []
        self._deadline = 0.0
        self.silent: list[str] = []  # what did not answer in the last round, in words

    @property
    def is_running(self) -> bool:
        """A round is under way."""
        return bool(self._exchanges)

    @property
    def deadline(self) -> float:
        """When the running round counts as unanswered."""
        return self._deadline

    def start(self, targets: Iterable[Target], now: float, timeout_seconds: float) -> None:
        """Begin a round to all `targets`, by UDP and by TCP."""
        self.cancel()
        self._deadline = now + timeout_seconds
        for target in targets:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                exchange = Exchange(target, kind, self._question)
                if exchange.outcome is Outcome.WAITING:
                    exchange.turn()
                self._poller.register(exchange.fileno(), exchange.events)
                self._exchanges.append(exchange)
                self._poll(exchange)

    def turn(self, now: float) -> Outcome:
        """Go on with the round; its outcome once it has one, and then it is over."""
        for exchange in self._exchanges:
            if exchange.outcome is Outcome.WAITING:
                exchange.turn()
                self._poll(exchange)
        outcomes = {exchange.outcome for exchange in self._exchanges}
        if outcomes == {Outcome.ANSWERED}:
            self.cancel()
            return Outcome.ANSWERED
        if Outcome.SILENT in outcomes or now >= self._deadline:
            self.silent = [
                f"{exchange.target[0]} by {'TCP' if exchange.kind is socket.SOCK_STREAM else 'UDP'}"
                for exchange in self._exchanges
                if exchange.outcome is not Outcome.ANSWERED
            ]
            self.cancel()
            return Outcome.SILENT
        return Outcome.WAITING

    def cancel(self) -> None:
        """Forget the running round."""
        for exchange in self._exchanges:
            if exchange.outcome is Outcome.WAITING:
                self._forget(exchange)
        self._exchanges = []

    def _poll(self, exchange: Exchange) -> None:
        """Register what the exchange waits for, or remove it if it is over."""
        if exchange.outcome is Outcome.WAITING:
            self._poller.modify(exchange.fileno(), exchange.events)
        else:
            self._forget(exchange)

    def _forget(self, exchange: Exchange) -> None:
        self._poller.unregister(exchange.fileno())
        exchange.close()

    def close_in_child(self) -> None:
        """After a fork, in the child: close the sockets and disturb nothing."""
        for exchange in self._exchanges:
            exchange.close_quietly()
