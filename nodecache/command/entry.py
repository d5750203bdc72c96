"""The entry point: signals are blocked until there are handlers for them.

The first process of a container gets no signal that it has no handler for: a SIGTERM while modules
are imported would be lost, the agent would go on and be killed at the end of the pod's grace period,
leaving on the node what it had set up. A blocked signal is delivered later.
"""

import signal

HELD = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def main() -> int:
    """The command; its exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    from . import main as cli  # noqa: PLC0415 - not before

    return cli.main()
