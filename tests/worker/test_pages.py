import asyncio
import gzip

from nodecache.metrics import Collector
from nodecache.process.vitals import KeeperVitals
from nodecache.web.server import PageMaker, Request
from nodecache.worker import probes
from nodecache.worker.pages import Pages, metrics_page
from tests.helpers.agent import free_port
from tests.helpers.numbers import busy_node
from tests.worker.test_serving import RUNNING, Running, config, flags, run


def scrape(collector: Collector, **headers: str) -> tuple[bytes, str]:
    request = Request("GET", "/metrics", headers)
    response = asyncio.run(metrics_page(collector, PageMaker(), request))
    return response.body, response.encoding


def test_page_is_gzipped_only_for_those_who_ask():
    collector = Collector(busy_node)
    plain, encoding = scrape(collector)
    assert encoding == ""
    packed, encoding = scrape(collector, **{"accept-encoding": "gzip;q=1.0, identity"})
    assert encoding == "gzip"
    assert plain.splitlines()[:50] == gzip.decompress(packed).splitlines()[:50]
    assert len(packed) < len(plain) / 10


def test_pages_served_are_counted():
    collector = Collector(busy_node)
    scrape(collector)
    assert b'\npromhttp_metric_handler_requests_total{code="200"} 1\n' in scrape(collector)[0]


def test_failures_of_the_self_check_stay_counted_over_a_reload(monkeypatch):
    async def no_answer(*_: object) -> int:
        raise OSError("no answer")

    async def scenario(running: Running) -> None:
        text = RUNNING.replace("bind", f"health 127.0.0.1:{free_port()}\n    bind")
        await running.change_to(config(text))
        pages = Pages(flags(), running.serving, KeeperVitals())
        await pages.change_to(config(text))
        monkeypatch.setattr(probes, "fetch_status", no_answer)
        await pages._check.check()
        await pages.change_to(config(text))
        page = b"".join(pages._collector.pieces())
        pages.close()
        assert b"\ncoredns_health_request_failures_total 1\n" in page

    run(scenario)
