"""A query sent to one upstream, once; and who is told what becomes of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nodecache.wire import Query, with_question

if TYPE_CHECKING:
    from .upstream import Upstream


class Carrier(Protocol):
    """The connection or socket that an attempt left on."""

    @property
    def path(self) -> str:
        """Both ends, as Go writes them."""


class Attempt:
    """An ask sent to one upstream, once. `carrier` is None while it waits for a connection."""

    __slots__ = ("ask", "by_stream", "carrier", "question", "sent_at", "upstream")

    def __init__(
        self,
        ask: "Waiter",
        upstream: "Upstream",
        question: bytes,
        now: float,
        by_stream: bool,  # noqa: FBT001 - made for every query, and keywords cost
    ) -> None:
        self.ask = ask
        self.upstream = upstream
        self.question = question
        self.sent_at = now
        self.by_stream = by_stream
        self.carrier: Carrier | None = None

    def with_question(self, packet: bytes) -> bytes:
        """An error that came without a question, with the one that was asked."""
        return with_question(packet, self.question)


class Waiter(Protocol):
    """Whose query it is. `is_done`: nobody waits for an answer any more."""

    query: Query
    is_done: bool

    def answered(self, attempt: Attempt, packet: bytes, now: float) -> None:
        """An answer came; `packet` has the id and the question of `attempt`."""

    def attempt_failed(
        self, attempt: Attempt, reason: str, now: float, *, is_connect: bool = False
    ) -> None:
        """It will bring no answer."""

    def connection_lost(
        self, attempt: Attempt, reason: str, now: float, *, has_worked: bool
    ) -> None:
        """Its connection ended, which may not be the upstream's fault."""

    def evacuate(self, attempt: Attempt, now: float) -> None:
        """Its connection says nothing any more."""

    def slowed(self, attempt: Attempt, now: float) -> None:
        """It was not answered at once."""


# What befalls many attempts at once: acts for `Turns.take`.


def slowed(attempt: Attempt, now: float) -> None:
    """It was not answered at once."""
    attempt.ask.slowed(attempt, now)


def evacuated(attempt: Attempt, now: float) -> None:
    """Its connection or port says nothing any more."""
    attempt.ask.evacuate(attempt, now)


def failing(reason: str, *, is_connect: bool = False) -> Callable[[Attempt, float], None]:
    """Make the act that tells attempts why they bring no answer."""

    def failed(attempt: Attempt, now: float) -> None:
        attempt.ask.attempt_failed(attempt, reason, now, is_connect=is_connect)

    return failed
