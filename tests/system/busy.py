"""How late the machine is: what a bound in seconds has to allow for where others work besides."""

import threading
import time
from typing import Self

_EVERY_SECONDS = 0.005
# From a client by the agent to a server and back, and once again: each has to be given the CPU.
_HOPS = 8
# What a forwarder takes for silence, and learns from, is some tenths of a second of it.
_STALL_SECONDS = 0.2


class Lateness:
    """Between `with` and its end: how much later than asked for a thread was woken, at worst."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def allowance(self) -> float:
        """Seconds by which an answer may be late for want of CPU and nothing else."""
        return _HOPS * self._worst

    @property
    def has_stalled(self) -> bool:
        """Whether what is silent may have had no CPU: then its silence teaches what is not so."""
        return self._worst > _STALL_SECONDS

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._is_over.wait(_EVERY_SECONDS):
            now = time.monotonic()
            self._worst = max(self._worst, now - before - _EVERY_SECONDS)
            before = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
