"""The state of a query that was not answered at once: attempts, timers, the best answer so far."""

import math
from typing import Final

from nodecache.wire import Answer, Rcode

from .attempt import Attempt
from .upstream import Upstream

# A truncated answer is passed on after this time if no full one came: TCP does not get through, and
# clients that give up after a second would get nothing.
_TRUNCATED_SECONDS: Final = 0.7
# Before an upstream that failed at once is asked again, doubling: coredns#7723 tells of
# thousands of dials for one query.
_PAUSE_SECONDS: Final = 0.05
_MAX_DOUBLINGS: Final = 3
# From its beginning, where upstreams failed it and others say nothing: CoreDNS's read time-out, after
# which the failure is what its client hears.
_FAILURE_SECONDS: Final = 2.0
# But the upstream asked last has this long.
_LAST_CHANCE_SECONDS: Final = 0.5
# How long an answer that nobody waits for may take before it is asked for again.
_UNAWAITED_SECONDS: Final = 1.0
# "A resolver MUST NOT retry a given query to a server address over a given DNS transport more than
# twice (i.e., three queries in total) before considering the server address unresponsive over that
# DNS transport for that query": RFC 9520 §3.1. One that answers others meanwhile is asked more
# often all the same, since it may have passed the query over: six times where it is the only one.
_MAX_QUERIES: Final = 3
# So the last of them is saved for later: while others are out, until they are given up (CoreDNS's read
# time-out), so that one is out all the time; and while none is, for a server that is back soon.
_LAST_QUERY_SECONDS: Final = 1.9
_LAST_RESORT_SECONDS: Final = 0.8
_OF_USE: Final = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})


class RetryState:
    """The state of one resolution.

    `open` attempts may still bring an answer; `malformed_answers` is how many came that could not be read.
    `best` is an answer that is not good, but better than none; at `accept_best_at` it is passed on. `asked` are
    the upstreams tried, the first first, and `asked_by_stream` those that were by TCP. `sent` are those
    attempts whose query may have been read. `patience` doubles with each time-out.
    """

    __slots__ = (
        "_over",
        "accept_best_at",
        "asked",
        "asked_by_stream",
        "began_at",
        "began_by_stream",
        "best",
        "connect_failures",
        "hedge_at",
        "latest",
        "losses",
        "malformed_answers",
        "open",
        "patience",
        "reason",
        "retry_at",
        "sent",
        "tries",
        "turned_to_streams",
        "wakes_at",
    )

    def __init__(self, first: Attempt) -> None:
        pace = first.upstream.pace
        self._over: list[Attempt] = []
        self.asked: list[Upstream] = []
        self.asked_by_stream: list[Upstream] = []
        self.sent: list[Attempt] = []
        self.tries = self.open = 0
        self.begin(first)
        self.began_at = first.sent_at
        self.began_by_stream = first.by_stream
        self.connect_failures = 0
        self.losses = 0
        self.malformed_answers = 0
        self.patience = 1
        self.turned_to_streams = False
        self.wakes_at = 0.0
        self.best: Answer | None = None
        self.accept_best_at = math.inf
        self.reason = ""
        self.hedge_at = first.sent_at + pace.hedge_seconds
        self.retry_at = first.sent_at + pace.lost_seconds

    def begin(self, attempt: Attempt) -> None:
        """Note one more attempt."""
        self.latest = attempt
        self.tries += 1
        self.open += 1
        upstream = attempt.upstream
        self.sent.append(attempt)
        if upstream not in self.asked:
            self.asked.append(upstream)
        if attempt.by_stream and upstream not in self.asked_by_stream:
            self.asked_by_stream.append(upstream)

    def was_not_read(self, attempt: Attempt) -> None:
        """As far as can be told, the server has not read the query."""
        if attempt in self.sent:
            self.sent.remove(attempt)

    def room(self, *, by_stream: bool) -> int:
        """How many more queries the upstream that was asked last may be sent, over that transport."""
        upstream = self.latest.upstream
        if upstream.is_stream_only and not by_stream:
            return 0
        if upstream.heard_at > self.began_at:
            return _MAX_QUERIES
        sent = [each for each in self.sent if each.by_stream == by_stream]
        return _MAX_QUERIES - sum(each.upstream is upstream for each in sent)

    @property
    def queries_left(self) -> int:
        """The same, over either transport."""
        return self.room(by_stream=True) + self.room(by_stream=False)

    def wait_for_answer(self, now: float) -> None:
        """Retry once an answer counts as lost: later after each time-out, but not past CoreDNS's read time-out.

        Else the next retry would come after the deadline, though the upstream was back before.
        """
        seconds = self.latest.upstream.pace.lost_seconds * self.patience
        self.retry_at = now + min(seconds, _LAST_QUERY_SECONDS)

    def is_given_up(self, now: float) -> bool:
        """Whether the latest attempt has been out for as long as any retry waits."""
        return now >= self.latest.sent_at + _LAST_QUERY_SECONDS

    def save_last_query(self, now: float) -> bool:
        """Put off the last query to the upstream that was asked last; False where its time has come."""
        due_at = self.began_at + _LAST_QUERY_SECONDS
        if self.queries_left != 1 or not self.open or now >= due_at:
            return False
        self.retry_at = due_at
        return True

    def end(self, attempt: Attempt) -> None:
        """An attempt has its result, or was given up: then a late answer to it ends nothing more."""
        if attempt not in self._over:
            self._over.append(attempt)
            self.open -= 1

    def postpone_retry(self, now: float) -> bool:
        """Postpone the retry of a query that no client waits for; False where its time is up."""
        due_at = self.began_at + _UNAWAITED_SECONDS
        if not self.open or now >= due_at:
            return False
        self.retry_at = due_at
        return True

    @property
    def is_first_retry(self) -> bool:
        """Whether this is the first retry."""
        return self.patience == 2

    @property
    def is_unanswered(self) -> bool:
        """Whether nothing worse happened to any attempt than that no answer came."""
        return not (self.losses or self.malformed_answers or self.connect_failures)

    def note_failure(self, attempt: Attempt, reason: str) -> None:
        """Note why an attempt failed; of the protocol it began with, where that failed too."""
        if not self.reason or attempt.by_stream == self.began_by_stream:
            self.reason = reason

    def back_off(self, now: float) -> None:
        """Ask again after a pause that doubles with each attempt, up to less than a second.

        Where none of those asked has read the query, any of them may be the first that is back.
        """
        if not self.sent:
            self.asked = [self.latest.upstream]
        self.hedge_at = math.inf
        doublings = min(self.tries + self.connect_failures, _MAX_DOUBLINGS)
        self.retry_at = now + _PAUSE_SECONDS * 2**doublings
        if self.queries_left == 1:
            self.retry_at = max(self.retry_at, self.began_at + _LAST_RESORT_SECONDS)

    def keep_best(self, answer: Answer) -> Answer:
        """Keep `answer` unless a better one is kept already; return the better one."""
        best = self.best
        if best is None or answer.rcode in _OF_USE or best.rcode not in _OF_USE:
            best = self.best = answer
        return best

    def accept_truncated(self, answer: Answer, now: float) -> None:
        """Pass a truncated answer on, unless the full one comes soon."""
        self.keep_best(answer)
        self.accept_best_at = min(self.accept_best_at, now + _TRUNCATED_SECONDS)

    def accept_failure(self, now: float) -> None:
        """Pass the best answer on, an error, unless a better one comes in time."""
        due_at = max(self.began_at + _FAILURE_SECONDS, now + _LAST_CHANCE_SECONDS)
        self.accept_best_at = min(self.accept_best_at, due_at)

    def next_transport(self) -> bool:
        """Whether the same upstream is asked by TCP next: the other transport, if this one got no answer."""
        upstream, by_stream = self.latest.upstream, self.latest.by_stream
        if self.best is not None and self.best.is_truncated:
            return True  # UDP has said what it can
        if upstream.is_stream_only or upstream.is_heard(by_stream=by_stream, since=self.began_at):
            return by_stream
        self.turned_to_streams |= not by_stream
        return not by_stream
