"""What the kubelet hears."""

import asyncio

import pytest

from nodecache.web import listen
from nodecache.web.server import Request, WebServer
from nodecache.worker import probes
from nodecache.worker.probes import Readiness, SelfCheck

ANY = Request("GET", "/ready", {})


def test_ready_only_when_every_condition_is_met():
    ready = Readiness()
    ready.require("sockets", "probe", "addresses")
    ready.tell("probe", is_met=True)
    response = asyncio.run(ready.page(ANY))
    assert (response.status, response.body) == (503, b"sockets,addresses")
    ready.tell("sockets", is_met=True)
    ready.tell("addresses", is_met=True)
    response = asyncio.run(ready.page(ANY))
    assert (response.status, response.body) == (200, b"OK")


def test_condition_that_no_longer_holds_takes_readiness_away():
    ready = Readiness()
    ready.tell("addresses", is_met=False)
    assert asyncio.run(ready.page(ANY)).status == 503


def told(page) -> tuple[int, bytes]:
    response = asyncio.run(page(ANY))
    return response.status, response.body


def test_until_ready_what_was_met_when_asked_is_not_looked_at_again():
    ready = Readiness()
    ready.require("sockets", "addresses")
    ready.tell("sockets", is_met=True)
    assert told(ready.page_until_ready) == (503, b"addresses")
    ready.tell("sockets", is_met=False)
    ready.tell("addresses", is_met=True)
    assert told(ready.page_until_ready) == (200, b"OK")
    assert told(ready.page) == (503, b"sockets")


def test_until_ready_what_was_met_while_nobody_asked_does_not_count():
    ready = Readiness()
    ready.tell("addresses", is_met=True)
    ready.tell("addresses", is_met=False)
    assert told(ready.page_until_ready) == (503, b"addresses")


def test_a_reload_looks_at_everything_again():
    ready = Readiness()
    ready.tell("addresses", is_met=True)
    assert told(ready.page_until_ready) == (200, b"OK")
    ready.tell("addresses", is_met=False)
    ready.forget()
    assert told(ready.page_until_ready) == (503, b"addresses")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_health_is_ok_for_any_method(method):
    response = asyncio.run(probes.health_page(Request(method, "/health", {})))
    assert (response.status, response.body) == (200, b"OK")


def test_self_check_measures_how_long_health_takes():
    seen: list[float] = []

    async def run() -> int:
        server = WebServer({"/health": probes.health_page})
        listener = listen.open_listener("127.0.0.1:0")
        port = listener.getsockname()[1]
        await server.serve(listener)
        check = SelfCheck(host="127.0.0.1", port=port, observe=seen.append)
        await check.check()
        server.close()
        await server.wait_closed()
        return check.failures

    assert asyncio.run(run()) == 0
    assert len(seen) == 1


def test_self_check_counts_what_does_not_answer_and_how_long_that_took():
    seen: list[float] = []
    with listen.open_listener("127.0.0.1:0") as listener:
        port = listener.getsockname()[1]
    check = SelfCheck(host="127.0.0.1", port=port, observe=seen.append)
    asyncio.run(check.check())
    assert check.failures == 1
    assert len(seen) == 1


def test_a_self_check_that_is_not_answered_in_time_says_so(monkeypatch, caplog):
    monkeypatch.setattr(probes, "CHECK_TIMEOUT_SECONDS", 0.05)
    with listen.open_listener("127.0.0.1:0") as silent:
        port = silent.getsockname()[1]
        asyncio.run(SelfCheck(host="127.0.0.1", port=port, observe=lambda _: None).check())
    assert "does not answer: timeout" in caplog.text
