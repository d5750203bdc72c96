"""A real Prometheus scrapes the agent under load: what public dashboards and alerts ask for, it can answer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.metrics_shape import differences, load_shapes, shapes_of
from tests.deploy.test_dashboard import TARGETS
from tests.helpers.prometheus import Prometheus, scraping, wait_until
from tests.system.agent import Load, RunningAgent, running_agent, stand_in

pytestmark = pytest.mark.system

# Two would do for rates; some more let a page that goes wrong under load show itself.
SCRAPES = 8

# What only an agent has that holds up interface and rules.
# Of a node whose host is set up, and of a cluster.
OF_THE_HOST = (
    "nodecache_rule_packets_total",
    "nodecache_rules_info",
    "nodecache_cluster_dns_pods",
)

COUNTED_ONCE = (
    "coredns_dns_requests_total",
    "coredns_dns_responses_total",
    "coredns_dns_request_duration_seconds_count",
    "coredns_dns_request_size_bytes_count",
    "coredns_dns_response_size_bytes_count",
    "coredns_dns_request_count_total",
    "coredns_cache_requests_total",
)

CONTRACT = Path(__file__).parents[1] / "contract/data"

QUERIES: dict[str, list[Any]] = yaml.safe_load(
    (CONTRACT / "queries.yaml").read_text(encoding="utf-8")
)


def filled_in(query: str) -> str:
    """`query` with Grafana's variables replaced as for one node over the last minute."""
    selector = 'job="node-local-dns",instance=~".+"'
    return query.replace("$selector", selector).replace("$interval", "1m")


@pytest.fixture(scope="module")
def agent(tmp_path_factory) -> Iterator[RunningAgent]:
    with stand_in() as upstream, running_agent(tmp_path_factory.mktemp("agent"), upstream) as agent:
        yield agent


@pytest.fixture(scope="module")
def prometheus(agent, tmp_path_factory) -> Iterator[Prometheus]:
    """Prometheus after some seconds of scraping an agent under load."""
    target = f"127.0.0.1:{agent.metrics}"
    with Load(agent.port), scraping(target, tmp_path_factory.mktemp("prometheus")) as server:
        scraped = "count_over_time(coredns_build_info[1m])"
        wait_until(lambda: server.value(scraped) >= SCRAPES, "scrapes")
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


@pytest.mark.parametrize("expression", TARGETS)
def test_every_panel_of_our_dashboard_shows_something(prometheus, expression):
    query = expression.replace("$instance", ".+").replace("$__rate_interval", "1m")
    if not any(series in query for series in OF_THE_HOST):
        assert prometheus.ask(query)


def test_prometheus_finds_no_fault_with_the_page(prometheus):
    (target,) = prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")


def test_both_ports_serve_the_same_series(agent):
    one, other = shapes_of(agent.page()), shapes_of(agent.page(agent.setup_metrics))
    assert one == other


def test_series_of_the_stock_corefile_are_shaped_as_the_originals(agent, prometheus):
    """What no directive of the stock Corefile counts is not on the page, as in the original."""
    unused = (
        "coredns_template_",
        "coredns_dns64_",
        "coredns_hosts_entries",
        "coredns_reload_version",
    )
    original = {
        name: shape
        for name, shape in load_shapes(CONTRACT / "series.json").items()
        if not name.startswith(unused)
    }
    assert differences(original, shapes_of(agent.page())) == []


def test_every_query_is_one_request_one_response_and_one_observation(tmp_path):
    with stand_in() as upstream, running_agent(tmp_path, upstream) as agent:
        before, load = totals(agent.page()), Load(agent.port)
        for _ in range(60):
            load.ask_one()
        after = totals(agent.page())
    assert {name: after[name] - before.get(name, 0) for name in COUNTED_ONCE} == dict.fromkeys(
        COUNTED_ONCE, 60
    )


def totals(page: str) -> dict[str, float]:
    """The sum of each series over its labels."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_counters_go_on_over_reloads(tmp_path):
    """A reload that changes every upstream makes new caches and forwarders; no counter goes back."""
    with stand_in() as upstream, stand_in() as other, running_agent(tmp_path, upstream) as agent:
        load = Load(agent.port)
        for _ in range(30):
            load.ask_one()
        before = counters(agent.page())
        text = agent.base_corefile.read_text()
        agent.base_corefile.write_text(text.replace(f":{upstream}", f":{other}"))
        loaded = "nodecache_config_loaded_timestamp_seconds"
        was = totals(agent.page())[loaded]
        wait_until(lambda: totals(agent.page())[loaded] > was, "the reload")
        load.ask_one()
        after = counters(agent.page())
    assert [name for name in before if after[name] < before[name]] == []
    asked = f'coredns_forward_requests_total{{to="127.0.0.1:{upstream}"}}'
    assert before[asked] == after[asked] > 0


def counters(page: str) -> dict[str, float]:
    """Every counter and bucket by its line, less what the container's network counts."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    found = {}
    for line in page.splitlines():
        series, _, value = line.rpartition(" ")
        family = re.sub(r"_(bucket|sum|count)$", "", series.partition("{")[0])
        is_counter = "counter" in (kinds.get(series.partition("{")[0]), kinds.get(family))
        if not line.startswith("#") and (is_counter or kinds.get(family) == "histogram"):
            found[series] = float(value)
    return found
