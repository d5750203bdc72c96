"""A real Prometheus reads the page: what public dashboards and alerts ask for, it can answer."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodecache import web
from nodecache.metrics import Collector, Source
from nodecache.web import WebServer
from tests.helpers.numbers import busy_node
from tests.helpers.prometheus import Prometheus, scraping, wait_until

pytestmark = pytest.mark.system

QUERIES: dict[str, list[Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "contract/data/queries.yaml").read_text(encoding="utf-8")
)


def filled_in(query: str) -> str:
    """`query` with Grafana's variables replaced as for one node over the last minute."""
    selector = 'job="node-local-dns",instance=~".+"'
    return query.replace("$selector", selector).replace("$interval", "1m")


class GrowingNode:
    """A node whose counts grow with every scrape."""

    def __init__(self) -> None:
        self.scrapes = 0

    def read(self) -> Source:
        self.scrapes += 1
        return busy_node(100 * self.scrapes)


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A page on a free port, served as the worker serves it."""
    ready, stop = threading.Event(), asyncio.Event()
    place: dict[str, Any] = {}

    async def serve() -> None:
        server = WebServer({"/metrics": Collector(GrowingNode().read).page})
        listener = web.open_listener("127.0.0.1:0")
        place.update(port=listener.getsockname()[1], loop=asyncio.get_running_loop())
        await server.serve(listener)
        ready.set()
        await stop.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield f"127.0.0.1:{place['port']}"
    place["loop"].call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.fixture(scope="module")
def prometheus(target, tmp_path_factory) -> Iterator[Prometheus]:
    with scraping(target, tmp_path_factory.mktemp("prometheus")) as server:
        scraped = "count_over_time(coredns_build_info[1m])"
        wait_until(lambda: server.value(scraped) >= 4, "the fourth scrape")
        yield server


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(query, id=f"{name}: {query[:60]}")
        for name, queries in QUERIES.items()
        if name != "alerts"
        for query in queries
    ],
)
def test_public_dashboards_get_series(prometheus, query):
    assert prometheus.ask(filled_in(query))


@pytest.mark.parametrize(
    ("left", "condition"), [pytest.param(*alert, id=alert[0][:60]) for alert in QUERIES["alerts"]]
)
def test_public_alerts_can_be_computed_and_stay_silent_on_a_healthy_node(
    prometheus, left, condition
):
    assert prometheus.ask(filled_in(left))
    assert prometheus.ask(filled_in(f"{left} {condition}")) == []


def test_prometheus_finds_no_fault_with_the_page(prometheus):
    (target,) = prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")
