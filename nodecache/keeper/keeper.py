"""The parent process: it starts first and ends last.

It owns what must outlive a worker: the listening sockets, the configuration in force, the node's
interface, addresses and rules (`host/`), and the worker's life. It is small, has one thread and no
event loop, and never reads a DNS message.

    start:  read the configuration → bind → fork → worker ready → mark the sockets, addresses, rules
    run:    wait for: a signal, the worker (a word, or its death), the host, a changed file
    stop:   no more queries → worker drains → addresses withdrawn, rules left that expire → exit

With a next agent on the node (`handover.py`) the start begins with its predecessor's sockets, and
the stop leaves the host to its successor.
"""

import encodings.idna  # noqa: F401 - what the worker would import late, when it is nobody
import logging
import math
import mmap
import os
import signal
from collections.abc import Iterable
from ipaddress import ip_address
from time import monotonic

from nodecache.config.flags import Flags
from nodecache.config.plan import listen_addresses
from nodecache.config.source import Config, ConfigSource
from nodecache.host import Endpoint, Guard, Verdict, privileges
from nodecache.process import log as logs
from nodecache.process.channel import Channel
from nodecache.process.messages import Message
from nodecache.process.pidfile import remove_pidfile, write_pidfile
from nodecache.process.pods import PodAddress
from nodecache.process.protocol import JOURNAL_OCTETS
from nodecache.process.signals import SignalPipe
from nodecache.process.vitals import KeeperVitals, measure

from .active_config import ActiveConfig
from .child import Work
from .handover_actions import HandoverActions
from .handover_socket import HandoverSocket, name_of
from .loop import Loop
from .reconfiguring import Reconfiguring
from .socket_mark import SocketMark
from .supervisor import Supervisor

log = logging.getLogger(__name__)
bare = logging.getLogger(logs.BARE)

DRAIN_SECONDS = 6.0  # the worker gives clients 5 s, then it is ended
RELEASE_SECONDS = 8.0  # for queries to be intercepted no more
LEAVE_SECONDS = 12.0  # for rules to be removed: all of a stop is less than the 30 s of a pod
# CoreDNS starts itself anew at SIGUSR2, which leaves nothing else to be done here than to read again.
_RELOAD_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# SIGCHLD only wakes the loop, which then looks whether the worker has ended: it needs no pidfd
# (Linux 5.3), and a signal that is lost costs a second.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_VITALS_SECONDS = 5.0
_LONGEST_WAIT = 1.0
_CLOSE_LOOK = 0.05  # while something else is waited for that ends soon


class Keeper:
    """One agent's keeper. `guard` is None if the host is not to be set up; workers run `work`."""

    def __init__(
        self, flags: Flags, source: ConfigSource, config: Config, guard: Guard | None, work: Work
    ) -> None:
        self._flags = flags
        self._source = source
        self._guard = guard
        self._work = work
        self._journal = mmap.mmap(-1, JOURNAL_OCTETS)  # the workers': what waits, for the next one
        self._vitals_at = 0.0
        self._has_served = False
        self._is_stopping = False
        self._stop_at = math.inf
        self._loop = Loop()
        self._signals = SignalPipe((*_STOP_SIGNALS, *_RELOAD_SIGNALS, signal.SIGCHLD))
        self._active = ActiveConfig(config)
        self._mark = SocketMark(self._active)
        self._supervisor = Supervisor(self._loop, self)
        self._reconfiguring = Reconfiguring(source, self._active, self._supervisor, self._loop)
        self._actions = HandoverActions(
            flags, self._active, self._supervisor, self._reconfiguring, guard
        )
        self._handover = self._actions.handover
        wanted = listen_addresses(config.served_zones)
        self._handover_socket = HandoverSocket(name_of(flags, wanted), self._handover)

    def run(self) -> int:
        """Serve until told to stop; the exit status. CannotListen before anything ran."""
        wanted = listen_addresses(self._active.config.served_zones)
        self._active.open(self._handover_socket.request(wanted))
        self._loop.listen(self._handover_socket, lambda: None)  # its turn comes in every round
        self._loop.listen(self._signals, self._on_signal)
        self._reconfiguring.watch()
        if self._guard is not None:
            self._loop.listen(self._guard, lambda: None)  # its turn comes in every round
        if os.geteuid() == 0:
            privileges.set_oom_score_adj(privileges.KEEPER_OOM_SCORE_ADJ)
            privileges.keep_only(privileges.keeper_needs(sets_up_host=self._guard is not None))
        try:
            self._loop.attempt(self._supervisor.spawn, monotonic())
            while not self._is_stopping:
                self._turn()
        finally:  # nothing may be left on the host that nobody manages
            self._stop()
        return 0

    # One round

    def _turn(self) -> None:
        """Wait for an event; handle it and what is due."""
        self._loop.attempt(self._wait)
        now = monotonic()
        for step in (
            self._handover_socket.turn,
            self._actions.turn,
            self._supervisor.turn,
            self._turn_guard,
            self._turn_mark,
            self._turn_source,
            self._turn_vitals,
            self._turn_stop,
        ):
            self._loop.attempt(step, now)

    def _wait(self) -> None:
        self._loop.turn(self._timeout_seconds(monotonic()))
        logs.tick()

    def _turn_guard(self, now: float) -> None:
        if self._guard is not None and self._guard.turn(now) is Verdict.REPLACE:
            self._supervisor.replace("does not answer queries")

    def _turn_mark(self, now: float) -> None:
        if self._guard is not None:
            self._mark.probed(self._guard.answered, self._guard.unanswered, now)
        self._mark.turn(now, are_ours=self._handover.has_node)

    def _turn_source(self, now: float) -> None:
        if now >= self._source_due_at:
            self._reconfiguring.look()

    def _turn_vitals(self, now: float) -> None:
        if now >= self._vitals_at or self._reconfiguring.is_news:
            self._tell_vitals(now)

    def _turn_stop(self, now: float) -> None:
        if now >= self._stop_at:
            self._is_stopping = self._handover.may_stop(now)

    def _timeout_seconds(self, now: float) -> float:
        due = [
            now + _LONGEST_WAIT,
            self._vitals_at,
            self._source_due_at,
            self._handover_socket.next_wake(),
            self._supervisor.next_wake(),
            self._actions.next_wake(now),
            self._mark.next_wake(),
            self._stop_at if now < self._stop_at else now + _CLOSE_LOOK,
        ]
        if self._guard is not None:
            due.append(self._guard.next_wake(now))
        return max(0.0, min(due) - now)

    @property
    def _source_due_at(self) -> float:
        return self._source.due_at if self._handover.is_answering else math.inf

    # The worker

    @property
    def is_worker_wanted(self) -> bool:
        """Whether a worker that ended is to be replaced."""
        return not self._is_stopping and self._handover.is_answering

    def be_worker(self, channel: Channel) -> int:
        """Run the worker, in the forked child."""
        self._loop.close_in_child()
        self._signals.close_in_child()
        self._handover_socket.close_in_child()
        self._source.close()
        if self._guard is not None:
            self._guard.close_in_child()
        config, sockets = self._active.config, self._active.sockets
        return self._work(self._flags, config, sockets, channel, self._vitals(), self._journal)

    def worker_message(self, message: Message, now: float) -> None:
        """A message from the worker."""
        match message.kind:
            case "ready":
                self._on_ready(now)
            case "reloaded":
                self._reconfiguring.taken()
            case "refused":
                self._reconfiguring.refused(message.fields["why"])
            case "paused" if self._supervisor.worker is not None:
                self._supervisor.worker.is_paused = True
            case "cache":
                self._handover.send_cache(message.descriptors)
            case "pods" if self._guard is not None:
                self._guard.host.set_dns_pods(endpoints(message.fields["pods"]), now)
            case _:
                pass  # a heartbeat: that it came is all it says

    def worker_alive(self, now: float) -> None:
        """The worker sent a sign of life."""
        if self._supervisor.is_ready:
            self._mark.heard(now)
        if self._guard is not None:
            self._guard.worker_alive(now)

    def worker_ended(self, now: float) -> None:
        """The worker has ended; an offered configuration is withdrawn."""
        self._reconfiguring.worker_ended()
        if self._guard is not None:
            self._guard.worker_ended(now)

    def worker_failed(self) -> None:
        """Workers fail one after another: none is started for a while."""
        self._mark.failed()

    def worker_unkillable(self) -> None:
        """The worker cannot be killed: the guard goes on probing, and asks for it to be killed again."""
        if self._handover.has_node:
            self._actions.take_over()

    def _on_ready(self, now: float) -> None:
        assert self._supervisor.worker is not None
        self._supervisor.worker.is_ready = True
        if not self._has_served:
            self._has_served = True
            self._announce(self._active.config)
        if self._handover.ready(now):
            self._actions.take_over()
        self._vitals_at = now
        self._reconfiguring.worker_ready()
        write_pidfile(self._flags.pidfile)

    def _announce(self, config: Config) -> None:
        """Print the zones that are served, in CoreDNS's form."""
        if not self._flags.quiet:
            for place in config.served_zones:
                on = f" on {place.address.host}" if place.address.host else ""
                bare.info("%s:%d%s", place.zone_name, place.address.port, on)
        worker = self._supervisor.worker
        log.info("nodecache serves, worker %d answers", worker.pid if worker else 0)

    # The host's numbers, for the worker's metrics

    def _vitals(self) -> KeeperVitals:
        state = self._guard.host.state() if self._guard is not None else {}
        vitals = KeeperVitals.from_fields(state)
        vitals.process = measure(is_private_wanted=True)
        vitals.workers_replaced = dict(self._supervisor.deaths)
        vitals.keeper_faults = self._loop.faults
        vitals.is_config_current = self._source.is_current
        errors = vitals.setup_errors
        errors["configmap"] = errors.get("configmap", 0) + self._source.errors
        return vitals

    def _tell_vitals(self, now: float) -> None:
        self._vitals_at = now + _VITALS_SECONDS
        self._reconfiguring.is_news = False
        if self._supervisor.is_ready:
            self._supervisor.send(
                "vitals",
                vitals=self._vitals().to_fields(),
                reload_failures=self._reconfiguring.failures,
            )

    # Signals, and the end

    def _on_signal(self) -> None:
        for number in self._signals.received():
            if number in _RELOAD_SIGNALS and self._handover.is_answering:
                log.info("%s: Reloading", signal.Signals(number).name)
                self._reconfiguring.load()
            elif number in _STOP_SIGNALS:
                self._on_stop_signal(number)

    def _on_stop_signal(self, number: int) -> None:
        """The first signal begins a clean stop, after the lameduck; a second one skips the delay."""
        name = signal.Signals(number).name
        if self._stop_at != math.inf:
            self._is_stopping = True
            return
        log.info("%s: Shutting down servers then terminating", name)
        lameduck = self._active.config.lameduck_seconds if self._handover.has_node else 0.0
        self._stop_at = monotonic() + lameduck

    def _stop(self) -> None:
        """Stop intercepting, have the worker answer what is left, then clean up the host.

        If another agent manages the node, only the worker ends and everything else stays. That agent may
        have come while the worker answered the rest: a pod deleted by force has its successor at once.
        """
        attempt = self._loop.attempt
        guard = self._guard if self._handover.has_node else None
        attempt(self._handover_socket.close)
        if guard is not None:
            attempt(self._mark.take_away)
            attempt(lambda: guard.release(monotonic()))
            attempt(guard.host.settle, RELEASE_SECONDS)
        attempt(self._supervisor.finish, DRAIN_SECONDS)
        if guard is not None and self._handover_socket.is_taken():
            log.info("another agent is there: the node is its own")
        elif guard is not None:
            # Only now: a reply needs its source address.
            attempt(lambda: guard.host.remove_interface(monotonic()))
            attempt(lambda: guard.host.leave_fallbacks(monotonic()))
            attempt(guard.host.settle, LEAVE_SECONDS)
        attempt(self._active.close)
        attempt(remove_pidfile, self._flags.pidfile)


def endpoints(pods: Iterable[PodAddress]) -> list[Endpoint]:
    """Kube-dns' pods for the packet rules, which know one port a pod: kube-dns' own for both protocols."""
    return [Endpoint(ip_address(pod.host), pod.udp_port) for pod in pods]
