import logging

import pytest

from nodecache.corefile import ServerBlock, ZoneKey
from nodecache.worker.observing import apply_options


def block(**more) -> ServerBlock:
    return ServerBlock(zones=(ZoneKey(".", 53),), **more)


@pytest.fixture(autouse=True)
def root_level():
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def test_debug_in_any_block_shows_debug_lines():
    apply_options([block(), block(debug=True)])
    assert logging.getLogger().level == logging.DEBUG
    apply_options([block()])
    assert logging.getLogger().level == logging.INFO
