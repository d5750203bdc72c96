"""A query that somebody waits for, and its first attempt: one object, for most need no more.

    send ─► answered ──────► done(answer)       nearly always
              ├ late, lost, refused, nonsense ─► its resolution, made when it is needed first
              └ an answer that is not the last word ─► the same

What becomes of it then is told in `resolution`.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Final, Protocol

from nodecache.wire import (
    HEADER_SIZE,
    Answer,
    AnswerReader,
    Flag,
    MalformedMessage,
    Query,
    framed_upstream_query,
)

from .attempt import Attempt, AttemptOwner
from .failure import Failure
from .observer import Observer, notify_observer
from .reading import read_unsound

log = logging.getLogger("plugin/forward")

_TC: Final = int(Flag.TC)


class FollowUp(AttemptOwner, Protocol):
    """What becomes of a request that was not answered at once, or not well."""

    def answered_well(self, attempt: Attempt, now: float) -> None:
        """An answer came that is the last word."""

    def answered_in_part(
        self, attempt: Attempt, answer: Answer, now: float, *, is_cut: bool
    ) -> None:
        """An answer came with TC, or cut off without it (`is_cut`)."""

    def answered_badly(self, attempt: Attempt, answer: Answer, now: float) -> None:
        """An answer came that may not be the last word."""

    def answered_with_nonsense(self, attempt: Attempt, reason: str, now: float) -> None:
        """An answer came that cannot be read, for this `reason`."""

    def cancel(self) -> None:
        """Nobody waits any more."""


class RequestForwarder(Protocol):
    """Who asks upstreams: a forwarder."""

    in_flight: int
    unwelcome_rcodes: frozenset[int]
    """Those of answers that may not be the last word."""

    def resolution_of(self, request: "Request") -> FollowUp:
        """Make what looks after a request that was not answered at once."""


class Request(Attempt):
    """A query, and its first attempt upstream. `done` is told of its end once; after `cancel`, never.

    `deadline` is when (monotonic seconds) it must have been told; `transport_name` is how the client
    asked, `udp` or `tcp`. `is_open`: it was sent, and somebody waits for its end. `resolution` looks
    after it, where it was not answered at once. `is_awaited`: it is not fetched for later, which is
    not hedged and given more time. `is_optional`: it is given up, rather than asked again, where it
    is late, lost or refused.
    """

    __slots__ = (
        "deadline",
        "forwarder",
        "is_awaited",
        "is_open",
        "is_optional",
        "observer",
        "query",
        "reader",
        "resolution",
        "transport_name",
    )

    def __init__(
        self, query: Query, reader: AnswerReader, transport_name: str, deadline: float
    ) -> None:
        self.query = query
        self.reader = reader
        self.transport_name = transport_name
        self.deadline = deadline
        self.is_open = False
        self.is_awaited = True
        self.is_optional = False
        self.observer: Observer | None = None
        self.resolution: FollowUp | None = None

    @abstractmethod
    def done(self, outcome: Answer | Failure) -> None:
        """This came of it."""

    def open(self, forwarder: RequestForwarder, now: float) -> None:
        """It goes upstream: somebody waits from now on."""
        query = self.query
        self.forwarder = forwarder
        self.question = query.packet[HEADER_SIZE : query.question_end]
        self.sent_at = now
        self.carrier = None
        self.is_open = True
        forwarder.in_flight += 1

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return not self.is_open

    @property
    def owner(self) -> FollowUp:
        """Who looks after it, from the first time on that it is needed."""
        resolution = self.resolution
        if resolution is None:
            resolution = self.resolution = self.forwarder.resolution_of(self)
        return resolution

    def framed(self, message_id: int) -> bytes:
        """What to send, behind its length."""
        return framed_upstream_query(self.query, self.question, message_id)

    def answered(self, packet: bytes, now: float) -> None:
        """An answer came; `packet` has the id and the question that were sent."""
        take_answer(self, self, packet, now)

    def end(self, outcome: Answer | Failure) -> None:
        """Tell the outcome. Whoever fails to take it must not cost others theirs."""
        self.release()
        try:
            self.done(outcome)
        except Exception:
            log.exception("what became of a query could not be told")

    def release(self) -> None:
        """Nothing more becomes of it here.

        What looked after it is let go, for each holds the other: the ring would be left to the
        garbage collector.
        """
        self.is_open = False
        self.resolution = None
        self.observer = None
        self.forwarder.in_flight -= 1

    def mark_awaited(self, *, is_awaited: bool) -> None:
        """Whether somebody waits for the answer, or it is fetched for later."""
        self.is_awaited = is_awaited

    def cancel(self) -> None:
        """Nobody waits any more."""
        if self.is_open:
            self.release()
        elif self.resolution is not None:
            self.resolution.cancel()

    def delegate_to(self, resolution: FollowUp) -> None:
        """Another forwarder asks in its place; `resolution` knows which."""
        self.release()
        self.resolution = resolution

    def delegate_answered(self, outcome: Answer | Failure) -> None:
        """This came of it there."""
        self.resolution = None
        self.done(outcome)


class CallbackRequest(Request):
    """A request whose end a function hears of."""

    __slots__ = ("_done",)

    def __init__(
        self,
        query: Query,
        deadline: float,
        done: Callable[[Answer | Failure], None],
        transport_name: str,
    ) -> None:
        super().__init__(query, AnswerReader(), transport_name, deadline)
        self._done: Callable[[Answer | Failure], None] | None = done

    def done(self, outcome: Answer | Failure) -> None:
        """This came of it."""
        done, self._done = self._done, None  # which may hold whoever holds this
        if done is not None:
            done(outcome)


def take_answer(request: Request, attempt: Attempt, packet: bytes, now: float) -> None:
    """Take the answer that one of a request's attempts brought."""
    upstream = attempt.upstream
    question_end = HEADER_SIZE + len(attempt.question)
    is_cut = False
    try:
        answer = request.reader.read(packet, question_end)
    except MalformedMessage as fault:
        try:
            answer, is_cut = read_unsound(attempt, packet, question_end, fault)
        except MalformedMessage as last:
            upstream.counts.malformed += 1
            if request.is_open:
                reason = f"malformed answer from {upstream.to}: {last}"
                request.owner.answered_with_nonsense(attempt, reason, now)
            return
        upstream.counts.malformed += is_cut
    rcode = answer.rcode
    upstream.answered(rcode, now - attempt.sent_at, now)
    if not request.is_open:
        return
    if request.observer is not None:
        notify_observer(request.observer, attempt, packet, now)
    if answer.flags & _TC:
        request.owner.answered_in_part(attempt, answer, now, is_cut=is_cut)
        return
    if rcode in request.forwarder.unwelcome_rcodes:
        request.owner.answered_badly(attempt, answer, now)
        return
    if not upstream.health.is_good:
        upstream.served()
    if request.resolution is not None:
        request.resolution.answered_well(attempt, now)
    request.end(answer)
