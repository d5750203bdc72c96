"""The actions of a keeper during a handover, as successor and as predecessor."""

import math
from collections.abc import Sequence
from time import monotonic

from nodecache.config.flags import Flags
from nodecache.config.plan import page_addresses
from nodecache.host import Guard
from nodecache.process.listen import ListenAddress

from .active_config import ActiveConfig
from .handover import Handover, Stage
from .handover_messages import Claim, to_fields
from .reconfiguring import Reconfiguring
from .supervisor import Supervisor

YIELD_SECONDS = 3.0  # to release the node: the successor renews a lease of which a part has passed
_CLOSE_LOOK = 0.05  # how often to check whether worker and host have finished


class HandoverActions:
    """Worker, sockets and host of one agent, as `handover.py` asks for them."""

    def __init__(
        self,
        flags: Flags,
        active: ActiveConfig,
        supervisor: Supervisor,
        reconfiguring: Reconfiguring,
        guard: Guard | None,
    ) -> None:
        self._flags = flags
        self._active = active
        self._supervisor = supervisor
        self._reconfiguring = reconfiguring
        self._guard = guard
        self.handover = Handover(self)
        self._yield_by = math.inf  # when worker and host must have finished

    def lend(self) -> tuple[list[ListenAddress], list[int]]:
        """The listening sockets, for the successor."""
        return list(self._active.sockets), self._active.lent

    def claim(self) -> Claim:
        """What this agent holds on the node once it serves it."""
        corefile = self._active.config.corefile
        return Claim(
            addresses=frozenset(self._active.sockets),
            pages=page_addresses(corefile, self._flags.metrics_listen_address),
            makes_rules=self._flags.rules != "none",
        )

    def release_node(self, claim: Claim) -> None:
        """Have the worker stop reading, and release the host; both take a moment.

        Rules that the successor does not make are removed, since nobody else would remove them.
        """
        self._yield_by = monotonic() + YIELD_SECONDS
        self._active.give_up()
        self._reconfiguring.stop_watching()
        dropped = [address for address in self._active.sockets if address not in claim.addresses]
        if self._guard is not None:
            self._guard.detach()
            if not claim.makes_rules:
                self._guard.host.remove_rules(monotonic())
        self._supervisor.send(
            "pause",
            dropped=to_fields(dropped),
            pages=sorted(claim.pages),
            has_successor=self.handover.successor is not None,
        )
        self._active.drop(dropped)

    def next_wake(self, now: float) -> float:
        """When to call `turn`; infinity for never."""
        return now + _CLOSE_LOOK if self.handover.stage is Stage.YIELDING else math.inf

    def turn(self, now: float) -> None:
        """Check whether worker and host have finished. A worker that does not is killed."""
        if self.handover.stage is not Stage.YIELDING:
            return
        is_over = now >= self._yield_by
        is_host_settled = is_over or self._guard is None or self._guard.host.is_settled
        worker = self._supervisor.worker
        reads_no_more = worker is None or worker.is_paused
        if is_over and not reads_no_more:
            reads_no_more = not self._supervisor.replace("does not stop to read")  # is let be
        if is_host_settled and reads_no_more:
            self.handover.node_released()

    def receive_cache(self, descriptors: Sequence[int]) -> None:
        """Pass the predecessor's cache to the worker."""
        if self._supervisor.is_ready:
            self._supervisor.send("cache", descriptors)

    def take_over(self) -> None:
        """Serve the node once the worker answers."""
        if self._guard is not None and self._supervisor.is_ready:
            self._guard.worker_ready(monotonic())

    def take_back(self) -> None:
        """Read again, also at addresses that the successor did not use, and serve the node again."""
        self._reconfiguring.watch()
        worker = self._supervisor.worker
        if worker is not None:
            worker.is_paused = False
            self._supervisor.send("resume")
        if not self._active.is_whole:
            self._reconfiguring.offer(self._active.config)
        if worker is None:
            self._supervisor.spawn(monotonic())
        self.take_over()
