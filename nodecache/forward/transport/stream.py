"""One pipelined connection to an upstream, and its pending queries."""

import math
from collections.abc import Callable
from typing import Final, Protocol

from nodecache.forward.counts import UpstreamCounts
from nodecache.forward.outgoing import OutgoingQuery, failing, rerouted, slowed, unread
from nodecache.forward.peer import Peer
from nodecache.forward.runtime import Stream
from nodecache.wire import FrameBuffer

from .pending import MAX_PENDING, Pending
from .query_limit import QueryLimit
from .unmatched import note_unmatched

# A connection that owes answers and has said nothing for this long is looked at: has the other
# side's kernel confirmed our octets? If not, it is dead to us; if so, the server is slow.
_UNACKNOWLEDGED_SECONDS: Final = 0.06
# Silent for so long and unconfirmed, a connection does not come back.
_DEAD_SECONDS: Final = 1.0


class ConnectionOwner(Protocol):
    """Owns connections, and is called when something happens to one."""

    upstream: Peer
    counts: UpstreamCounts
    transport: str
    random_id: Callable[[], int]
    query_limit: QueryLimit

    def opened(self, connection: "StreamConnection", now: float) -> None:
        """It may be used."""

    def answered(
        self, connection: "StreamConnection", sent_at: float, now: float, *, is_alone: bool
    ) -> None:
        """It brought an answer to what was sent at `sent_at`; `is_alone`: whole, and no others with it."""

    def heard(self, connection: "StreamConnection", now: float) -> None:
        """It was suspect or retired, and brought an answer."""

    def suspect(
        self, connection: "StreamConnection", now: float, *, is_unacknowledged: bool
    ) -> None:
        """It says nothing; `is_unacknowledged`: and its end does not confirm what we send."""

    def close_surplus_answers(self, connection: "StreamConnection", now: float) -> None:
        """It brings more answers than it was sent queries."""

    def retire(self, connection: "StreamConnection") -> None:
        """It left queries unanswered for too long."""

    def lost(self, connection: "StreamConnection", error: Exception | None, now: float) -> None:
        """The other side closed it, or it never opened."""


class StreamConnection:
    """One connection. It tells each query's ask what became of it.

    `answered_at` is when the last answer came, `answered_query_at` when its query was sent. `path` is both
    ends as Go writes them, `10.0.0.1:1234->10.96.0.10:53`: an end is told when the socket is gone.

    Usable: open, not suspected of being dead, and neither too old nor used up. An answer clears
    a suspicion; what is spent is closed once nothing is owed.
    """

    __slots__ = (
        "_frames",
        "_outgoing",
        "_pool",
        "_writes",
        "answered",
        "answered_at",
        "answered_query_at",
        "heard_at",
        "is_open",
        "is_rerouted",
        "is_spent",
        "is_suspect",
        "is_unread",
        "old_at",
        "opened_at",
        "path",
        "pending",
        "sent",
        "strays",
        "stream",
    )

    def __init__(self, pool: ConnectionOwner, now: float) -> None:
        self._pool = pool
        self._frames = FrameBuffer()
        self._outgoing: list[bytes] = []
        self._writes = 0
        self.pending = Pending(pool.random_id)
        self.stream: Stream
        self.opened_at = self.heard_at = now
        self.old_at = math.inf
        self.sent = 0
        self.answered = 0
        self.answered_at = self.answered_query_at = -math.inf
        self.strays = 0
        self.path = ""
        self.is_open = False
        self.is_suspect = False
        self.is_rerouted = False
        self.is_unread = False
        self.is_spent = False

    @property
    def is_usable(self) -> bool:
        """Whether new queries may go here."""
        return self.is_open and not self.is_suspect and not self.is_spent

    @property
    def room(self) -> int:
        """How many more queries it may take."""
        return MAX_PENDING - len(self.pending)

    @property
    def end(self) -> str:
        """Where it ended, in Go's words."""
        return "unexpected EOF" if self._frames.is_within_one else "EOF"

    def add(self, attempt: OutgoingQuery) -> None:
        """Send a query with the next `flush`."""
        attempt.carrier = self
        message_id = self.pending.add(attempt)
        self._outgoing.append(attempt.framed(message_id))
        self.sent += 1

    def flush(self) -> None:
        """Write the queries added since the last flush, in one piece."""
        outgoing = self._outgoing
        if outgoing:
            self._outgoing = []
            self._writes += 1
            self._pool.counts.sent[self._pool.transport] += len(outgoing)
            self.stream.write(b"".join(outgoing))

    # What the stream tells

    def opened(self, now: float) -> None:
        """It may be used."""
        self.is_open = True
        self.path = f"{self.stream.local}->{self._pool.upstream.to}"
        self._pool.opened(self, now)

    def received(self, data: bytes, now: float) -> None:
        """Give each answer to its query."""
        pending = self.pending
        self.heard_at = now
        last: OutgoingQuery | None = None
        answered_before, has_begun = self.answered, len(self._frames) > 0
        for packet in self._frames.feed(data):
            attempt = pending.match(packet)
            if attempt is None:
                note_unmatched(self._pool.counts, packet)
                self.strays += 1
                if self.strays > self.sent:  # late answers are never that many
                    self._pool.close_surplus_answers(self, now)
                    return
            else:
                self.answered += 1
                last = attempt
                attempt.answered(packet, now)
        if last is not None:
            # A large answer that comes bit by bit is long on its way, whatever the server does.
            is_alone = self.answered - answered_before == 1 and not has_begun
            self._pool.answered(self, last.sent_at, now, is_alone=is_alone)
            self.answered_at, self.answered_query_at = now, last.sent_at
        if self.is_suspect or self.is_spent:
            self._pool.heard(self, now)

    def closed(self, error: Exception | None, now: float) -> None:
        """It ended by itself."""
        self._pool.lost(self, error, now)

    # What time tells

    def tick(self, now: float) -> bool:
        """Check for slow queries and for silence; False where none is in flight."""
        if self.pending:
            self.stream.poll()
        upstream = self._pool.upstream
        upstream.work_queue.submit(self.pending.slowed(now - upstream.pace.hedge_seconds), slowed)
        lost = self.pending.drop(now - upstream.settings.read_timeout_seconds)
        if lost:
            upstream.work_queue.submit(lost, failing(f"read tcp {self.path}: i/o timeout"))
        self.pending.forget(now)
        if lost and self.sent == 1:
            self._pool.query_limit.lost_alone(now)
        goes_on = not self.is_suspect and self._reads_one_of_a_write
        if lost and goes_on and any(attempt.is_done for attempt in lost):
            self._pool.query_limit.passed_over(now)
        oldest = self.pending.oldest()
        if oldest is None:
            return self._has_late()
        since = max(oldest.sent_at, self.heard_at)
        if now - since > _UNACKNOWLEDGED_SECONDS:
            self._check_silence(since, now)
        return True

    def _has_late(self) -> bool:
        """Whether answers may come to what was given up; a connection that stays silent is closed."""
        is_dead = self.is_suspect and (self.pending.is_settled or not self.stream.is_acknowledged())
        if is_dead:
            self._pool.retire(self)
        return not (is_dead or self.pending.is_settled)

    @property
    def _reads_one_of_a_write(self) -> bool:
        """Whether nothing speaks against it: no more answers than writes, though some held several."""
        return 0 < self.answered <= self._writes < self.sent

    def _check_silence(self, since: float, now: float) -> None:
        """It is silent since then: dead, hanging, or merely slow.

        A machine that is gone does not acknowledge what we send. A server that hangs does, and is
        told from a slow one by what comes on other connections.
        """
        upstream, silence = self._pool.upstream, now - since
        is_unacknowledged = not self.stream.is_acknowledged()
        if silence > (
            _DEAD_SECONDS if is_unacknowledged else upstream.settings.read_timeout_seconds
        ):
            self._pool.retire(self)
        elif is_unacknowledged or silence > upstream.pace.silence_seconds:
            if not self.is_suspect:
                self.is_suspect = True
                self._pool.suspect(self, now, is_unacknowledged=is_unacknowledged)
            if not self.is_unread and 0 < self._pool.query_limit.queries <= self.answered:
                self.is_unread = self.is_rerouted = True
                upstream.work_queue.submit(self.pending.all(), unread)
            elif not self.is_rerouted and (is_unacknowledged or upstream.heard_at > since):
                self.is_rerouted = True
                reroute = unread if is_unacknowledged else rerouted
                upstream.work_queue.submit(self.pending.all(), reroute)
