"""The metrics contract: every series that the original has or had, with its type, labels, buckets."""

import subprocess
from pathlib import Path

import pytest

from nodecache import __version__
from nodecache.metrics import Collector, Scrape
from nodecache.process.vitals import KeeperVitals
from tests.contract.metrics_shape import differences, load_shapes, shapes_of
from tests.helpers.numbers import busy_node
from tests.needs import need

# A page of the original (CoreDNS 1.14.4) in use, less what is Go's own, and the names that it had
# in earlier versions and dashboards still ask for.
SERIES = Path(__file__).parent / "data/series.json"

# Series of ours, which the original has no equal for.
OURS = ("nodecache_", "python_")

ALWAYS_THERE = (
    'coredns_nodecache_setup_errors_total{errortype="iptables"} 0',
    'coredns_nodecache_setup_errors_total{errortype="iptables_lock"} 0',
    'coredns_nodecache_setup_errors_total{errortype="interface_add"} 0',
    'coredns_nodecache_setup_errors_total{errortype="interface_check"} 0',
    'coredns_nodecache_setup_errors_total{errortype="configmap"} 0',
    "coredns_forward_healthcheck_broken_total 0",
    "coredns_forward_max_concurrent_rejects_total 0",
    "coredns_panics_total 0",
    "coredns_reload_failed_total 0",
    "coredns_health_request_failures_total 0",
    "coredns_hosts_reload_timestamp_seconds 0",
    'promhttp_metric_handler_requests_total{code="500"} 0',
)


def page(scrape: Scrape) -> str:
    keeper = KeeperVitals.from_fields(
        {
            "rules_backend": "nftables",
            "rules_fail_open": "socket",
            "rule_packets": {"prerouting_udp_to_dns": 1},
            "lease": {"seconds": 10.0, "is_held": True},
            "probes": {"answered": 3},
        }
    )
    return b"".join(Collector(lambda: scrape, keeper).pieces()).decode()


@pytest.fixture(scope="module")
def busy_page() -> str:
    scrape = busy_node()
    labels = ("dns://127.0.0.1:53", ".", "", "IN", "A", "answer", "x")
    scrape.directives.template_failures = {labels: 1}
    scrape.directives.template_rr_failures = {labels: 1}
    return page(scrape)


def test_every_series_of_the_original_is_there_with_its_type_labels_and_buckets(busy_page):
    assert differences(load_shapes(SERIES), shapes_of(busy_page)) == []


def test_what_the_original_does_not_have_bears_our_name(busy_page):
    more = shapes_of(busy_page).keys() - load_shapes(SERIES).keys()
    assert [name for name in more if not name.startswith(OURS)] == []


@pytest.mark.parametrize("line", ALWAYS_THERE)
def test_what_alerts_compare_with_zero_is_there_from_the_start(line):
    assert line in page(Scrape()).splitlines()


def test_build_info_tells_version_and_interpreter(busy_page):
    (line,) = [line for line in busy_page.splitlines() if line.startswith("coredns_build_info")]
    assert 'goversion="python3.' in line
    assert f'version="{__version__}"' in line
    assert line.endswith("} 1")


def test_page_passes_promtools_lint(busy_page):
    promtool = need("promtool", package="prometheus")
    run = subprocess.run(
        [promtool, "check", "metrics"], input=busy_page, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_every_series_of_ours_is_in_the_operators_guide(busy_page):
    guide = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    ours = [name for name in shapes_of(busy_page) if name.startswith("nodecache_")]
    assert ours
    assert [name for name in ours if f"`{name}`" not in guide] == []
