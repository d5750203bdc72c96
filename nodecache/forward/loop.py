"""Detection of forwarding loops: upstreams whose queries come back to us.

A question that nobody else asks (`HINFO` of a random name, as CoreDNS's `loop` does) is sent to
each upstream. If it arrives here as a client's query, that upstream leads back: its queries
would go round for ever. CoreDNS ends the process; here the upstream is quarantined, the rest
serves, and it is tried again every half minute.
"""

import logging
import secrets
from typing import TYPE_CHECKING, Final

from nodecache.wire import HEADER_SIZE, Flag, Query, Rdtype, read_query

from .attempt import Attempt, LaterAttempt
from .probe import probe_query
from .runtime import Timer

if TYPE_CHECKING:
    from .upstream import Upstream

log = logging.getLogger("plugin/loop")

RETRY_SECONDS: Final = 30.0
# How long a probe may take to come round, or to be answered; an upstream that does neither is
# asked again so many times, as long in all as CoreDNS tries.
_PROBE_SECONDS: Final = 2.0
_MAX_PROBES: Final = 15


class LoopWatch:
    """Probes upstreams for loops, and recognises the probes when they come back."""

    def __init__(self) -> None:
        self._probes: dict[Upstream, LoopProbe] = {}
        self._by_qname: dict[bytes, LoopProbe] = {}

    def watch(self, upstream: "Upstream", zone_name: str) -> None:
        """Probe `upstream` for a loop, with a name below `zone_name`."""
        if upstream not in self._probes:
            probe = self._probes[upstream] = LoopProbe(self, upstream, zone_name)
            probe.begin()

    def forget(self, upstream: "Upstream") -> None:
        """Probe `upstream` no more."""
        probe = self._probes.pop(upstream, None)
        if probe is not None:
            probe.end()

    def is_loop_probe(self, query: Query) -> bool:
        """Whether a client's query is one of our probes, which is then not to be forwarded."""
        if query.qtype != Rdtype.HINFO:
            return False
        probe = self._by_qname.get(query.qname)
        if probe is None:
            return False
        probe.came_back()
        return True

    def expect(self, probe: "LoopProbe") -> None:
        """`probe` was sent: recognise it."""
        self._by_qname[probe.query.qname] = probe

    def expect_no_more(self, probe: "LoopProbe") -> None:
        """`probe` timed out: do not recognise it any more."""
        self._by_qname.pop(probe.query.qname, None)


class LoopProbe:
    """The loop probe of one upstream. It comes back to us, or is answered, or times out."""

    def __init__(self, watch: LoopWatch, upstream: "Upstream", zone_name: str) -> None:
        self.upstream = upstream
        self.is_done = False
        self.query: Query
        self._watch = watch
        self._zone_name = zone_name
        self._name = ""
        self._sent = 0
        self._is_back = False
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Send a probe with a new random name, which is in no cache."""
        upstream, runtime = self.upstream, self.upstream.runtime
        numbers = f"{secrets.randbits(63)}.{secrets.randbits(63)}"
        self._name = f"{numbers}.{self._zone_name.lstrip('.')}"
        self.query = read_query(probe_query(0, self._name, Rdtype.HINFO, Flag.RD))
        self._sent += 1
        self._is_back = False
        self._watch.expect(self)
        self._timer = runtime.call_later(_PROBE_SECONDS, self._unanswered)
        now = runtime.clock()
        question = self.query.packet[HEADER_SIZE : self.query.question_end]
        attempt = LaterAttempt(self, upstream, question, now, by_stream=upstream.is_stream_only)
        upstream.send(attempt, now)

    def end(self) -> None:
        """Ask no more."""
        self.is_done = True
        self._stop_timer()
        self._watch.expect_no_more(self)

    def came_back(self) -> None:
        """The probe came back as a client's query: a loop."""
        self._is_back, self._sent = True, 0
        upstream = self.upstream
        if not upstream.health.is_looping:
            upstream.quarantine(is_looping=True)
            upstream.counts.loops += 1
            log.error(
                "loop detected: upstream %s leads back to this server; it is left out and tried "
                "again every %.0f s, see https://coredns.io/plugins/loop#troubleshooting. "
                'Query: "HINFO %s"',
                upstream.to,
                RETRY_SECONDS,
                self._name,
            )
        self._try_later(RETRY_SECONDS)

    # What becomes of the attempt

    def answered(self, attempt: Attempt, packet: bytes, now: float) -> None:  # noqa: ARG002
        """An answer came from elsewhere: no loop."""
        if self.is_done or self._is_back or attempt.question != self.query.question:
            return  # an answer to a probe that came back is what we ourselves said to it
        self._leads_elsewhere()

    def attempt_failed(
        self, attempt: Attempt, reason: str, now: float, *, is_connect: bool = False
    ) -> None:
        """No answer: the timer decides."""

    def connection_lost(
        self, attempt: Attempt, reason: str, now: float, *, has_worked: bool
    ) -> None:
        """No answer: the timer decides."""

    def reroute(self, attempt: Attempt, now: float, *, is_unread: bool) -> None:
        """The timer decides."""

    def slowed(self, attempt: Attempt, now: float) -> None:
        """The timer decides."""

    def _leads_elsewhere(self) -> None:
        if self.upstream.health.is_looping:
            self.upstream.quarantine(is_looping=False)
            log.info("upstream %s no longer leads back to this server", self.upstream.to)
        self._watch.forget(self.upstream)

    def _unanswered(self) -> None:
        """It went elsewhere, or was lost: some servers never answer HINFO, and may be asked all the same."""
        self._timer = None
        if self._sent >= _MAX_PROBES:
            self._leads_elsewhere()
        elif self.upstream.health.is_looping:
            self._try_later(RETRY_SECONDS)
        else:
            self._watch.expect_no_more(self)
            self.begin()

    def _try_later(self, seconds: float) -> None:
        def again() -> None:
            self._watch.expect_no_more(self)
            self.begin()

        self._stop_timer()
        self._timer = self.upstream.runtime.call_later(seconds, again)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
