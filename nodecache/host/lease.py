"""When to renew the lease, replace the worker, give the addresses back: pure, told the time.

A probe is a real query through the real sockets. While probes are answered, the leased addresses
are renewed at a third of their lifetime. A worker that answers nothing for half the lease is
replaced. If nothing answers for three quarters of it, the addresses are
withdrawn at once (the kernel would remove them about then), and come back when several
probes in a row were answered; more of them when this happens often.
"""

import enum
import math

RENEWALS = 3  # a lease
REPLACE_AFTER, WITHDRAW_AFTER = 1 / 2, 3 / 4  # of the lease, in silence
PROBES = 10  # a lease
MAX_PROBE_SECONDS = 1.0
ENDLESS_BASIS_SECONDS = 10.0  # what "half the lease" means where addresses have no end
RESTORE_AFTER, MAX_RESTORE_AFTER = 3, 12  # answered probes in a row
CALM_LEASES = 10  # held this long, and the next withdrawal counts as the first


class Action(enum.Enum):
    """What the keeper is to do now."""

    RENEW = "renew"
    REPLACE = "replace"
    WITHDRAW = "withdraw"
    RESTORE = "restore"


class Lease:
    """Decides by the answers to probes. `seconds` is the lease; 0 is addresses without an end."""

    def __init__(self, seconds: float, now: float) -> None:
        self.seconds = seconds
        self._basis = seconds or ENDLESS_BASIS_SECONDS
        self._answered_at = now  # or when we began to look
        self._patience_from = now  # a new worker has its own half lease
        self._renew_at = now
        self._looked_at = now
        self._is_last_answered = False
        self._has_worker = False
        self._in_a_row = 0
        self._restore_after = RESTORE_AFTER
        self._held_since = now
        self.is_held = True
        self.withdrawals = 0

    @property
    def probe_seconds(self) -> float:
        """How often to probe, and how long to wait for the answer."""
        return min(MAX_PROBE_SECONDS, self._basis / PROBES)

    def worker_ready(self, now: float) -> None:
        """A worker, the first or a new one, has said that it serves."""
        self._has_worker = True
        self._patience_from = now

    def worker_ended(self) -> None:
        """The worker ended; the time without an answer goes on."""
        self._has_worker = False
        self._is_last_answered = False
        self._in_a_row = 0

    def answered(self, now: float) -> list[Action]:
        """The last probe was answered."""
        self._answered_at = self._patience_from = self._looked_at = now
        self._is_last_answered = True
        self._in_a_row += 1
        if not self.is_held:
            return self._restore(now) if self._in_a_row >= self._restore_after else []
        if now - self._held_since > CALM_LEASES * self._basis:
            self._restore_after = RESTORE_AFTER
        return self._renew(now)

    def unanswered(self, now: float) -> list[Action]:
        """The last probe was not answered."""
        self._is_last_answered = False
        self._in_a_row = 0
        return self.due(now)

    def due(self, now: float) -> list[Action]:
        """The actions that are due at `now`."""
        self._forgive_a_pause(now)
        actions = self._renew(now)
        if self._has_worker and now >= self._patience_from + self._basis * REPLACE_AFTER:
            self._has_worker = False
            actions.append(Action.REPLACE)
        if self.is_held and self.seconds and now >= self._withdraw_at:
            self._held_since = now
            self.is_held = False
            self.withdrawals += 1
            actions.append(Action.WITHDRAW)
        return actions

    def next_wake(self) -> float:
        """When `due` may return an action; infinity for never."""
        times = [math.inf]
        if self._has_worker:
            times.append(self._patience_from + self._basis * REPLACE_AFTER)
        if self.is_held and self.seconds:
            times.append(self._withdraw_at)
            if self._is_last_answered:
                times.append(self._renew_at)
        return min(times)

    @property
    def _withdraw_at(self) -> float:
        return self._answered_at + self._basis * WITHDRAW_AFTER

    def _renew(self, now: float) -> list[Action]:
        is_due = self.seconds and self.is_held and self._is_last_answered and now >= self._renew_at
        if not is_due:
            return []
        self._renew_at = now + self.seconds / RENEWALS
        return [Action.RENEW]

    def _restore(self, now: float) -> list[Action]:
        self.is_held = True
        self._held_since = now
        self._restore_after = min(self._restore_after * 2, MAX_RESTORE_AFTER)
        self._renew_at = now + self.seconds / RENEWALS
        return [Action.RESTORE]

    def _forgive_a_pause(self, now: float) -> None:
        """Do not count a time in which this process itself did not run."""
        pause = now - self._looked_at
        self._looked_at = now
        if pause > max(self._basis / 4, 2 * self.probe_seconds):
            self._answered_at += pause
            self._patience_from += pause
