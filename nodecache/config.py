"""The configuration in force: where its text comes from, when it is read again, what is kept.

One text is served: the base Corefile with its placeholders filled in and the kube-dns ConfigMap's
stub domains added, or `-conf` as it stands where there is no base. The rendered text is written
beside for people to read. What was valid and served is kept in the `-state` folder: a node that
restarts with a broken ConfigMap serves the last one that worked.
"""

import glob
import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from nodecache.corefile import Corefile, CorefileError, own_options, parse
from nodecache.flags import Flags
from nodecache.plan import Place, places

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration that can be served. `hash` is the SHA-512 of its text, in hex."""

    text: str
    corefile: Corefile
    places: tuple[Place, ...]
    budget_octets: int
    is_last_known_good: bool = False

    @property
    def hash(self) -> str:
        """As CoreDNS's reload tells it."""
        return hashlib.sha512(self.text.encode()).hexdigest()

    @property
    def lameduck_seconds(self) -> float:
        """How long to go on serving after SIGTERM: `health`'s lameduck."""
        healths = [block.health for block in self.corefile.blocks if block.health is not None]
        return max((health.lameduck_seconds for health in healths), default=0.0)


class ConfigSource:
    """Reads the configuration, and again when what it is made of changes."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self.errors = 0
        self.failures = 0
        self._idle, self._never = os.pipe()

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._idle

    def is_due(self, now: float) -> bool:  # noqa: ARG002
        """Whether to look without having been told."""
        return False

    def changed(self) -> Config | None:
        """A valid configuration that differs from the last."""
        return None

    def load(self) -> Config | None:
        """What the files say now; None, told and counted, where that cannot be served."""
        try:
            return self.read()
        except CorefileError as error:
            self.failures += 1
            for each in error.all:
                log.error("%s", each)
            return None

    def read_or_last_good(self) -> Config:
        """At start: what the files say, else what was last served. Raises CorefileError."""
        return self.read()

    def read(self) -> Config:
        """What the files say now. Raises CorefileError or OSError."""
        flags = self._flags
        path = flags.base_corefile if Path(flags.base_corefile).exists() else flags.conf
        text = Path(path).read_text(encoding="utf-8")
        corefile = parse(
            text,
            path,
            env=os.environ,
            default_port=flags.dns_port,
            read=lambda name: Path(name).read_text(encoding="utf-8"),
            glob=glob.glob,
        )
        own = own_options(corefile)
        return Config(
            text=text,
            corefile=corefile,
            places=places(corefile, lambda _: []),
            budget_octets=own.budget_octets or 64 << 20,
        )

    def keep_good(self, config: Config) -> None:
        """The configuration is served: keep it for a restart."""

    def close(self) -> None:
        """In a forked child: let go of descriptors."""
