"""Where the program begins: a signal that comes early waits until there is somebody to act on it.

The first process of a container gets no signal that it has no handler for: a SIGTERM while modules
are read in would be lost, the agent would go on, and be killed at the end of the pod's grace period
with all it had set up on the node left behind. A blocked signal is kept.
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
