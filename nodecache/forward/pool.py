"""The connections to one upstream: when another one is opened, and what becomes of queries where one ends.

One more is opened where queries wait on all of them: up to `max_connections`, and beyond them only
while the new ones do bring answers (`capacity`). Which one carries a query: `connections`.
"""

import errno
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from .capacity import Capacity
from .connections import Connections
from .counts import UpstreamCounts
from .dialer import DIAL_SECONDS, Dialer
from .failure import error_text
from .outgoing import OutgoingQuery, failing, rerouted
from .peer import Peer
from .transport.pending import MAX_PENDING
from .transport.stream import StreamConnection

_AGE_JITTER: Final = 0.25  # connections of many nodes must not all end at once


class StreamPool:
    """Connections that are open or opening, and the queries that wait for one."""

    def __init__(self, upstream: Peer, random_id: Callable[[], int]) -> None:
        self.upstream = upstream
        self.counts: UpstreamCounts = upstream.counts
        self.random_id = random_id
        self.transport = "tcp-tls" if upstream.endpoint.is_tls else "tcp"
        self._runtime = upstream.runtime
        self._dialer = Dialer(self._open_one, is_tls=upstream.endpoint.is_tls)
        self._waiting: deque[OutgoingQuery] = deque()
        self._is_flush_due = False
        self._refusal = ""  # why there is no connection, where the last attempt at one has failed
        self._capacity = Capacity(upstream)
        self.query_limit = self._capacity.query_limit
        self._connections = Connections(self._capacity, self._open_another)

    # Sending

    def send(self, attempt: OutgoingQuery, now: float) -> None:
        """Send on the best open connection, or on the next one that opens."""
        connection = self._connections.for_next(now)
        if connection is None:
            self._wait(attempt, now)
            return
        connection.add(attempt)
        if not self._is_flush_due:
            self._flush_soon()

    def send_elsewhere(self, attempt: OutgoingQuery, carrier: object, now: float) -> None:
        """Send on another connection than `carrier`: the last one that brought an answer, if it is idle."""
        connection = self._connections.other_than(carrier, now)
        if connection is None:
            self._wait(attempt, now)
            return
        connection.add(attempt)
        if not self._is_flush_due:
            self._flush_soon()

    def _flush_soon(self) -> None:
        self._is_flush_due = True
        self._runtime.call_soon(self._flush)
        self.upstream.watch()

    def _wait(self, attempt: OutgoingQuery, now: float) -> None:
        if len(self._waiting) >= MAX_PENDING:
            reason = f"too many queries wait for a connection to {self.upstream.to}"
            self._runtime.call_soon(partial(attempt.failed, reason, now))
            return
        if self._refusal and not self._dialer.opening:
            fail = failing(self._refusal, is_connect=True)
            self._runtime.call_soon(partial(fail, attempt, now))
            return
        self._waiting.append(attempt)
        self.upstream.watch()  # it may be too soon to dial, and nothing else under way
        attempt.slowed(now)

    def _flush(self) -> None:
        self._is_flush_due = False
        self._connections.flush()

    # Opening

    def _open_another(self, now: float) -> None:
        """Open one more, within bounds: one at a time, unless it takes long.

        As many as those who wait need, where the server takes few queries on each.
        """
        if not self._connections.may_grow():
            return
        wanted = self._capacity.more_for(len(self._waiting), len(self._connections))
        self._dialer.dial(now, wanted)

    def _open_one(self, now: float) -> StreamConnection:
        self.query_limit.expire(now)
        connection = StreamConnection(self, now)
        if max_age := self.upstream.settings.max_age_seconds:
            connection.old_at = now + max_age * random.uniform(1 - _AGE_JITTER, 1)  # noqa: S311
        upstream = self.upstream
        connection.stream = self._runtime.open_stream(
            upstream.endpoint, connection, upstream.tls, upstream.settings.source_address
        )
        self.upstream.watch()
        return connection

    def opened(self, connection: StreamConnection, now: float) -> None:
        """A connection was opened: waiting queries go first."""
        self._dialer.opened(connection, now)
        self._connections.open.append(connection)
        connection.opened_at = connection.heard_at = now
        self.counts.connections_opened += 1
        self._refusal = ""
        if not self._capacity.queries_on_each:
            self._dialer.close()
        if (aged := self._connections.aged(now)) is not None:
            aged.is_spent = True  # this one takes over
        share = self._capacity.share_of(len(self._waiting), len(self._connections))
        self._serve_waiting(connection, now, share)
        if not self._waiting:
            self._dialer.close()

    def _serve_waiting(
        self, connection: StreamConnection, now: float, max_count: int = MAX_PENDING
    ) -> None:
        """Send up to `max_count` waiting queries; another connection is opened for the rest."""
        room = min(self._capacity.room_on(connection), max_count)
        if limit := self.query_limit.queries:
            room = min(room, limit - connection.sent)
        while self._waiting and room > 0:
            attempt = self._waiting.popleft()
            if not attempt.is_done:
                attempt.sent_at = now
                self.counts.conn_misses[self.transport] += 1
                connection.add(attempt)
                room -= 1
        connection.flush()
        if room <= 0:
            connection.is_spent = 0 < limit <= connection.sent
            if self._waiting:
                self._open_another(now)

    def _dial_failed(self, connection: StreamConnection, reason: str, now: float) -> None:
        self._dialer.failed(connection, now)
        if self._dialer.opening:
            return  # another may still come through
        best = self._connections.best()
        if best is not None:
            self._serve_waiting(best, now)
            return
        self._refusal = reason
        self.upstream.unreachable(now)
        waiting, self._waiting = self._waiting, deque()
        self.upstream.work_queue.submit(waiting, failing(reason, is_connect=True))

    # Losing

    def lost(self, connection: StreamConnection, error: Exception | None, now: float) -> None:
        """The other side closed it, or it never opened."""
        if not connection.is_open:
            reason = f"dial tcp {self.upstream.to}: connect: {error_text(error)}"
            self._dial_failed(connection, reason, now)
            return
        owed = self._drop(connection)
        if not owed:
            return
        self.counts.connections_lost += 1
        answered = connection.answered
        self.query_limit.closed_with_pending(answered, len(owed), connection.opened_at, now)
        reason = (
            f"read tcp {connection.path}: read: {error_text(error)}" if error else connection.end
        )
        has_worked = answered > 0 or len(owed) > 1

        def lost(attempt: OutgoingQuery, now: float) -> None:
            attempt.lost(reason, now, has_worked=has_worked)

        self.upstream.work_queue.submit(owed, lost)

    def close_surplus_answers(self, connection: StreamConnection, now: float) -> None:
        """It brings more answers than it was sent queries: close it."""
        connection.stream.close()
        self.lost(connection, OSError(errno.EPROTO, "more answers than queries"), now)

    def retire(self, connection: StreamConnection) -> None:
        """It left queries unanswered for too long: send nothing more on it."""
        connection.stream.close()
        self.upstream.work_queue.submit(
            self._drop(connection), failing(f"read tcp {connection.path}: i/o timeout")
        )

    def suspect(self, connection: StreamConnection, now: float, *, is_unacknowledged: bool) -> None:
        """It is silent: send no more queries on it for now."""
        self.counts.connections_silent += 1
        if not is_unacknowledged:
            self.query_limit.fell_silent(connection.answered, connection.opened_at, now)
        self._connections.avoid(connection)
        self.upstream.fell_silent(connection.heard_at, now)

    def answered(
        self, connection: StreamConnection, sent_at: float, now: float, *, is_alone: bool
    ) -> None:
        """A connection brought an answer to what was sent at `sent_at`: there may be room on it."""
        sent_before, answered_before = connection.answered_query_at, connection.answered_at
        order = self._capacity.answer_order
        if order.note(sent_at, sent_before, answered_before, now, is_alone=is_alone):
            for each in self._connections.open:  # those in line go elsewhere
                self.upstream.work_queue.submit(each.pending.all()[1:], rerouted)
        if self._waiting and connection.is_usable and self._capacity.is_one_at_a_time:
            self._serve_waiting(connection, now)

    def heard(self, connection: StreamConnection, now: float) -> None:
        """A suspect or retired connection brought an answer."""
        if connection.is_suspect:
            self.query_limit.spoke_again()
        connection.is_suspect = connection.is_rerouted = False
        if not connection.is_spent:
            self._serve_waiting(connection, now)
        elif connection.pending.is_settled:
            self.close_one(connection)

    def _drop(self, connection: StreamConnection) -> list[OutgoingQuery]:
        self._connections.drop(connection)
        connection.is_open = False
        return connection.pending.clear()

    def close_one(self, connection: StreamConnection) -> None:
        """Close a connection with nothing in flight."""
        self._drop(connection)
        connection.stream.close()

    def is_heard(self, since: float) -> bool:
        """Whether a connection brought an answer since then."""
        return self._connections.is_heard(since)

    @property
    def in_flight(self) -> int:
        """Queries in flight."""
        return self._connections.in_flight + len(self._waiting)

    # Time

    def tick(self, now: float) -> bool:
        """Check every connection for time-outs; False where nothing is in flight."""
        is_busy = False
        for connection in list(self._connections.open):
            is_busy |= connection.tick(now)
        self._check_waiting(now)
        return is_busy or bool(self._dialer.opening) or bool(self._waiting)

    def _check_waiting(self, now: float) -> None:
        """Open another connection for queries that wait for one; fail those that wait too long."""
        waiting, dialer = self._waiting, self._dialer
        dialer.give_up_oldest(now)
        if not waiting:
            return
        if now - waiting[0].sent_at > self.upstream.pace.silence_seconds:
            self.upstream.fell_silent(waiting[0].sent_at, now)
        while waiting and now - waiting[0].sent_at > DIAL_SECONDS:
            attempt = waiting.popleft()
            reason = f"dial tcp {self.upstream.to}: i/o timeout"
            attempt.failed(reason, now, is_connect=True)
        if dialer.wants_another(now):
            best = self._connections.best()
            if best is not None:  # what was left for another one does not wait for it longer
                self._serve_waiting(best, now)
            else:
                dialer.dial_another(now)

    def housekeep(self, now: float) -> bool:
        """Close idle, used-up and old connections; False where none is open."""
        settings = self.upstream.settings
        self._capacity.expire(now)
        idle = [c for c in self._connections.open if c.pending.is_settled]
        surplus = len(idle) - (settings.max_idle_connections or len(idle))
        for connection in reversed(idle):
            unused = now - connection.heard_at
            if unused >= settings.expire_seconds or connection.is_spent or surplus > 0:
                surplus -= 1
                self.close_one(connection)
        if self._connections.aged(now) is not None:
            self._dialer.dial(now)
        return self.is_open

    @property
    def is_open(self) -> bool:
        """Whether a connection is open or opening."""
        return bool(self._connections.open or self._dialer.opening)

    def close(self) -> None:
        """Close everything."""
        self._waiting.clear()
        self._dialer.close()
        self._connections.close()
