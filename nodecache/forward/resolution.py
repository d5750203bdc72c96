"""What is done for a query that was not answered at once, or not well.

    request ─ answer ────────────────────────────────► done(answer)       nearly always
             ├ slow ─ hedge: once more on another way, if the budget has it
             ├ silent connection, or lost one ─ the same again elsewhere, at once
             ├ no answer, refused, malformed ─ the next upstream
             ├ cut off ─ by TCP; where that brings no more, it has to do
             ├ SERVFAIL, REFUSED, NOTIMP ─ the next upstream; the last one's word stands
             ├ FORMERR, NOTIMP, BADVERS to an OPT ─ the same again without (RFC 6891 §7)
             └ deadline, or nobody left to ask ──────► done(failure)

An attempt that counts as lost stays registered on its connection: a late answer is used while the
query waits, and afterwards still measures the upstream.
"""

import math
from typing import Final

from nodecache.wire import Answer, Rcode

from .attempt import Attempt, LaterAttempt
from .failure import Failure, timed_out, unreachable
from .group import OPT_BLAMING_RCODES, UpstreamGroup
from .request import CallbackRequest, Request, take_answer
from .retry_state import RetryState
from .upstream import Upstream

# Rcodes that tell about the server rather than about the name.
LAME_RCODES: Final = frozenset({Rcode.SERVFAIL, Rcode.REFUSED})

# A server that takes one query a connection makes a pipeline move up by one each time.
_MAX_LOSSES: Final = 8


class Resolution:
    """Takes over one request once its first attempt is slow, failed, or answered badly."""

    __slots__ = ("_delegate", "_group", "_request", "_state", "deadline", "query")

    def __init__(self, group: UpstreamGroup, request: Request) -> None:
        self._group = group
        self._request = request
        self._delegate: CallbackRequest | None = None
        self._state: RetryState | None = None
        self.query = request.query
        self.deadline = request.deadline

    @property
    def is_done(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._request.is_done

    def cancel(self) -> None:
        """Nobody waits any more: cancel the request to the other forwarder."""
        if self._delegate is not None:
            self._delegate.cancel()

    def release(self) -> None:
        """The request is over."""
        self._state = None

    # What becomes of an attempt

    def answered(self, attempt: Attempt, packet: bytes, now: float) -> None:
        """An upstream answered; `packet` has the id and the question of `attempt`."""
        take_answer(self._request, attempt, packet, now)

    def answered_well(self, attempt: Attempt, now: float) -> None:
        """A final answer came."""
        state = self._state
        if attempt.by_stream and state is not None and state.turned_to_streams:
            attempt.upstream.turn_to_streams(state.began_at, now)

    def answered_in_part(
        self, attempt: Attempt, answer: Answer, now: float, *, is_cut: bool
    ) -> None:
        """Handle a truncated answer: with TC, or cut off without it (`is_cut`).

        TCP brings all of it, or the next upstream does. Where neither is to be had, it has to do,
        unless nobody said that there is an answer at all.
        """
        upstream = attempt.upstream
        if not upstream.health.is_good:
            upstream.served()
        state = self._state_of(attempt)
        state.end(attempt)
        if answer.has_answers or not is_cut:
            state.accept_truncated(answer, now)
            self._sleep(state, now)
        if not attempt.by_stream and upstream not in state.asked_by_stream:
            self._send(upstream, now, by_stream=True)
            return
        self._proceed(now)

    def answered_badly(self, attempt: Attempt, answer: Answer, now: float) -> None:
        """Handle an rcode that rejects our OPT (ask again without) or calls for another upstream."""
        upstream = attempt.upstream
        state = self._state_of(attempt)
        blames_opt = answer.rcode in OPT_BLAMING_RCODES
        if blames_opt and self.query.has_opt_upstream:
            state.end(attempt)
            self.query = self.query.without_edns()
            self._send(upstream, now, by_stream=attempt.by_stream)
            return
        if answer.rcode in LAME_RCODES:
            upstream.health.failed_to_serve(now)
        else:
            upstream.served()
        is_asked_again = blames_opt and state.open > 1  # without OPT, meanwhile
        is_second = state.best is not None
        is_last = not self._group.wants_failover(answer.rcode, is_second=is_second)
        best = state.keep_best(answer)
        if is_last and not is_asked_again:
            self._finish(best)
            return
        state.end(attempt)
        state.accept_failure(now)
        self._sleep(state, now)
        self._proceed(now)

    def answered_malformed(self, attempt: Attempt, reason: str, now: float) -> None:
        """An upstream answered what cannot be read."""
        self._state_of(attempt).malformed_answers += 1
        self.attempt_failed(attempt, reason, now)

    def attempt_failed(
        self, attempt: Attempt, reason: str, now: float, *, is_connect: bool = False
    ) -> None:
        """`attempt` failed: no answer will come."""
        state = self._state_of(attempt)
        state.end(attempt)
        state.note_failure(attempt, reason)
        if is_connect:
            state.connect_failures += 1
            state.tries -= 1
            state.was_not_read(attempt)
        self._proceed(now)

    def connection_lost(
        self, attempt: Attempt, reason: str, now: float, *, has_worked: bool
    ) -> None:
        """The connection ended under way: ask once more on a new one before the attempt counts as failed.

        More often where the connection had brought answers: servers hang up after some queries.
        """
        state = self._state_of(attempt)
        state.losses += 1
        if has_worked:
            state.was_not_read(attempt)
        max_losses = _MAX_LOSSES if has_worked else 1
        if state.open > 1 or state.losses > max_losses or self._request.is_optional:
            self.attempt_failed(attempt, reason, now)
            return
        state.end(attempt)
        state.note_failure(attempt, reason)
        self._group.counts.retried += 1
        upstream = self._group.after_loss(attempt.upstream, state.asked, now)
        self._send(upstream, now, by_stream=attempt.by_stream)

    def reroute(self, attempt: Attempt, now: float, *, is_unread: bool) -> None:
        """`attempt`'s connection is silent: ask on another one, or another upstream, at once.

        Another connection proves by opening that somebody is there. Another port proves nothing,
        so there the upstream must have been heard on one; or another upstream must be well.
        """
        state = self._state_of(attempt)
        if is_unread:
            state.tries -= 1
            state.was_not_read(attempt)
        if state.latest is not attempt or not self._may_try_again(state):
            return
        if not is_unread and self._group.have_all_been(state.asked) and state.save_last_query(now):
            self._sleep(state, now)
            return
        if attempt.by_stream or self._group.upstream_for_retry(state, now).health.is_good:
            self._group.counts.retried += 1
            self._send_again(state, now, by_stream=attempt.by_stream)

    def slowed(self, attempt: Attempt, now: float) -> None:
        """`attempt` was not answered at once: arm the timers for hedge, retry and deadline."""
        self._sleep(self._state_of(attempt), now)

    # What time brings

    def wake(self, now: float) -> None:
        """Do what is due: hedge, retry, or end with a time-out."""
        state = self._state
        if self.is_done or state is None:
            return
        if now >= self.deadline or now >= state.accept_best_at:
            self._time_out(state)
            return
        if now >= state.retry_at:
            if self._request.is_awaited or not state.postpone_retry(now):
                self._retry(state, now)
        elif now >= state.hedge_at:
            state.hedge_at = math.inf
            self._hedge(state, now)
        if not self.is_done:
            self._sleep(state, now)

    def _sleep(self, state: RetryState, now: float) -> None:
        at = min(self.deadline, state.hedge_at, state.retry_at, state.accept_best_at)
        if not now < state.wakes_at <= at:
            state.wakes_at = at
            self._group.ticker.wake_at(self, at, now)

    def _hedge(self, state: RetryState, now: float) -> None:
        """The answer takes longer than 95 % of others: ask once more, of another upstream or connection."""
        group = self._group
        another = group.equal_upstream(state.asked, now)
        if another is None and state.latest.carrier is None:
            return  # it waits for a connection, which the pool is opening
        if self._request.is_awaited and group.settings.hedges and group.budget.spend(now):
            group.counts.hedged += 1
            if another is not None:
                self._send_to_another(another, now)
            else:
                self._send_elsewhere(state, now, by_stream=state.latest.by_stream)

    def _retry(self, state: RetryState, now: float) -> None:
        """The latest attempt counts as lost: ask again. A late answer is still used.

        An upstream in good health is asked freely; one that says nothing to anybody gets no
        more than the budget allows, or its death would double the load.
        """
        latest = state.latest
        state.hedge_at = math.inf
        state.patience *= 2
        state.wait_for_answer(now)
        if latest.carrier is not None and state.open:
            latest.upstream.fell_silent(latest.sent_at, now)
        if self._request.is_optional:
            self._time_out(state)
        elif not self._group.may_try_again(state):
            state.retry_at = math.inf
        elif self._group.have_all_been(state.asked) and state.save_last_query(now):
            return
        elif self._group.may_retry(state, now):
            self._group.counts.retried += 1
            self._send_again(state, now, by_stream=state.next_transport())
        if not (state.open or self.is_done):  # what it paused for is not to be had
            self._proceed(now)

    def _time_out(self, state: RetryState) -> None:
        if state.best is not None:
            self._finish(state.best)
            return
        latest = state.latest
        path = "" if latest.carrier is None else latest.carrier.path
        self._fail(timed_out(latest.upstream.to, "tcp" if latest.by_stream else "udp", path))

    # What to do next

    def _proceed(self, now: float) -> None:
        """An attempt is over: ask the next upstream, wait for other attempts, or end."""
        state = self._state
        assert state is not None
        if state.open > 0:
            return  # another one may still bring an answer; if not, its own time runs out
        may_try = self._may_try_again(state)
        following = self._group.next_upstream(state.asked, now)
        if following is not None and may_try:
            self._group.counts.failed_over += 1
            self._send_to_another(following, now)
        elif state.best is not None:
            self._finish(state.best)
        elif may_try and state.queries_left > 0 and now < self.deadline:
            state.back_off(now)
            self._sleep(state, now)
        elif state.is_unanswered:
            self._time_out(state)
        else:
            self._fail(unreachable(state.reason))

    def _send_again(self, state: RetryState, now: float, *, by_stream: bool) -> None:
        """Ask an upstream that was not asked yet, or the same one on another connection.

        `by_stream`: the same one is asked by TCP.
        """
        group = self._group
        upstream = state.latest.upstream
        state.wait_for_answer(now)
        if not upstream.health.is_good or not state.open:
            upstream = group.next_upstream(state.asked, now) or upstream
        elif group.policy.is_exchangeable:
            upstream = group.equal_upstream(state.asked, now) or upstream
        if upstream is not state.latest.upstream:
            self._send_to_another(upstream, now)
        elif state.queries_left > 0:
            by_stream ^= state.room(by_stream=by_stream) <= 0
            self._send_elsewhere(state, now, by_stream=by_stream)
        else:
            state.retry_at = math.inf

    def _may_try_again(self, state: RetryState) -> bool:
        """Whether another attempt is allowed, and wanted."""
        return not self._request.is_optional and self._group.may_try_again(state)

    def _state_of(self, attempt: Attempt) -> RetryState:
        if self._state is None:
            self._state = RetryState(attempt)
        return self._state

    def _send(self, upstream: Upstream, now: float, *, by_stream: bool | None = None) -> None:
        """One more attempt, to `upstream`."""
        attempt = self._attempt(upstream, now, by_stream=by_stream)
        upstream.send(attempt, now)

    def _send_to_another(self, upstream: Upstream, now: float) -> None:
        """One more attempt, to an upstream that need not be as the ones before: they may have known no OPT."""
        self.query = self._request.query
        self._send(upstream, now)

    def _send_elsewhere(self, state: RetryState, now: float, *, by_stream: bool) -> None:
        """One more attempt, to the same upstream on another way."""
        latest = state.latest
        attempt = self._attempt(latest.upstream, now, by_stream=by_stream)
        latest.upstream.send_elsewhere(attempt, latest.carrier, now)

    def _attempt(self, upstream: Upstream, now: float, *, by_stream: bool | None) -> Attempt:
        state = self._state
        assert state is not None
        if by_stream is None:
            by_stream = upstream.is_stream_only or self._group.is_by_stream(
                self._request.transport_name
            )
        attempt = LaterAttempt(self, upstream, state.latest.question, now, by_stream=by_stream)
        state.begin(attempt)
        return attempt

    # The end

    def _finish(self, answer: Answer) -> None:
        """End with `answer`, unless the block's `next` forwarder is to be asked."""
        request = self._request
        following = self._group.forwarder_after(answer, self.query)
        if following is None:
            request.end(answer)
            return
        observer, now = request.observer, self._group.ticker.now()
        request.delegate_to(self)
        transport = request.transport_name
        done = request.delegate_answered
        self._delegate = following.ask(request.query, self.deadline, done, now, transport)
        self._delegate.observer = observer
        self._delegate.is_awaited = request.is_awaited

    def _fail(self, failure: Failure) -> None:
        if not self._request.is_optional:
            self._group.counts.failed += 1
        self._request.end(failure)

    def fail_soon(self, failure: Failure) -> None:
        """Fail without any attempt, in the next turn of the loop: after the caller has returned."""
        self._group.runtime.call_soon(lambda: None if self.is_done else self._fail(failure))
