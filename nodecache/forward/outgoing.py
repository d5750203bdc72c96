"""A query as connections see it: the message to send, and the callbacks for its result."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol


class Carrier(Protocol):
    """The connection or socket that a query was sent on."""

    @property
    def path(self) -> str:
        """Both ends as Go writes them: `10.0.0.1:1234->10.96.0.10:53`."""


class OutgoingQuery:
    """A query that is sent to one server once. `carrier` is None while it waits for a connection."""

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
        """The message to send, behind its length prefix."""

    @abstractmethod
    def answered(self, packet: bytes, now: float) -> None:
        """Take an answer; `packet` has the id and the question that were sent."""

    @abstractmethod
    def failed(self, reason: str, now: float, *, is_connect: bool = False) -> None:
        """The attempt failed: no answer will come."""

    @abstractmethod
    def lost(self, reason: str, now: float, *, has_worked: bool) -> None:
        """The connection ended before the answer came; the upstream need not be at fault."""

    @abstractmethod
    def reroute(self, now: float, *, is_unread: bool = False) -> None:
        """The connection or port is silent; `is_unread`: it did not read the query either."""

    @abstractmethod
    def slowed(self, now: float) -> None:
        """No answer came at once."""


# Events that may concern thousands of queries at once, as functions for the work queue.


def slowed(query: OutgoingQuery, now: float) -> None:
    """No answer came at once."""
    query.slowed(now)


def rerouted(query: OutgoingQuery, now: float) -> None:
    """Its connection or port says nothing any more."""
    query.reroute(now)


def unread(query: OutgoingQuery, now: float) -> None:
    """The connection was closed for new queries when this one was sent."""
    query.reroute(now, is_unread=True)


def failing(reason: str, *, is_connect: bool = False) -> Callable[[OutgoingQuery, float], None]:
    """Make a function that fails queries with this reason."""

    def failed(query: OutgoingQuery, now: float) -> None:
        query.failed(reason, now, is_connect=is_connect)

    return failed
