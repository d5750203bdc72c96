"""A changed configuration: read when its files change, offered to the worker, taken or refused."""

import logging
from time import monotonic

from nodecache.config.source import Config, ConfigSource
from nodecache.process.sockets import CannotListen

from .active_config import ActiveConfig
from .loop import Loop
from .supervisor import Supervisor

log = logging.getLogger(__name__)


class Reconfiguring:
    """Keeps the configuration in force equal to the files. `is_news`: a count has changed."""

    def __init__(
        self, source: ConfigSource, active: ActiveConfig, supervisor: Supervisor, loop: Loop
    ) -> None:
        self._source = source
        self._active = active
        self._supervisor = supervisor
        self._loop = loop
        self._refusals = 0
        self._next: Config | None = None  # to be offered once the worker has answered
        self.is_news = False

    @property
    def failures(self) -> int:
        """Configurations that could not be served."""
        return self._source.failures + self._refusals

    def watch(self) -> None:
        """Watch the files."""
        self._loop.listen(self._source, self.look)

    def stop_watching(self) -> None:
        """Stop watching files: another agent serves."""
        self._loop.forget(self._source)
        self._next = None

    def look(self) -> None:
        """Read the files if they may have changed, and offer the new configuration."""
        source = self._source
        told = (source.failures, source.is_current)
        config = source.changed(monotonic())
        if config is not None:
            self.offer(config)
        elif told != (source.failures, source.is_current):
            self.is_news = True

    def load(self) -> None:
        """Read the files now, as a signal asked for."""
        config = self._source.load()
        if config is not None:
            self.offer(config)

    def offer(self, config: Config) -> None:
        """Offer a valid configuration to the worker; it takes it or says why not.

        One after the other: a worker that starts was forked with the configuration in force, and its
        answer is to the one that was offered. One that is dead did not end over it.
        """
        worker = self._supervisor.worker
        try:
            if worker is None:
                self._active.adopt(config)
            elif worker.has_ended or not worker.is_ready or worker.owes("reload"):
                self._next = config
            else:
                with self._active.offer(config) as descriptors:
                    self._supervisor.send("reload", descriptors)
        except (CannotListen, OSError) as error:  # OSError: no descriptor or memory to send it in
            self.refused(str(error))

    def worker_ready(self) -> None:
        """A new worker serves what it was forked with."""
        self._source.keep_good(self._active.config)
        self._offer_next()

    def taken(self) -> None:
        """The worker serves what it was offered."""
        if self._active.taken():
            self._source.keep_good(self._active.config)
            log.info("Reloading complete")
        self._offer_next()

    def refused(self, why: str, *, is_to_be_tried_again: bool = True) -> None:
        """The kernel or the worker refuses the offered configuration; `why` is logged."""
        log.error("Restart failed: %s; the running configuration stays", why)
        self._refusals += 1
        self._source.refused(is_to_be_tried_again=is_to_be_tried_again)
        self.is_news = True
        self._active.give_up()
        self._offer_next()

    def worker_ended(self) -> None:
        """The worker has ended; what it was offered is not tried on the next one."""
        if self._active.is_offering:
            self.refused("the worker ended over it", is_to_be_tried_again=False)
        self._offer_next()

    def _offer_next(self) -> None:
        config, self._next = self._next, None
        if config is not None:
            self.offer(config)
