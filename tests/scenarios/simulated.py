"""A world without sockets or waiting: time passes when told to, upstreams do as they are told."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from nodecache.forward import Endpoint

START = 1000.0


@dataclass(eq=False)
class Outgoing:
    """One message that left us, and the way back."""

    transport: str
    endpoint: Endpoint
    packet: bytes
    at: float
    way: "SimulatedStream | SimulatedDatagram"

    def answer(self, packet: bytes) -> None:
        """Send `packet` back on the way that the message came."""
        self.way.deliver(packet)


@dataclass(eq=False)
class Machine:
    """What stands at an address. `mood`: alive, dead (drops every packet) or refusing."""

    host: str
    mood: str = "alive"
    takes_streams: bool = True
    streams: list["SimulatedStream"] = field(default_factory=list)


class SimulatedTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class SimulatedWorld:
    """Implements `nodecache.forward.Runtime`. `sent` is everything that left us, in order."""

    def __init__(self) -> None:
        self.now = START
        self.sent: list[Outgoing] = []
        self.machines: dict[str, Machine] = {}
        self.opened_datagrams = 0
        self._soon: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, SimulatedTimer]] = []
        self._order = count()

    # What the forwarder asks for

    def clock(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> SimulatedTimer:
        timer = SimulatedTimer(callback)
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), timer))
        return timer

    def open_stream(self, endpoint, receiver, tls=None, source_address="") -> "SimulatedStream":
        return SimulatedStream(self, endpoint, receiver)

    def open_datagram(self, endpoint, receiver, source_address="") -> "SimulatedDatagram":
        self.opened_datagrams += 1
        return SimulatedDatagram(self, endpoint, receiver, self.opened_datagrams)

    def is_own(self, endpoint: Endpoint, listen_addresses: frozenset[tuple[str, int]]) -> bool:
        return (endpoint.host, endpoint.port) in listen_addresses

    # What a test does

    def machine(self, host: str) -> Machine:
        """What stands at `host`: alive until told otherwise."""
        return self.machines.setdefault(host, Machine(host))

    def settle(self) -> None:
        """Let everything happen that takes no time."""
        while self._soon:
            self._soon.popleft()()

    def advance(self, seconds: float) -> None:
        """Let time pass, with all that happens meanwhile."""
        self.settle()
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end + 1e-9:
            at, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if timer.callback is not None:
                callback, timer.callback = timer.callback, None
                callback()
                self.settle()
        self.now = end

    @property
    def is_quiet(self) -> bool:
        """Whether no timer runs."""
        return all(timer.callback is None for _, _, timer in self._timers)


class SimulatedStream:
    """A connection to a machine; frames come apart here, whole messages reach `sent`."""

    def __init__(self, world: SimulatedWorld, endpoint: Endpoint, receiver) -> None:
        self.world = world
        self.endpoint = endpoint
        self.receiver = receiver
        self.is_open = False
        self.is_closed = False
        self.is_cut_off = False
        self.unread = b""
        self.machine = world.machine(endpoint.host)
        self.local = f"10.0.0.1:{40000 + len(self.machine.streams)}"
        self.machine.streams.append(self)
        world.call_soon(self._open)

    def _open(self) -> None:
        if self.is_closed or self.is_cut_off:
            return
        if self.machine.mood == "refusing" or not self.machine.takes_streams:
            self.end(ConnectionRefusedError(111, "Connection refused"))
        elif self.machine.mood == "alive":
            self.is_open = True
            self.receiver.opened(self.world.now)

    def write(self, data: bytes) -> None:
        self.unread += data
        while len(self.unread) >= 2 + (size := int.from_bytes(self.unread[:2], "big")):
            packet, self.unread = self.unread[2 : 2 + size], self.unread[2 + size :]
            self.world.sent.append(
                Outgoing(self.transport, self.endpoint, packet, self.world.now, self)
            )

    @property
    def transport(self) -> str:
        return "TLS" if self.endpoint.is_tls else "TCP"

    def is_acknowledged(self) -> bool:
        return self.machine.mood == "alive" and not self.is_cut_off

    def poll(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True
        self.is_open = False
        self.local = ""

    def deliver(self, packet: bytes) -> None:
        self.deliver_octets(len(packet).to_bytes(2, "big") + packet)

    def deliver_octets(self, data: bytes) -> None:
        if self.is_open and not self.is_cut_off:
            self.receiver.received(data, self.world.now)
            self.world.settle()

    def end(self, error: Exception | None) -> None:
        """The other side hangs up, or resets."""
        if not self.is_closed:
            self.close()
            self.receiver.closed(error, self.world.now)
            self.world.settle()


class SimulatedDatagram:
    """A connected UDP socket."""

    def __init__(self, world: SimulatedWorld, endpoint: Endpoint, receiver, number: int) -> None:
        self.world = world
        self.endpoint = endpoint
        self.receiver = receiver
        self.local = f"10.0.0.1:{50000 + number}"
        self.is_closed = False

    def send(self, packet: bytes) -> OSError | None:
        world = self.world
        world.sent.append(Outgoing("UDP", self.endpoint, packet, world.now, self))
        if world.machine(self.endpoint.host).mood == "refusing":
            world.call_soon(self._refuse)
        return None

    def _refuse(self) -> None:
        if not self.is_closed:
            error = ConnectionRefusedError(111, "Connection refused")
            self.receiver.refused(error, self.world.now)

    def deliver(self, packet: bytes) -> None:
        if not self.is_closed and self.world.machine(self.endpoint.host).mood == "alive":
            self.receiver.received(packet, self.world.now)
            self.world.settle()

    def close(self) -> None:
        self.is_closed = True
