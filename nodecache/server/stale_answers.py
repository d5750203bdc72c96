"""Expired answers, for clients that fresh ones come too late for: RFC 8767 §5, CoreDNS's `serve_stale`."""

import asyncio
from typing import Final

from nodecache.cache import Cache, Entry, stale_errors

from .inflight import InflightQuery, WaitState
from .policy import StalePolicy
from .source import Source
from .waiting import WaitingQueries

# While no upstream answers, so many may wait for one that might have a stale answer at once.
_MAX_WAITING: Final = 4


class StaleAnswers:
    """Sends expired answers as the policy has it: at once, in time, or when nothing better came."""

    def __init__(
        self,
        policy: StalePolicy,
        cache: Cache,
        waiting: WaitingQueries,
        loop: asyncio.AbstractEventLoop,
        *,
        keeps_ttl: bool,
    ) -> None:
        self.policy = policy
        self._counts = cache.counts
        self._waiting = waiting
        self._loop = loop
        self._keeps_ttl = keeps_ttl

    def respond(self, query: InflightQuery, entry: Entry) -> None:
        """Respond with an expired entry."""
        self._counts.served_stale += 1
        policy = self.policy
        ttl = entry.ttl if self._keeps_ttl and not policy.ttl else policy.ttl
        query.respond_from_cache(entry, ttl, stale_errors(entry))

    def is_hopeless(self, entry: Entry, source: Source, now: float) -> bool:
        """Whether a client would wait for a fresh answer in vain."""
        leaders = self._waiting.leaders
        leader = leaders.get(entry.key)
        if leader is not None and leader.wait_state is not None and leader.wait_state.is_late:
            return True
        if self.policy.client_timeout_seconds != 0 and source.is_silent(now):
            return leader is not None or len(leaders) >= _MAX_WAITING
        return False

    def arm_timer(self, leader: InflightQuery, wait_state: WaitState) -> None:
        """Have clients get the stale answer, where there is one, once upstream has had its time."""
        if wait_state.stale is None or wait_state.stale_timer is not None:
            return
        seconds = self.policy.client_timeout_seconds
        if seconds is not None:
            wait_state.stale_timer = self._loop.call_later(
                seconds, self._time_out, leader, wait_state
            )

    def _time_out(self, leader: InflightQuery, wait_state: WaitState) -> None:
        """Clients that wait get the stale answer; the question stays in flight."""
        wait_state.stale_timer = None
        wait_state.is_late = True
        entry = wait_state.stale
        if entry is not None and entry.wire:
            for query in self._waiting.released(leader):
                self.respond(query, entry)
