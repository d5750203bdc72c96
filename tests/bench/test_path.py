import asyncio
from collections.abc import Iterator

import dns.edns
import dns.message
import pytest

from bench import path
from bench.traffic import case_names, hit_names, new_names


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    it = asyncio.new_event_loop()
    yield it
    it.close()


def test_every_miss_is_answered_by_the_ready_upstream(loop):
    names = new_names(50)
    assert path.open_server(path.answers_to(names), loop).ask(path.packets_of(names)) > 0


def test_hits_in_random_case_ask_no_upstream(loop):
    names = hit_names()
    server = path.open_server(path.answers_to(names), loop)
    server.ask(path.packets_of(names))
    server.runtime.answers.clear()
    assert server.ask(path.packets_of(case_names(50))) > 0


def test_a_query_with_a_cookie_is_well_formed():
    message = dns.message.from_wire(path.with_cookie(path.packets_of(["a.cluster.local"])[0]))
    assert [option.otype for option in message.options] == [dns.edns.COOKIE]
