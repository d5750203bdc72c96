"""What went wrong on the host: counted each time, logged once a minute."""

import logging
import math

log = logging.getLogger(__name__)

ERRORTYPES = ("configmap", "interface_add", "interface_check", "iptables", "iptables_lock")
SAY_AGAIN_SECONDS = 60.0  # an error that goes on is logged this often


class Complaints:
    """`counts` are by error type, as the metrics tell them."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(ERRORTYPES, 0)
        self._said: dict[str, float] = {}

    def add(self, errortype: str, text: str, now: float) -> None:
        """Count it; log it unless the same was logged within the last minute."""
        self.counts[errortype] += 1
        if now - self._said.get(text, -math.inf) >= SAY_AGAIN_SECONDS:
            self._said[text] = now
            log.error("%s", text)
