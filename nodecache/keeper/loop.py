"""What the keeper waits for: descriptors in one selector, and who is called when one is readable."""

import contextlib
import selectors
from collections.abc import Callable
from typing import Protocol


class HasFileno(Protocol):
    """Something a selector can wait for."""

    def fileno(self) -> int:
        """Its descriptor."""


class Loop:
    """One selector. Nothing runs but what it calls, one after the other."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

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
            key.data()

    def close_in_child(self) -> None:
        """After a fork, in the child: the selector is the keeper's."""
        self._selector.close()
