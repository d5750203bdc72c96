"""Errors of setting up the host: each is counted, and logged at most once a minute."""

import logging
import math

log = logging.getLogger(__name__)

ERRORTYPES = ("configmap", "interface_add", "interface_check", "iptables", "iptables_lock")
LOG_AGAIN_SECONDS = 60.0  # how often an error that goes on is logged


class SetupErrors:
    """`counts` are by error type, as in `coredns_nodecache_setup_errors_total`."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(ERRORTYPES, 0)
        self._logged_at: dict[str, float] = {}

    def add(self, errortype: str, text: str, now: float) -> None:
        """Count an error; log it unless `text` was logged within the last minute."""
        self.counts[errortype] += 1
        if now - self._logged_at.get(text, -math.inf) >= LOG_AGAIN_SECONDS:
            self._logged_at[text] = now
            log.error("%s", text)
