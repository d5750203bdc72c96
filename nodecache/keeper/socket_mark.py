"""Whether packet rules draw queries to our sockets: only while somebody reads them.

The rules match where a socket that bears a mark is bound for the packet (`process/listen.py`); what
they do not match, kube-proxy's DNAT carries to kube-dns. So a marked socket is a promise. It is made once a
worker reads, and taken back when none has been heard for a second, when the keeper's own queries are not
answered, or when one worker after the other fails. What is queued in the socket stays there for the
next worker; a hung one's copies of the socket bear no mark either, for it is one socket.

Where the rules cannot look for sockets, the mark is nothing to anybody: queries wait in the sockets, and
the lease of the addresses is what ends (`host/lease.py`).
"""

import logging
import math

from .active_config import ActiveConfig

log = logging.getLogger(__name__)

UNHEARD_SECONDS = 1.0  # two signs of life of a worker are missing
# After a failure the mark waits for an answer to the keeper's query; where there is no address that
# could be asked, for so many seconds of life.
TRIAL_SECONDS = 3.0


class SocketMark:
    """The mark of one keeper's listening sockets, which it may share with the agent before it."""

    def __init__(self, active: ActiveConfig) -> None:
        self._active = active
        self._heard_at = -math.inf
        self._trial_until: float | None = None  # None: believed; else when it is without an answer
        self._is_on = False
        self._were_ours = False
        self._probes = (0, 0)

    def heard(self, now: float) -> None:
        """A worker that reads the sockets lives."""
        self._heard_at = now
        if self._trial_until == math.inf:
            self._trial_until = now + TRIAL_SECONDS

    def failed(self) -> None:
        """There is no worker, and it is not known when there is one; nor whether that one answers."""
        self._heard_at = -math.inf
        self._trial_until = math.inf

    def probed(self, answered: int, unanswered: int, now: float) -> None:
        """How many of the keeper's queries were answered, and how many were not, since its start."""
        if answered > self._probes[0]:
            self._trial_until = None
        elif unanswered > self._probes[1]:
            self._trial_until = now + TRIAL_SECONDS
        self._probes = (answered, unanswered)

    def next_wake(self) -> float:
        """When the mark is taken away if nothing is heard; infinity for never."""
        return self._heard_at + UNHEARD_SECONDS if self._is_on else math.inf

    def turn(self, now: float, *, are_ours: bool) -> None:
        """Mark the sockets or take the mark away; those that another agent reads are left alone."""
        if are_ours and not self._were_ours:
            for pair in self._active.sockets.values():
                pair.is_marked = None  # whatever the other one has made of them
        self._were_ours = are_ours
        if not are_ours:
            return
        is_believed = self._trial_until is None or now >= self._trial_until
        is_on = is_believed and now < self._heard_at + UNHEARD_SECONDS
        if is_on != self._is_on:
            self._is_on = is_on
            self._tell()
        for pair in self._active.sockets.values():
            pair.mark(is_on=is_on)

    def take_away(self) -> None:
        """Have no more queries drawn to our sockets, for good: a stop begins."""
        for pair in self._active.sockets.values():
            pair.mark(is_on=False)

    def _tell(self) -> None:
        if self._is_on:
            log.info("a worker reads: queries are drawn to it")
        else:
            log.warning("no worker answers: queries go where they would without us")
