"""Counts messages from an upstream that match no pending query; `debug` logs them."""

import logging

from nodecache.forward.counts import UpstreamCounts
from nodecache.wire import hex_dump

log = logging.getLogger("plugin/forward")


def note_unmatched(counts: UpstreamCounts, packet: bytes) -> None:
    """Count `packet`: late, forged, or never asked for."""
    counts.unmatched += 1
    if log.isEnabledFor(logging.DEBUG):
        log.debug("a message from %s answers no query of ours\n%s", counts.to, hex_dump(packet))
