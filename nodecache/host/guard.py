"""Decides by probes of the worker what happens to host and worker: queries come here only while they are answered."""

import enum
import logging
import math
import socket
from collections.abc import Callable, Iterable
from typing import Any

from .host import Host
from .lease import Action, Lease
from .options import Address
from .probe import QUESTION, Outcome, Probe, Target

log = logging.getLogger(__name__)

# Whether one that says nothing for longer hangs, builds a configuration or gets no CPU, the keeper
# finds out; here it is judged by its answers while it is heard.
UNHEARD_SECONDS = 2.0


class Verdict(enum.Enum):
    """What the keeper is to do with the worker."""

    KEEP = "keep"
    REPLACE = "replace"


class Guard:
    """Probes the worker, and brings up the host, withdraws its leased addresses or asks for another worker.

    `targets` tells where to probe at a moment; by default every listen address that is on our
    interface then, at the DNS port.
    """

    def __init__(
        self,
        host: Host,
        *,
        question: bytes = QUESTION,
        targets: Callable[[float], Iterable[Target]] | None = None,
    ) -> None:
        self.host = host
        self._probe = Probe(host.poller, question)
        self._targets = targets or self._own_targets
        self._lease: Lease | None = None
        self._probe_at = math.inf
        self._alive_at = -math.inf
        self._can_ask = True
        self._is_closing = False
        self.answered = 0
        self.unanswered = 0

    def fileno(self) -> int:
        """The one descriptor to poll for reading."""
        return self.host.fileno()

    def worker_ready(self, now: float) -> None:
        """A worker serves. The first time, the host is brought up."""
        if self._is_closing:
            return
        if self._lease is None:
            self._lease = Lease(self.host.options.lease_seconds, now)
            self.host.bring_up(now)
        self._lease.worker_ready(now)
        self._probe_at = now

    def worker_ended(self, now: float) -> None:
        """The worker ended. The time without an answer goes on until another one answers."""
        self._probe.cancel()
        self._probe_at = math.inf
        if self._lease is not None:
            self._lease.worker_ended()
            self._carry_out(self._lease.due(now), now)

    def worker_alive(self, now: float) -> None:
        """A heartbeat: it counts as an answer only while there is no address to probe, or no means."""
        self._alive_at = now
        if self._lease is None or self._is_closing:
            return
        if not self._can_ask or not list(self._targets(now)):
            self._carry_out(self._lease.answered(now), now)

    def turn(self, now: float) -> Verdict:
        """Do what is due; never waits."""
        self.host.turn(now)
        if self._lease is None or self._is_closing:
            return Verdict.KEEP
        actions = self._ask(self._lease, now)
        actions += self._lease.due(now)
        return self._carry_out(actions, now)

    def next_wake(self, now: float) -> float:
        """When `turn` is to be called even if the descriptor is not readable."""
        times = [self.host.next_wake(now)]
        if self._lease is not None and not self._is_closing:
            times.append(self._lease.next_wake())
            times.append(self._probe.deadline if self._probe.is_running else self._probe_at)
        return min(times)

    def detach(self) -> None:
        """Another agent manages the host from now on, once it is settled.

        `worker_ready` brings the host up again.
        """
        self._probe.cancel()
        self._probe_at = math.inf
        self._lease = None
        self.host.detach()

    def release(self, now: float) -> None:
        """A clean stop begins: no more probes, and no queries come once the host is settled."""
        self._is_closing = True
        self._probe.cancel()
        self.host.release(now)

    def close_in_child(self) -> None:
        """After a fork, in the child: close the descriptors, change nothing on the host."""
        self._probe.close_in_child()
        self.host.close_in_child()

    def state(self) -> dict[str, Any]:
        """The state of the host for the worker's metrics, ready for JSON."""
        state = self.host.state()
        state["probes"] = {"answered": self.answered, "unanswered": self.unanswered}
        state["lease"]["withdrawals"] = self._lease.withdrawals if self._lease is not None else 0
        return state

    def _ask(self, lease: Lease, now: float) -> list[Action]:
        """Go on with the running probe, or start one that is due."""
        if not self._probe.is_running:
            if now < self._probe_at:
                return []
            targets = list(self._targets(now))
            self._probe_at = now + lease.probe_seconds
            if not targets:
                return []
            if not self._start(targets, now, lease.probe_seconds):
                return []
        outcome = self._probe.turn(now)
        if outcome is Outcome.ANSWERED:
            self.answered += 1
            return lease.answered(now)
        if outcome is Outcome.SILENT:
            self.unanswered += 1
            return lease.unanswered(now)
        return []

    def _start(self, targets: Iterable[Target], now: float, seconds: float) -> bool:
        """Start a probe; False where that cannot be done, which says nothing about the worker."""
        could_ask = self._can_ask
        try:
            self._probe.start(targets, now, seconds)
        except OSError as error:  # no descriptor or memory is left
            self._probe.cancel()
            self._can_ask = False
            if could_ask:
                log.warning(
                    "the worker cannot be asked, its heartbeats must do: %s", error.strerror
                )
        else:
            self._can_ask = True
        return self._can_ask

    def _carry_out(self, actions: list[Action], now: float) -> Verdict:
        verdict = Verdict.KEEP
        for action in actions:
            if action is Action.RENEW:
                self.host.renew(now)
            elif action is Action.WITHDRAW:
                log.warning("nothing answers (%s): withdrawing %s", self._silent(), self._leased())
                self.host.withdraw(now)
            elif action is Action.RESTORE:
                log.info("answers again: restoring %s", self._leased())
                self.host.restore(now)
            elif now > self._alive_at + UNHEARD_SECONDS:
                self.worker_ready(now)  # patience begins anew
            else:
                log.warning("the worker answers nothing (%s): replacing it", self._silent())
                self._probe.cancel()
                self._probe_at = math.inf
                verdict = Verdict.REPLACE
        return verdict

    def _silent(self) -> str:
        return ", ".join(self._probe.silent) or "no probe came back"

    def _leased(self) -> str:
        return (
            ", ".join(str(address) for address in self.host.options.leased_addresses) or "nothing"
        )

    def _own_targets(self, now: float) -> list[Target]:
        options = self.host.options
        addresses = self.host.probe_addresses(now)
        if not options.setup_interface:
            addresses = tuple(address for address in addresses if _is_local(address))
        return [(address, options.dns_port) for address in addresses]


def _is_local(address: Address) -> bool:
    """Whether this host holds `address`: then a socket can be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
