"""The configuration in force: where its text comes from, when it is read again, what is kept.

One text is served: the base Corefile with its placeholders filled in and the kube-dns ConfigMap's
stub domains added, or `-conf` as it stands where there is no base. The rendered text is written
beside for people to read. What was valid and served is kept in the `-state` folder: a node that
restarts with a broken ConfigMap serves the last one that worked.
"""

import hashlib
import logging
from dataclasses import dataclass

from nodecache.corefile import Corefile
from nodecache.plan import Place

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
