"""What the keeper waits for: descriptors in one selector, and who is called when one is readable.

Nothing that is called here may end the keeper: a fault of ours is logged with its place, counted,
and the loop goes on.
"""

import contextlib
import logging
import selectors
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

# After a fault: what failed may fail again at once, and for as long as it is readable.
_FAULT_PAUSE_SECONDS = 0.05


class HasFileno(Protocol):
    """Something a selector can wait for."""

    def fileno(self) -> int:
        """Its descriptor."""


class Loop:
    """One selector. Nothing runs but what it calls, one after the other.

    `faults` counts what failed and was lived on after.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.faults = 0

    def listen(self, source: HasFileno | int, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `source` is readable."""
        self.forget(source)
        self._selector.register(source, selectors.EVENT_READ, handler)

    def forget(self, source: HasFileno | int) -> None:
        """Wait for `source` no more; nothing where it was not waited for."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(source)

    def turn(self, seconds: float) -> None:
        """Wait until something is readable, `seconds` at the most, and see to it."""
        for key, _ in self._selector.select(seconds):
            self.attempt(key.data)

    def attempt(self, what: Callable[..., object], *arguments: object) -> None:
        """Call something that is not expected to fail, and live on where it does."""
        try:
            what(*arguments)
        except Exception:
            self.faults += 1
            log.exception("a fault in the keeper; it goes on")
            time.sleep(_FAULT_PAUSE_SECONDS)

    def close_in_child(self) -> None:
        """After a fork, in the child: the selector is the keeper's."""
        self._selector.close()
