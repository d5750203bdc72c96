"""Marks the listening sockets while a worker reads them, so that the packet rules match.

The rules match if a socket with a mark is bound for the packet (`process/listen.py`); other packets go
to kube-dns by kube-proxy's DNAT. The sockets are marked once a worker reads them. The mark is removed when no
worker has been heard for a second, when the keeper's own queries are not answered, or when one worker
after the other fails. Queries that are queued in the socket stay there for the next worker. A worker that
hangs has the same socket, so its mark is gone too.

If the rules cannot match on sockets, the mark has no effect: queries wait in the sockets, and
the lease of the addresses ends (`host/lease.py`).
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
        self._probes = (0, 0)

    def heard(self, now: float) -> None:
        """A worker that reads the sockets has sent a message."""
        self._heard_at = now
        if self._trial_until == math.inf:
            self._trial_until = now + TRIAL_SECONDS

    def failed(self) -> None:
        """Workers fail one after the other: remove the mark until one answers a probe."""
        self._heard_at = -math.inf
        self._trial_until = math.inf

    def probed(self, answered: int, unanswered: int, now: float) -> None:
        """Note how many of the keeper's probes were answered, and were not, since its start."""
        if answered > self._probes[0]:
            self._trial_until = None
        elif unanswered > self._probes[1]:
            self._trial_until = now + TRIAL_SECONDS
        self._probes = (answered, unanswered)

    def next_wake(self) -> float:
        """When the mark is removed if nothing is heard; infinity for never."""
        return self._heard_at + UNHEARD_SECONDS if self._is_on else math.inf

    def turn(self, now: float, *, are_ours: bool) -> None:
        """Mark the sockets or remove the mark; those that another agent reads are not changed.

        Each time anew: who else has them may have changed it, an agent that ends or a worker that was taken over.
        """
        if not are_ours:
            self._is_on = False
            return
        is_believed = self._trial_until is None or now >= self._trial_until
        is_on = is_believed and now < self._heard_at + UNHEARD_SECONDS
        if is_on != self._is_on:
            self._is_on = is_on
            self._tell()
        for pair in self._active.sockets.values():
            pair.mark(is_on=is_on)

    def take_away(self) -> None:
        """Remove the mark for good: a stop begins."""
        for pair in self._active.sockets.values():
            pair.mark(is_on=False)

    def _tell(self) -> None:
        if self._is_on:
            log.info("a worker reads: its sockets are marked for the packet rules")
        else:
            log.warning("no worker answers: queries go to kube-dns, as without an agent")
