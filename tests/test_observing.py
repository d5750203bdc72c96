import logging

import pytest

from nodecache.corefile import ServerBlock, TraceOptions, ZoneKey
from nodecache.observing import heed


def block(**more) -> ServerBlock:
    return ServerBlock(zones=(ZoneKey(".", 53),), **more)


@pytest.fixture(autouse=True)
def root_level():
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def test_debug_in_any_block_shows_debug_lines():
    heed([block(), block(debug=True)])
    assert logging.getLogger().level == logging.DEBUG
    heed([block()])
    assert logging.getLogger().level == logging.INFO


def test_trace_is_told_once_to_do_nothing(caplog):
    traced = [block(trace=TraceOptions())]
    heed(traced)
    heed(traced, traced)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
