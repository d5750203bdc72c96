"""A query as a connection knows it: what to send, and whom to tell what became of it."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol


class Carrier(Protocol):
    """The connection or socket that a query left on."""

    @property
    def path(self) -> str:
        """Both ends, as Go writes them."""


class OutgoingQuery:
    """A query on its way to one server, once. `carrier` is None while it waits for a connection."""

    __slots__ = ("by_stream", "carrier", "question", "sent_at")

    by_stream: bool
    carrier: Carrier | None
    question: bytes
    sent_at: float

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""

    @abstractmethod
    def framed(self, message_id: int) -> bytes:
        """What to send, behind its length."""

    @abstractmethod
    def answered(self, packet: bytes, now: float) -> None:
        """An answer came; `packet` has the id and the question that were sent."""

    @abstractmethod
    def failed(self, reason: str, now: float, *, is_connect: bool = False) -> None:
        """It will bring no answer."""

    @abstractmethod
    def lost(self, reason: str, now: float, *, has_worked: bool) -> None:
        """Its connection ended, which may not be the upstream's fault."""

    @abstractmethod
    def reroute(self, now: float, *, is_unread: bool = False) -> None:
        """Its connection or port says nothing any more, or reads nothing any more."""

    @abstractmethod
    def slowed(self, now: float) -> None:
        """It was not answered at once."""


# What happens to many queries at once: work for the queue.


def slowed(query: OutgoingQuery, now: float) -> None:
    """It was not answered at once."""
    query.slowed(now)


def rerouted(query: OutgoingQuery, now: float) -> None:
    """Its connection or port says nothing any more."""
    query.reroute(now)


def unread(query: OutgoingQuery, now: float) -> None:
    """Its connection took no more queries when this one was sent."""
    query.reroute(now, is_unread=True)


def failing(reason: str, *, is_connect: bool = False) -> Callable[[OutgoingQuery, float], None]:
    """Make the function that tells queries why they bring no answer."""

    def failed(query: OutgoingQuery, now: float) -> None:
        query.failed(reason, now, is_connect=is_connect)

    return failed
