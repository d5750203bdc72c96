"""The parent process: first in, last out.

It owns what must outlive a worker: the listening sockets, the configuration in force, the node's
interface, addresses and rules (`host/`), and the worker's life. It is small, has one thread and no
event loop, and never reads a DNS message.

    start:  read the configuration → bind → fork → worker ready → addresses and rules
    run:    wait for: a signal, the worker (a word, or its death), the host, a changed file
    stop:   rules and addresses withdrawn → worker drains → exit
"""

import contextlib
import encodings.idna  # noqa: F401 - what the worker would import late, when it is nobody
import logging
import os
import pickle
import selectors
import signal
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol

from nodecache import agent
from nodecache.channel import Channel, Message, to_descriptor
from nodecache.config import Config, ConfigSource
from nodecache.flags import Flags
from nodecache.host import Guard, Verdict, privileges
from nodecache.plan import ListenAddress, listen_addresses
from nodecache.respawn import Respawn
from nodecache.server.journal import shared_memory
from nodecache.sockets import CannotListen, Sockets, open_sockets
from nodecache.vitals import KeeperVitals, measure
from nodecache.worker import Worker, fork_worker

log = logging.getLogger(__name__)

DRAIN_SECONDS = 6.0  # the worker gives clients 5 s, then it is ended
SETTLE_SECONDS = 8.0  # for rules and addresses to be withdrawn
_RELOAD_SIGNALS = (signal.SIGHUP, signal.SIGUSR1)
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_VITALS_SECONDS = 5.0
_LONGEST_WAIT = 1.0


class HasFileno(Protocol):
    """Something a selector can wait for."""

    def fileno(self) -> int:
        """Its descriptor."""


class Keeper:
    """One agent's keeper. `guard` is None where the host is left alone."""

    def __init__(self, flags: Flags, source: ConfigSource, guard: Guard | None) -> None:
        self._flags = flags
        self._source = source
        self._guard = guard
        self._config: Config | None = None
        self._sockets: dict[ListenAddress, Sockets] = {}
        self._pending: tuple[Config, dict[ListenAddress, Sockets]] | None = None
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
        self._selector = selectors.DefaultSelector()
        self._signals = _SignalPipe((*_STOP_SIGNALS, *_RELOAD_SIGNALS))

    def run(self, config: Config) -> int:
        """Serve `config` until told to stop; the exit status. CannotListen before anything ran."""
        self._config = config
        self._sockets = self._open(config, {})
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
        self._mind_worker(now)
        if self._guard is not None and self._guard.turn(now) is Verdict.REPLACE:
            self._replace("does not answer queries")
        if now >= self._vitals_at:
            self._tell_vitals(now)
        if now >= self._source.due_at:
            self._on_change()
        if self._stop_at is not None and now >= self._stop_at:
            self._is_stopping = True

    def _patience(self, now: float) -> float:
        due = [now + _LONGEST_WAIT, self._vitals_at, self._source.due_at]
        due += [at for at in (self._respawn_at, self._stop_at) if at is not None]
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
        assert self._config is not None
        self._selector.close()
        self._signals.close_in_child()
        self._source.close()
        if self._guard is not None:
            self._guard.close_in_child()
        return agent.main(
            self._flags, self._config, self._sockets, channel, self._vitals(), self._journal
        )

    def _mind_worker(self, now: float) -> None:
        if self._worker is not None and self._worker.is_silent(now):
            self._replace("said nothing for some seconds")
        elif self._worker is None and self._respawn_at is not None and now >= self._respawn_at:
            self._spawn(now)

    def _replace(self, why: str) -> None:
        if self._worker is not None:
            log.error("worker %d %s: it is replaced", self._worker.pid, why)
            self._worker.is_hung = True
            self._worker.kill()
            self._worker.heard_at = monotonic()

    def _on_worker_died(self) -> None:
        worker, now = self._worker, monotonic()
        if worker is None:
            return
        self._selector.unregister(worker.channel.fileno())
        self._selector.unregister(worker.pidfd)
        how = worker.reap()
        self._deaths["hung" if worker.is_hung else how.partition(" ")[0]] += 1
        self._worker = None
        self._give_up_pending()
        if self._guard is not None:
            self._guard.worker_gone(now)
        pause = self._respawn.died(now)
        if not self._is_stopping:
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
            case _:
                pass  # a heartbeat: that it came is all it says

    def _on_ready(self, now: float) -> None:
        assert self._worker is not None
        assert self._config is not None
        self._worker.is_ready = True
        if not self._has_served:
            self._has_served = True
            self._announce(self._config)
        if self._guard is not None:
            self._guard.worker_ready(now)
        self._source.keep_good(self._config)
        if self._flags.pidfile:
            Path(self._flags.pidfile).write_text(f"{os.getpid()}\n", encoding="ascii")
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
        if self._worker is None or not self._worker.is_ready:
            self._adopt(config)
            return
        try:
            sockets = self._open(config, self._sockets)
        except CannotListen as error:
            self._on_refused(str(error))
            return
        self._give_up_pending()
        self._pending = (config, sockets)
        descriptor = to_descriptor(pickle.dumps((config, list(sockets))))
        lent = [fd for pair in sockets.values() for fd in pair.descriptors]
        self._worker.channel.send("reload", [descriptor, *lent])
        os.close(descriptor)

    def _adopt(self, config: Config) -> None:
        """No worker is there to ask: the next one starts with it."""
        try:
            sockets = self._open(config, self._sockets)
        except CannotListen as error:
            self._on_refused(str(error))
            return
        self._close_others(sockets)
        self._config, self._sockets = config, sockets

    def _on_reloaded(self) -> None:
        if self._pending is None:
            return
        (config, sockets), self._pending = self._pending, None
        self._close_others(sockets)
        self._config, self._sockets = config, sockets
        self._source.keep_good(config)
        log.info("Reloading complete")

    def _on_refused(self, why: str) -> None:
        log.error("Restart failed: %s; the running configuration stays", why)
        self._refusals += 1
        self._source.is_current = False
        self._vitals_at = 0.0
        self._give_up_pending()

    def _give_up_pending(self) -> None:
        if self._pending is not None:
            for address, sockets in self._pending[1].items():
                if address not in self._sockets:
                    sockets.close()
            self._pending = None

    @staticmethod
    def _open(config: Config, have: dict[ListenAddress, Sockets]) -> dict[ListenAddress, Sockets]:
        """The sockets of `config`: those we have, and new ones for the rest."""
        opened: dict[ListenAddress, Sockets] = {}
        try:
            for address in listen_addresses(config.places):
                opened[address] = have.get(address) or open_sockets(address)
        except CannotListen:
            for address, sockets in opened.items():
                if address not in have:
                    sockets.close()
            raise
        return opened

    def _close_others(self, kept: dict[ListenAddress, Sockets]) -> None:
        for address, sockets in self._sockets.items():
            if address not in kept:
                sockets.close()

    # Signals, and the end

    def _on_signal(self) -> None:
        for number in self._signals.received():
            if number in _RELOAD_SIGNALS:
                log.info("%s: Reloading", signal.Signals(number).name)
                config = self._source.load()
                if config is not None:
                    self._reload(config)
            else:
                self._on_stop_signal(number)

    def _on_stop_signal(self, number: int) -> None:
        """The first asks for an orderly end, after the lameduck; a second one for no delay."""
        name = signal.Signals(number).name
        if self._stop_at is not None:
            self._is_stopping = True
            return
        log.info("%s: Shutting down servers then terminating", name)
        lameduck = self._config.lameduck_seconds if self._config else 0.0
        self._stop_at = monotonic() + lameduck
        self._is_stopping = lameduck == 0

    def _stop(self) -> int:
        """Give the node's traffic back, then answer what is left, then go."""
        if self._guard is not None:
            self._guard.give_back(monotonic())
            self._guard.settle(SETTLE_SECONDS)
        worker = self._worker
        if worker is not None:
            worker.channel.send("stop")
            self._await_end(worker)
        if self._guard is not None:  # not before: a reply needs its source address
            self._guard.remove_interface(monotonic())
        for sockets in self._sockets.values():
            sockets.close()
        if self._flags.pidfile:
            Path(self._flags.pidfile).unlink(missing_ok=True)
        return 0

    def _await_end(self, worker: Worker) -> None:
        end = monotonic() + DRAIN_SECONDS
        waiting = selectors.DefaultSelector()
        waiting.register(worker.pidfd, selectors.EVENT_READ)
        if not waiting.select(max(0.0, end - monotonic())):
            log.warning("worker %d did not end in time: it is killed", worker.pid)
            worker.kill()
        worker.reap()
        waiting.close()


class _SignalPipe:
    """Signals as octets that a selector can wait for; nothing runs inside a handler."""

    def __init__(self, numbers: tuple[signal.Signals, ...]) -> None:
        self._numbers = numbers
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        for number in numbers:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._reader.fileno()

    def received(self) -> list[int]:
        """The signals that came, in order."""
        try:
            return list(self._reader.recv(4096))
        except BlockingIOError:
            return []

    def close_in_child(self) -> None:
        """In a forked child: signals mean there what the child makes of them."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN)
        self._reader.close()
        self._writer.close()
