"""Calls observers of upstreams' answers (dnstap, trace); their exceptions are logged and cost no answer."""

import logging
from collections.abc import Callable

from .attempt import Attempt

log = logging.getLogger("plugin/forward")

Observer = Callable[[Attempt, bytes, float], None]
"""Hears of every answer an upstream gave: how it was asked, the octets, and when."""


def notify_observer(observer: Observer, attempt: Attempt, packet: bytes, now: float) -> None:
    """Call the observer with an answer."""
    try:
        observer(attempt, packet, now)
    except Exception:
        log.exception("an answer could not be told to those who watch")
