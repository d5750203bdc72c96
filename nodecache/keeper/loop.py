"""The keeper's event loop: descriptors in one selector, and the function to call when one is readable.

Exceptions of these functions do not end the keeper: they are logged with their place and counted,
and the loop goes on.
"""

import contextlib
import logging
import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

log = logging.getLogger(__name__)

# After a fault: what failed may fail again at once, and for as long as it is readable.
_FAULT_PAUSE_SECONDS = 0.05


class Loop:
    """One selector, which calls one handler after the other. `faults` counts exceptions in handlers."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.faults = 0

    def listen(self, source: "FileDescriptorLike", handler: Callable[[], None]) -> None:
        """Call `handler` whenever `source` is readable."""
        self.forget(source)
        self._selector.register(source, selectors.EVENT_READ, handler)

    def forget(self, source: "FileDescriptorLike") -> None:
        """Stop waiting for `source`, if it is waited for."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(source)

    def turn(self, seconds: float) -> None:
        """Wait until something is readable, at most `seconds`, and call its handler."""
        for key, _ in self._selector.select(seconds):
            self.attempt(key.data)

    def attempt(self, what: Callable[..., object], *arguments: object) -> None:
        """Call a function; an exception in it is logged and counted."""
        try:
            what(*arguments)
        except Exception:
            self.faults += 1
            log.exception("a fault in the keeper; it goes on")
            time.sleep(_FAULT_PAUSE_SECONDS)

    def close_in_child(self) -> None:
        """After a fork, in the child: the selector is the keeper's."""
        self._selector.close()
