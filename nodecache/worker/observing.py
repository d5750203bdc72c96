"""Directives that are about the process as a whole: `debug`."""

from collections.abc import Iterable

from nodecache.corefile import ServerBlock
from nodecache.process import log as logs


def apply_options(blocks: Iterable[ServerBlock]) -> None:
    """Do what a new configuration asks for."""
    logs.set_debug(is_debug=any(block.debug for block in blocks))
