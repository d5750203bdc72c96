"""How many files may be open, and how many of them are for clients.

Connections of clients must not take what the agent itself needs: sockets to upstreams, its pages
(a probe that gets no answer ends the container), and new sockets at a reload.
"""

import contextlib
import logging
import resource

log = logging.getLogger(__name__)

_OURS = 256  # some forty for each upstream, and a few for each listen address and page


def raise_limit() -> None:
    """As many as the hard limit says, as Go's runtime does; the usual soft one is 1,024. Warn where that is few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if 0 <= hard < 2 * _OURS:
        log.warning(
            "only %d files may be open, and %d are wanted for ourselves: TCP connections of clients are lost",
            hard,
            _OURS,
        )


def room_for_clients(listen_addresses: int) -> int:
    """How many connections each listen address may hold: of a low limit, half is for us."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    ours = min(_OURS, soft // 2)
    return max((soft - ours) // max(listen_addresses, 1), 1)
