"""A query sent to one upstream, once; and who is told what becomes of it."""

from abc import abstractmethod
from typing import Protocol

from nodecache.wire import Query, framed_upstream_query, with_question

from .outgoing import OutgoingQuery
from .upstream import Upstream


class Attempt(OutgoingQuery):
    """A query sent to one upstream, once; `owner` is told what became of it."""

    __slots__ = ("upstream",)

    upstream: Upstream

    @property
    @abstractmethod
    def owner(self) -> "AttemptOwner":
        """Whose attempt it is."""

    def failed(self, reason: str, now: float, *, is_connect: bool = False) -> None:
        """It will bring no answer."""
        if not self.is_done:
            self.owner.attempt_failed(self, reason, now, is_connect=is_connect)

    def lost(self, reason: str, now: float, *, has_worked: bool) -> None:
        """Its connection ended, which may not be the upstream's fault."""
        if not self.is_done:
            self.owner.connection_lost(self, reason, now, has_worked=has_worked)

    def reroute(self, now: float, *, is_unread: bool = False) -> None:
        """Its connection or port says nothing any more, or reads nothing any more."""
        if not self.is_done:
            self.owner.reroute(self, now, is_unread=is_unread)

    def slowed(self, now: float) -> None:
        """It was not answered at once."""
        if not self.is_done:
            self.owner.slowed(self, now)

    def with_question(self, packet: bytes) -> bytes:
        """An error that came without a question, with the one that was asked."""
        return with_question(packet, self.question)


class AttemptOwner(Protocol):
    """Whose query it is."""

    query: Query

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""

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

    def reroute(self, attempt: Attempt, now: float, *, is_unread: bool) -> None:
        """Its connection says nothing any more; `is_unread`: and did not read the query either."""

    def slowed(self, attempt: Attempt, now: float) -> None:
        """It was not answered at once."""


class LaterAttempt(Attempt):
    """An attempt that is not its query's first, or that stands by itself."""

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
        """Whose attempt it is."""
        return self._owner

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._owner.is_done

    def framed(self, message_id: int) -> bytes:
        """What to send, behind its length."""
        return framed_upstream_query(self._owner.query, self.question, message_id)

    def answered(self, packet: bytes, now: float) -> None:
        """An answer came; `packet` has the id and the question that were sent."""
        self._owner.answered(self, packet, now)
