"""One attempt: a query sent to one upstream once, and the owner that is told the result."""

from abc import abstractmethod
from typing import Protocol

from nodecache.wire import Query, framed_upstream_query, with_question

from .outgoing import OutgoingQuery
from .upstream import Upstream


class Attempt(OutgoingQuery):
    """A query sent to one upstream once. `owner` is told the result."""

    __slots__ = ("upstream",)

    upstream: Upstream

    @property
    @abstractmethod
    def owner(self) -> "AttemptOwner":
        """The object that is told the result."""

    def failed(self, reason: str, now: float, *, is_connect: bool = False) -> None:
        """The attempt failed: no answer will come."""
        if not self.is_done:
            self.owner.attempt_failed(self, reason, now, is_connect=is_connect)

    def lost(self, reason: str, now: float, *, has_worked: bool) -> None:
        """The connection ended before the answer came; the upstream need not be at fault."""
        if not self.is_done:
            self.owner.connection_lost(self, reason, now, has_worked=has_worked)

    def reroute(self, now: float, *, is_unread: bool = False) -> None:
        """The connection or port is silent; `is_unread`: it did not read the query either."""
        if not self.is_done:
            self.owner.reroute(self, now, is_unread=is_unread)

    def slowed(self, now: float) -> None:
        """No answer came at once."""
        if not self.is_done:
            self.owner.slowed(self, now)

    def with_question(self, packet: bytes) -> bytes:
        """An error reply that came without a question, with ours put into it."""
        return with_question(packet, self.question)


class AttemptOwner(Protocol):
    """Owns a query, and is told the results of its attempts."""

    query: Query

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""

    def answered(self, attempt: Attempt, packet: bytes, now: float) -> None:
        """Take the answer to `attempt`; `packet` has its id and question."""

    def attempt_failed(
        self, attempt: Attempt, reason: str, now: float, *, is_connect: bool = False
    ) -> None:
        """The attempt failed: no answer will come."""

    def connection_lost(
        self, attempt: Attempt, reason: str, now: float, *, has_worked: bool
    ) -> None:
        """The connection ended before the answer came; the upstream need not be at fault."""

    def reroute(self, attempt: Attempt, now: float, *, is_unread: bool) -> None:
        """The connection is silent; `is_unread`: it did not read the query either."""

    def slowed(self, attempt: Attempt, now: float) -> None:
        """No answer came at once."""


class LaterAttempt(Attempt):
    """Any attempt but a request's first, which is the request itself; also a loop probe's only one."""

    __slots__ = ("_owner",)

    def __init__(
        self,
        owner: AttemptOwner,
        upstream: Upstream,
        question: bytes,
        now: float,
        *,
        by_stream: bool,
    ) -> None:
        self._owner = owner
        self.upstream = upstream
        self.question = question
        self.sent_at = now
        self.by_stream = by_stream
        self.carrier = None

    @property
    def owner(self) -> AttemptOwner:
        """The object that is told the result."""
        return self._owner

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._owner.is_done

    def framed(self, message_id: int) -> bytes:
        """The message to send, behind its length prefix."""
        return framed_upstream_query(self._owner.query, self.question, message_id)

    def answered(self, packet: bytes, now: float) -> None:
        """Take an answer; `packet` has the id and the question that were sent."""
        self._owner.answered(self, packet, now)
