"""Directives that are about the process as a whole: `debug` and `trace`."""

import logging
from collections.abc import Sequence

from nodecache import log as logs
from nodecache.corefile import ServerBlock

log = logging.getLogger("plugin/trace")


def heed(blocks: Sequence[ServerBlock], before: Sequence[ServerBlock] = ()) -> None:
    """Do what a new configuration asks for; `before` are the blocks of the one it replaces."""
    logs.set_debug(is_debug=any(block.debug for block in blocks))
    if _traces(blocks) and not _traces(before):
        log.warning(
            "no spans are sent: trace is accepted for old Corefiles' sake, and does nothing"
        )


def _traces(blocks: Sequence[ServerBlock]) -> bool:
    return any(block.trace is not None for block in blocks)
