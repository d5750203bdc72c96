"""The parent process: first in, last out.

It owns what must outlive a worker: the listening sockets, the configuration in force, the node's
interface, addresses and rules (`host/`), and the worker's life. It is small, has one thread and no
event loop, and never reads a DNS message.

    start:  read the configuration → bind → fork → worker ready → addresses and rules
    run:    wait for: a signal, the worker (a word, or its death), the host, a changed file
    stop:   no more queries → worker drains → rules and addresses withdrawn → exit

With a next agent on the node (`handover.py`) the start begins with its predecessor's sockets, and
the stop leaves the host to its successor.
"""

import contextlib
import encodings.idna  # noqa: F401 - what the worker would import late, when it is nobody
import logging
import math
import os
import selectors
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from nodecache.config.flags import Flags
from nodecache.config.plan import listen_addresses
from nodecache.config.source import Config, ConfigSource
from nodecache.host import Guard, Verdict, privileges
from nodecache.process.channel import Channel, Message
from nodecache.process.listen import ListenAddress
from nodecache.process.pidfile import remove_pidfile, write_pidfile
from nodecache.process.shared_memory import shared_memory
from nodecache.process.signals import SignalPipe
from nodecache.process.sockets import CannotListen, Sockets
from nodecache.process.vitals import KeeperVitals, measure

from .active_config import InForce
from .child import Work, Worker, fork_worker
from .handover import Handover, Stage, to_fields
from .handover_socket import Door, name_of
from .respawn import Respawn

log = logging.getLogger(__name__)

YIELD_SECONDS = 3.0  # to let go: the successor renews a lease of which a part has passed
DRAIN_SECONDS = 6.0  # the worker gives clients 5 s, then it is ended
SETTLE_SECONDS = 8.0  # for rules and addresses to be withdrawn
_RELOAD_SIGNALS = (signal.SIGHUP, signal.SIGUSR1)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_VITALS_SECONDS = 5.0
_LONGEST_WAIT = 1.0
_CLOSE_LOOK = 0.05  # while something else is waited for that ends soon


class HasFileno(Protocol):
    """Something a selector can wait for."""

    def fileno(self) -> int:
        """Its descriptor."""


class Keeper:
    """One agent's keeper. `guard` is None where the host is left alone; workers run `work`."""

    def __init__(self, flags: Flags, source: ConfigSource, guard: Guard | None, work: Work) -> None:
        self._work = work
        self._flags = flags
        self._source = source
        self._guard = guard
        self._worker: Worker | None = None
        self._respawn = Respawn()
        self._journal = shared_memory()  # the workers': what waits, for the next one
        self._respawn_at: float | None = None
        self._vitals_at = 0.0
        self._has_served = False
        self._is_stopping = False
        self._stop_at: float | None = None
        self._refusals = 0
        self._deaths: Counter[str] = Counter()
        self._handover = Handover(self)
        self._yield_by = math.inf  # when what is letting go has had its time
        self._selector = selectors.DefaultSelector()
        self._signals = SignalPipe((*_STOP_SIGNALS, *_RELOAD_SIGNALS))

    def run(self, config: Config, early: dict[ListenAddress, Sockets]) -> int:
        """Serve `config` until told to stop; the exit status. CannotListen before anything ran.

        `early` are sockets that were bound already.
        """
        wanted = listen_addresses(config.places)
        self._door = Door(name_of(self._flags, wanted), self._handover)
        self._in_force = InForce.begin(config, early, self._door.knock(wanted))
        self._listen_to(self._door, lambda: None)  # its turn comes in every round
        self._listen_to(self._signals, self._on_signal)
        self._listen_to(self._source, self._on_change)
        if self._guard is not None:
            self._listen_to(self._guard, lambda: None)  # its turn comes in every round
        if os.geteuid() == 0:
            privileges.set_oom_score_adj(privileges.KEEPER_OOM_SCORE_ADJ)
            privileges.keep_only(privileges.keeper_needs(sets_up_host=self._guard is not None))
        self._spawn(monotonic())
        while not self._is_stopping:
            self._turn()
        return self._stop()

    def _listen_to(self, source: HasFileno, handler: Callable[[], None]) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(source.fileno())
        self._selector.register(source.fileno(), selectors.EVENT_READ, handler)

    # One round

    def _turn(self) -> None:
        """Wait for something to happen, and see to it and to what is due."""
        for key, _ in self._selector.select(self._patience(monotonic())):
            key.data()
        now = monotonic()
        self._door.turn(now)
        if self._handover.stage is Stage.YIELDING:
            self._mind_yielding(now)
        self._mind_worker(now)
        if self._guard is not None and self._guard.turn(now) is Verdict.REPLACE:
            self._replace("does not answer queries")
        if now >= self._vitals_at:
            self._tell_vitals(now)
        if now >= self._source_due_at:
            self._on_change()
        if self._stop_at is not None and now >= self._stop_at:
            self._is_stopping = self._handover.may_stop(now)

    def _patience(self, now: float) -> float:
        due = [now + _LONGEST_WAIT, self._vitals_at, self._source_due_at, self._door.next_wake()]
        if self._respawn_at is not None:
            due.append(self._respawn_at)
        if self._stop_at is not None:
            due.append(self._stop_at if now < self._stop_at else now + _CLOSE_LOOK)
        if self._handover.stage is Stage.YIELDING:
            due.append(now + _CLOSE_LOOK)
        if self._guard is not None:
            due.append(self._guard.next_wake(now))
        return max(0.0, min(due) - now)

    # The worker

    def _spawn(self, now: float) -> None:
        self._respawn_at = None
        self._respawn.born(now)
        self._worker = worker = fork_worker(self._be_worker, now)
        self._listen_to(worker.channel, self._on_worker_says)
        self._selector.register(worker.pidfd, selectors.EVENT_READ, self._on_worker_died)

    def _be_worker(self, channel: Channel) -> int:
        """What the forked child does."""
        self._selector.close()
        self._signals.close_in_child()
        self._door.close_in_child()
        self._source.close()
        if self._guard is not None:
            self._guard.close_in_child()
        config, sockets = self._in_force.config, self._in_force.sockets
        return self._work(self._flags, config, sockets, channel, self._vitals(), self._journal)

    def _mind_worker(self, now: float) -> None:
        if self._worker is not None and self._worker.is_silent(now):
            self._replace("said nothing for some seconds")
        elif self._worker is None and self._respawn_at is not None and now >= self._respawn_at:
            self._respawn_at = None
            if self._handover.is_answering:
                self._spawn(now)

    def _replace(self, why: str) -> bool:
        """Kill the worker; the next one starts when it is dead. False where it cannot be killed."""
        if self._worker is None:
            return True
        log.error("worker %d %s: it is replaced", self._worker.pid, why)
        self._worker.heard_at = monotonic()
        self._worker.is_hung = self._worker.kill()
        if not self._worker.is_hung and self._handover.has_node:
            self.take_over()  # it may come to itself: the guard asks on, and has it killed again
        return self._worker.is_hung

    def _on_worker_died(self) -> None:
        worker, now = self._worker, monotonic()
        if worker is None:
            return
        self._selector.unregister(worker.channel.fileno())
        self._selector.unregister(worker.pidfd)
        how = worker.reap()
        self._deaths["hung" if worker.is_hung else how.partition(" ")[0]] += 1
        self._worker = None
        self._in_force.give_up()
        if self._guard is not None:
            self._guard.worker_gone(now)
        pause = self._respawn.died(now)
        if not self._is_stopping and self._handover.is_answering:
            log.warning("worker %d %s; the next one starts in %.1f s", worker.pid, how, pause)
        self._respawn_at = now + pause

    def _on_worker_says(self) -> None:
        if self._worker is None:
            return
        now = monotonic()
        for message in self._worker.messages(now):
            self._heed(message, now)
        if self._guard is not None:
            self._guard.worker_heard(now)

    def _heed(self, message: Message, now: float) -> None:
        match message.kind:
            case "ready":
                self._on_ready(now)
            case "reloaded":
                self._on_reloaded()
            case "refused":
                self._on_refused(str(message.fields["why"]))
            case "paused" if self._worker is not None:
                self._worker.is_paused = True
            case "cache":
                self._handover.bequeath(message.descriptors)
            case _:
                pass  # a heartbeat: that it came is all it says

    def _on_ready(self, now: float) -> None:
        assert self._worker is not None
        self._worker.is_ready = True
        if not self._has_served:
            self._has_served = True
            self._announce(self._in_force.config)
        if self._handover.ready(now, self._in_force.sockets):
            self.take_over()
        self._source.keep_good(self._in_force.config)
        write_pidfile(self._flags.pidfile)
        self._vitals_at = now

    def _announce(self, config: Config) -> None:
        """Say what is served, in the original's form, and that it is."""
        if not self._flags.quiet:
            for place in config.places:
                on = f" on {place.address.host}" if place.address.host else ""
                print(f"{place.zone_name}:{place.address.port}{on}", flush=True)  # noqa: T201
        log.info("nodecache serves, worker %d answers", self._worker.pid if self._worker else 0)

    # The host's numbers, for the worker's metrics

    def _vitals(self) -> KeeperVitals:
        state = self._guard.host.state() if self._guard is not None else {}
        vitals = KeeperVitals.from_fields(state)
        vitals.process = measure(is_private_wanted=True)
        vitals.workers_replaced = dict(self._deaths)
        vitals.is_config_current = self._source.is_current
        errors = vitals.setup_errors
        errors["configmap"] = errors.get("configmap", 0) + self._source.errors
        return vitals

    def _tell_vitals(self, now: float) -> None:
        self._vitals_at = now + _VITALS_SECONDS
        if self._worker is not None and self._worker.is_ready:
            self._worker.channel.send(
                "vitals",
                fields=self._vitals().to_fields(),
                reload_failures=self._source.failures + self._refusals,
            )

    # A changed configuration

    @property
    def _source_due_at(self) -> float:
        return self._source.due_at if self._handover.is_answering else math.inf

    def _on_change(self) -> None:
        source = self._source
        told = (source.failures, source.is_current)
        config = source.changed(monotonic())
        if config is not None:
            self._reload(config)
        elif told != (source.failures, source.is_current):
            self._vitals_at = 0.0

    def _reload(self, config: Config) -> None:
        """Offer a valid configuration to the worker; it takes it or says why not."""
        try:
            if self._worker is None or not self._worker.is_ready:
                self._in_force.adopt(config)
                return
            with self._in_force.offer(config) as descriptors:
                self._worker.channel.send("reload", descriptors)
        except CannotListen as error:
            self._on_refused(str(error))

    def _on_reloaded(self) -> None:
        if self._in_force.taken():
            self._source.keep_good(self._in_force.config)
            log.info("Reloading complete")

    def _on_refused(self, why: str) -> None:
        log.error("Restart failed: %s; the running configuration stays", why)
        self._refusals += 1
        self._source.is_current = False
        self._vitals_at = 0.0
        self._in_force.give_up()

    # The agents before and after us: what `handover.py` asks of the house

    def lend(self) -> tuple[list[ListenAddress], list[int]]:
        """The sockets that a successor may go on with."""
        return list(self._in_force.sockets), self._in_force.lent

    def stand_back(self, kept: frozenset[ListenAddress]) -> None:
        """Have the worker read no more, and let go of the host: both may take a moment."""
        now = monotonic()
        self._yield_by = now + YIELD_SECONDS
        self._in_force.give_up()
        self._selector.unregister(self._source.fileno())
        dropped = [address for address in self._in_force.sockets if address not in kept]
        if self._guard is not None:
            self._guard.let_go()
        if self._worker is not None:
            has_heir = self._handover.after is not None
            self._worker.channel.send("pause", dropped=to_fields(dropped), has_heir=has_heir)
        self._in_force.drop(dropped)

    def _mind_yielding(self, now: float) -> None:
        """Look whether all have let go. A worker that does not is ended: the next one answers."""
        is_over = now >= self._yield_by
        is_host_let_go = is_over or self._guard is None or self._guard.is_settled
        reads_no_more = self._worker is None or self._worker.is_paused
        if is_over and not reads_no_more:
            reads_no_more = not self._replace("does not stop to read")  # then it is let be
        if is_host_let_go and reads_no_more:
            self._handover.stood_back()

    def inherit(self, descriptors: Sequence[int]) -> None:
        """The cache of the agent before us, for our worker."""
        if self._worker is not None and self._worker.is_ready:
            self._worker.channel.send("cache", descriptors)

    def take_over(self) -> None:
        """The node is ours to hold up, once our worker answers."""
        if self._guard is not None and self._worker is not None and self._worker.is_ready:
            self._guard.worker_ready(monotonic())

    def take_back(self) -> None:
        """Read again, also at what the successor had no use for, and hold up the node again."""
        self._listen_to(self._source, self._on_change)
        if self._worker is not None:
            self._worker.is_paused = False
            self._worker.channel.send("resume")
        if not self._in_force.is_whole:
            self._reload(self._in_force.config)
        if self._worker is None:
            self._spawn(monotonic())
        self.take_over()

    # Signals, and the end

    def _on_signal(self) -> None:
        for number in self._signals.received():
            if number in _RELOAD_SIGNALS and self._handover.is_answering:
                log.info("%s: Reloading", signal.Signals(number).name)
                config = self._source.load()
                if config is not None:
                    self._reload(config)
            elif number in _STOP_SIGNALS:
                self._on_stop_signal(number)

    def _on_stop_signal(self, number: int) -> None:
        """The first asks for an orderly end, after the lameduck; a second one for no delay."""
        name = signal.Signals(number).name
        if self._stop_at is not None:
            self._is_stopping = True
            return
        log.info("%s: Shutting down servers then terminating", name)
        lameduck = self._in_force.config.lameduck_seconds if self._handover.has_node else 0.0
        self._stop_at = monotonic() + lameduck

    def _stop(self) -> int:
        """Give the node's traffic back, then answer what is left, then go.

        Where another agent holds up the node, only the worker ends, and all else stays as it is.
        """
        self._door.close()
        guard = self._guard if self._handover.has_node else None
        if guard is not None:
            guard.give_back(monotonic())
            guard.settle(SETTLE_SECONDS)
        if self._worker is not None:
            self._worker.channel.send("stop")
            self._worker.finish(DRAIN_SECONDS)
        if guard is not None:  # not before: a reply needs its source address
            guard.remove_rules(monotonic())
            guard.settle(SETTLE_SECONDS)
            guard.remove_interface(monotonic())
        self._in_force.close()
        remove_pidfile(self._flags.pidfile)
        return 0
