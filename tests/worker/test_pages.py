import asyncio
import gzip

from nodecache.metrics import Collector
from nodecache.web.server import PageMaker, Request
from nodecache.worker.pages import metrics_page
from tests.helpers.numbers import busy_node


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
