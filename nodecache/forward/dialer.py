"""Opens connections to one upstream: when to dial, when to dial one more in parallel, when to back off.

The law of this module: no socket, no clock. Its owner opens the connections.
"""

from collections.abc import Callable
from typing import Final

from .transport.stream import StreamConnection

# A packet lost in opening costs a second by the kernel's clock (RFC 6298 §2); and a Service
# address may have sent us to a pod that is gone. While queries wait, others are opened besides,
# quickly at first, and the first that stands is taken. How quickly depends on how long the last
# one took; before there was one, TLS gets more time.
_REDIAL_SECONDS: Final = 0.025
_REDIAL_FACTOR: Final = 3
_UNKNOWN_TLS_SECONDS: Final = 0.05
_SLOW_REDIAL_SECONDS: Final = 0.1
_MAX_OPENING: Final = 8
# To a server that takes few queries on each connection, which would get no more than those each time that one
# takes to open: 80 queries a second where a handshake takes 100 ms.
_MAX_WANTED: Final = 64
# How long a query waits for a connection. CoreDNS: 1 to 30 s.
DIAL_SECONDS: Final = 1.0
_FIRST_BACK_OFF_SECONDS: Final = 0.02
_MAX_BACK_OFF_SECONDS: Final = 0.25  # being refused costs little, and its end should not be missed


class Dialer:
    """The connections that are being opened. `open_one` begins to open one."""

    __slots__ = ("_back_off_seconds", "_may_dial_at", "_open_one", "_opened_in", "opening")

    def __init__(self, open_one: Callable[[float], StreamConnection], *, is_tls: bool) -> None:
        self._open_one = open_one
        self.opening: list[StreamConnection] = []
        self._back_off_seconds = 0.0
        self._may_dial_at = 0.0
        self._opened_in = _UNKNOWN_TLS_SECONDS if is_tls else 0.0

    def dial(self, now: float, wanted: int = 1) -> None:
        """Have up to `wanted` connections opening, unless one was refused too short a time ago."""
        if now >= self._may_dial_at:
            for _ in range(min(wanted, _MAX_WANTED) - len(self.opening)):
                self.opening.append(self._open_one(now))

    def opened(self, connection: StreamConnection, now: float) -> None:
        """One was opened."""
        self.opening.remove(connection)
        self._opened_in = now - connection.opened_at
        self._back_off_seconds = 0.0

    def failed(self, connection: StreamConnection, now: float) -> None:
        """One was refused, or ended before it was open."""
        self.opening.remove(connection)
        self._back_off_seconds = min(
            max(2 * self._back_off_seconds, _FIRST_BACK_OFF_SECONDS), _MAX_BACK_OFF_SECONDS
        )
        self._may_dial_at = now + self._back_off_seconds

    def give_up_oldest(self, now: float) -> None:
        """Give up the oldest one if it timed out."""
        if self.opening and now - self.opening[0].opened_at > DIAL_SECONDS:
            self.opening.pop(0).stream.close()

    def wants_another(self, now: float) -> bool:
        """Whether those that are opening take so long that another is to be opened in parallel."""
        if now < self._may_dial_at:
            return False
        if not self.opening:
            return True
        patience = max(_REDIAL_FACTOR * self._opened_in, _REDIAL_SECONDS)
        if len(self.opening) >= _MAX_OPENING:
            patience = max(patience, _SLOW_REDIAL_SECONDS)
        return now - self.opening[-1].opened_at > patience

    def dial_another(self, now: float) -> None:
        """Open one more in parallel; where there are too many, the oldest is closed."""
        if len(self.opening) >= _MAX_OPENING:
            self.opening.pop(0).stream.close()
        self.opening.append(self._open_one(now))

    def close(self) -> None:
        """Close all that are opening."""
        for connection in self.opening:
            connection.is_open = False
            connection.stream.close()
        self.opening.clear()
