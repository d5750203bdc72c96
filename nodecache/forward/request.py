"""A query that somebody waits for, and its first attempt: one object, as most queries need no more.

    send ─► answered ──────► done(answer)       nearly always
              ├ late, lost, refused, malformed ─► its resolution, made at that moment
              └ an answer that may not be final ─► the same

What the resolution then does is in `resolution.py`.
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
    """Takes over a request whose first attempt was slow, failed, or was answered badly."""

    def answered_well(self, attempt: Attempt, now: float) -> None:
        """A final answer came."""

    def answered_in_part(
        self, attempt: Attempt, answer: Answer, now: float, *, is_cut: bool
    ) -> None:
        """A truncated answer came: with TC, or cut off without it (`is_cut`)."""

    def answered_badly(self, attempt: Attempt, answer: Answer, now: float) -> None:
        """An answer came with an rcode for which another upstream may be asked."""

    def answered_malformed(self, attempt: Attempt, reason: str, now: float) -> None:
        """An answer came that cannot be read, for this `reason`."""

    def cancel(self) -> None:
        """Nobody waits any more."""

    def release(self) -> None:
        """The request is over: forget its attempts, which know who owns them."""


class RequestForwarder:
    """What a request needs of its forwarder. `unwelcome_rcodes` are those of answers that may not be final.

    No Protocol, for compiled code finds what a class has without a look-up.
    """

    in_flight: int
    unwelcome_rcodes: frozenset[int]

    @abstractmethod
    def resolution_of(self, request: "Request") -> FollowUp:
        """Make the resolution of a request that was not answered at once."""


class Request(Attempt):
    """A query and its first attempt upstream. `done` is called once, or never after `cancel`.

    `deadline` is the time (monotonic seconds) by which `done` is called. `transport_name` is how the
    client asked, `udp` or `tcp`. `is_open`: the query was sent and has no outcome yet. `resolution`
    is None until the first attempt turns out not to be enough. `is_awaited` is False for a refresh
    that no client waits for; it is not hedged, and gets more time. `is_optional`: it is given up, rather than asked again, where it
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
        """Take the outcome."""

    def open(self, forwarder: RequestForwarder, now: float) -> None:
        """Begin: the query is about to be sent upstream by `forwarder`."""
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
        """The resolution, made when it is first needed."""
        resolution = self.resolution
        if resolution is None:
            resolution = self.resolution = self.forwarder.resolution_of(self)
        return resolution

    def framed(self, message_id: int) -> bytes:
        """The message to send, behind its length prefix."""
        return framed_upstream_query(self.query, self.question, message_id)

    def answered(self, packet: bytes, now: float) -> None:
        """Take an answer; `packet` has the id and the question that were sent."""
        take_answer(self, self, packet, now)

    def end(self, outcome: Answer | Failure) -> None:
        """Call `done`. An exception in it is logged: other queries must get their outcomes."""
        self.release()
        try:
            self.done(outcome)
        except Exception:
            log.exception("the outcome of a query could not be passed on")

    def release(self) -> None:
        """Close the request.

        The references to and from the resolution are cut, and its own to its attempts: the cycles would
        have to wait for the garbage collector, which does not look at what is older than a moment.
        """
        self.is_open = False
        if self.resolution is not None:
            self.resolution.release()
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
            self.resolution = None

    def delegate_to(self, resolution: FollowUp) -> None:
        """Leave the query to another forwarder (`next`); `resolution` holds that request."""
        self.release()
        self.resolution = resolution

    def delegate_answered(self, outcome: Answer | Failure) -> None:
        """Take the outcome from the other forwarder."""
        self.resolution = None
        self.done(outcome)


class CallbackRequest(Request):
    """A request that calls a function with its outcome."""

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

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._done = None
        super().cancel()

    def done(self, outcome: Answer | Failure) -> None:
        """Take the outcome."""
        done, self._done = self._done, None  # the callback may hold a reference to this request
        if done is not None:
            done(outcome)


def take_answer(request: Request, attempt: Attempt, packet: bytes, now: float) -> None:
    """Read the answer to one attempt of a request; end the request, or hand over to its resolution."""
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
                request.owner.answered_malformed(attempt, reason, now)
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
