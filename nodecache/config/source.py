"""The configuration in force: where its text comes from, when it is read again, what is kept.

One text is served: the base Corefile with its placeholders filled in and the kube-dns ConfigMap's
stub domains added, or `-conf` as it stands where there is no base. The rendered text is written
beside for people to read. What was valid and served is kept in the `-state` folder: a node that
restarts with a broken ConfigMap serves the last one that worked.
"""

import hashlib
import logging
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from nodecache.corefile import (
    NO_KUBE_DNS,
    Corefile,
    CorefileError,
    KubeDns,
    OwnOptions,
    own_options,
)

from .cluster_dns import ClusterDns, cluster_dns
from .flags import Flags
from .plan import Resolve, ServedZone, served_zones, with_own_interface
from .rendering import (
    CorefileText,
    Lookup,
    cluster_dns_addresses,
    corefile_text,
    stored_text,
    watched_paths,
)
from .services import look_up
from .state import State, StoredCorefile, write_atomically
from .watcher import POLL_SECONDS, Watcher

log = logging.getLogger(__name__)

_MAX_REFUSED_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration that can be served. `hash` is the SHA-512 of its text, in hex."""

    text: str
    corefile: Corefile
    served_zones: tuple[ServedZone, ...]
    own: OwnOptions
    """What `nodecache { … }` asks of the process as a whole."""
    kube_dns: KubeDns = NO_KUBE_DNS
    left_out: tuple[str, ...] = ()
    """What is wrong and not served, each with its file and line; the rest is."""
    is_last_known_good: bool = False
    cluster_dns: ClusterDns | None = None
    """Where kube-dns is asked, if its pods may be asked themselves."""

    @property
    def hash(self) -> str:
        """As CoreDNS's reload tells it."""
        return hashlib.sha512(self.text.encode()).hexdigest()

    def is_like(self, other: "Config") -> bool:
        """Whether the other one serves the same: equal text and equal imported files."""
        return self.kept == other.kept

    @property
    def kept(self) -> StoredCorefile:
        """What a restart can serve again."""
        return StoredCorefile(self.text, dict(self.corefile.imported), self.kube_dns)

    @property
    def lameduck_seconds(self) -> float:
        """How long to go on serving after SIGTERM: `health`'s lameduck."""
        healths = [block.health for block in self.corefile.blocks if block.health is not None]
        return max((health.lameduck_seconds for health in healths), default=0.0)


class ConfigSource:
    """Reads the configuration, and again when what it is made of changes.

    `errors` counts configurations from ConfigMaps that could not be served, or not all of them,
    `failures` all such. `is_current` is False from such a one until the next that is served whole.
    """

    def __init__(
        self,
        flags: Flags,
        env: Mapping[str, str],
        resolve: Resolve,
        now: float,
        look_up: Lookup = look_up,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._flags = flags
        self._env = env
        self._resolve = with_own_interface(flags, resolve)
        self._look_up = look_up
        self._address: IPv4Address | IPv6Address | None = None
        """The Service's, when it was last looked up."""
        self._random = uniform
        self._state = State(flags.state_folder)
        self._served: Config | None = None
        self._kube_dns: KubeDns | None = None
        """What the ConfigMap kube-dns said last, of which a broken one changes nothing."""
        if (kept := self._state.last_good()) is not None:
            self._kube_dns = kept.kube_dns
        self._imports: tuple[str, ...] = ()
        self._is_rendered = False  # from a base Corefile, when it was last read
        self.errors = 0
        self.failures = 0
        self.is_current = True
        self._now = now
        self._retry_at = math.inf  # when to read again what could not be served
        self._refused_seconds = POLL_SECONDS  # how long one that is refused is left alone
        self._watcher = Watcher(self._paths, now)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._watcher.fileno()

    @property
    def due_at(self) -> float:
        """When to call `changed` even if the descriptor stays silent, monotonic seconds."""
        return min(self._watcher.due_at, self._retry_at)

    @property
    def _paths(self) -> tuple[str, ...]:
        """What the configuration is made of, as far as it is known."""
        return tuple(dict.fromkeys((*watched_paths(self._flags), *self._imports)))

    def changed(self, now: float) -> Config | None:
        """A valid configuration that differs from the one served; None where there is none."""
        self._now = now
        is_changed = self._watcher.changed(now)
        if not is_changed and now < self._retry_at:
            return None
        if is_changed:
            self._refused_seconds = POLL_SECONDS
        config = self.load() if is_changed else self._load_again()
        if config is None or (self._served is not None and config.is_like(self._served)):
            return None
        return config

    def load(self) -> Config | None:
        """What the files say now; None, told and counted, where that cannot be served."""
        try:
            return self.read()
        except CorefileError as error:
            self._tell(error.all)
            self._retry_at = self._now + POLL_SECONDS
            return None

    def _load_again(self) -> Config | None:
        """The same where it could not be served a while ago, and that was told.

        It may be for something that is in no file: a Service that nobody knew, an interface of
        `bind` that was not there.
        """
        self._retry_at = self._now + POLL_SECONDS
        try:
            return self.read()
        except CorefileError:
            return None

    def refused(self, *, is_to_be_tried_again: bool) -> None:
        """What `changed` gave could not be served: a port was taken, a certificate is not there yet.

        It is given again after a while, and later each time.
        """
        self.is_current = False
        if is_to_be_tried_again:
            self._retry_at = self._now + self._refused_seconds
            self._refused_seconds = min(2 * self._refused_seconds, _MAX_REFUSED_SECONDS)

    def _tell(self, faults: Iterable[object]) -> None:
        self.failures += 1
        self.errors += 1
        self.is_current = False
        for each in faults:
            log.error("%s", each)

    def read_or_last_good(self) -> Config:
        """At start: what the files say, else what was last served. Raises CorefileError."""
        try:
            return self.read()
        except CorefileError as error:
            kept = self._state.last_good()
            if kept is None:
                raise
            self._tell(error.all)
            self._retry_at = self._now + POLL_SECONDS
            log.error("serving the last configuration that was good, from %s", self._state.file)
            text = stored_text(kept, self._flags, self._state.file)
            return self._config(text, is_last_known_good=True)

    def read(self) -> Config:
        """What the files say now, written beside for people to read. Raises CorefileError.

        What can be left out is no error of the whole: it is told and counted like one.
        """
        config = self._read_watched()
        self._retry_at = math.inf
        self.is_current = True
        if config.left_out:
            self._tell(config.left_out)
        self._kube_dns = config.kube_dns
        return config

    def _read_watched(self) -> Config:
        """The configuration, every file of it watched before it was read."""
        while True:
            try:
                config = self._read()
            except CorefileError:
                if self._paths == self._watcher.paths:
                    raise
            else:
                if self._paths == self._watcher.paths:
                    return config
            self._watcher.watch(self._paths, self._now)  # other files are imported now

    def _read(self) -> Config:
        found = corefile_text(self._flags, self._env, self._service_address, self._kube_dns)
        if self._is_rendered and not found.is_rendered:  # `-conf` is but what we wrote ourselves
            raise CorefileError(self._flags.base_corefile, 1, "is no longer there")
        self._is_rendered = found.is_rendered
        config = self._config(found)
        if found.is_rendered and self._flags.conf:
            self._write(found)
        return config

    def _service_address(self, service: str) -> IPv4Address | IPv6Address | None:
        """The address of a Service, or what it last was: resolvers have their bad moments."""
        self._address = self._look_up(service) or self._address
        return self._address

    def _config(self, found: CorefileText, *, is_last_known_good: bool = False) -> Config:
        try:
            corefile = found.parse(self._flags, self._env)
        except CorefileError as error:
            self._imports = error.imports
            raise
        self._imports = corefile.imports
        for warning in (*corefile.warnings, *corefile.unfilled):
            log.warning("%s", warning)
        own = own_options(corefile)
        return Config(
            text=found.text,
            corefile=corefile,
            served_zones=served_zones(corefile, self._resolve),
            own=own,
            kube_dns=found.kube_dns,
            left_out=(*found.left_out, *corefile.left_out),
            is_last_known_good=is_last_known_good,
            cluster_dns=cluster_dns(corefile, cluster_dns_addresses(found, self._flags, self._env)),
        )

    def _write(self, found: CorefileText) -> None:
        """The rendered text is for people; a folder that cannot be written to is no failure."""
        try:
            write_atomically(found.file, found.text)
        except OSError as error:
            log.warning("cannot write %s for people to read: %s", found.file, error.strerror)

    def keep_good(self, config: Config) -> None:
        """The configuration is served: keep it for a restart."""
        self._served = config
        self._watcher.look_every(self._look_seconds(config))
        if config.is_last_known_good:
            return
        try:
            self._state.keep(config.kept)
        except OSError as error:
            log.error("cannot keep the good Corefile in %s: %s", self._state.file, error.strerror)

    def _look_seconds(self, config: Config) -> float:
        """How often to look though nothing is told: `reload`'s interval, jitter drawn anew."""
        reloads = [block.reload for block in config.corefile.blocks if block.reload is not None]
        if not reloads:
            return POLL_SECONDS
        last = reloads[-1]
        return last.interval_seconds + last.jitter_seconds * (self._random() - 0.5)

    def close(self) -> None:
        """In a forked child: close the descriptors."""
        self._watcher.close()
