"""kube-dns' pods as the worker tells them, on their way into the node's packet rules."""

import logging
from collections.abc import Collection

from nodecache.process.pods import PodAddress

log = logging.getLogger(__name__)


class PodRelay:
    """Believes nothing of what it is told: `own` addresses are no pod's, whatever DNS says."""

    def __init__(self, own: Collection[str]) -> None:
        self.pods: tuple[PodAddress, ...] = ()
        self._own = own

    def told(self, pods: tuple[PodAddress, ...]) -> None:
        """The worker tells its list, once a minute and whenever it changes."""
        if any(pod.host in self._own for pod in pods):
            log.error("kube-dns' pods from the worker: one has an address of ours")
            return
        self.pods = pods
