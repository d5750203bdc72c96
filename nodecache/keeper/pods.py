"""kube-dns' pods as the worker tells them, on their way into the node's packet rules."""

import logging
from collections.abc import Collection
from typing import Any

from nodecache.process.pods import PodAddress, read_pods

log = logging.getLogger(__name__)


class PodRelay:
    """Believes nothing of what it is told: `own` addresses, for one, are no pod's."""

    def __init__(self, own: Collection[str]) -> None:
        self.pods: tuple[PodAddress, ...] = ()
        self._own = own

    def told(self, value: Any) -> None:
        """The worker tells its list, once a minute and whenever it changes."""
        try:
            self.pods = read_pods(value, self._own)
        except ValueError as error:
            log.error("kube-dns' pods from the worker: %s", error)  # noqa: TRY400 - no fault of ours
