from nodecache.demo.companion import Place, banner
from nodecache.demo.status import Figures, figures_of, read_figures, status_line

PAGE = """\
# HELP coredns_dns_requests_total Counter of DNS requests.
coredns_dns_requests_total{server="dns://127.0.0.1:5300",type="A",zone="."} 90
coredns_dns_requests_total{server="dns://127.0.0.1:5300",type="A",zone="cluster.local."} 10
coredns_cache_hits_total{type="success",zones="."} 60
coredns_cache_misses_total{zones="."} 20
coredns_proxy_request_duration_seconds_bucket{le="0.1"} 20
coredns_proxy_request_duration_seconds_sum{to="127.0.0.1:53"} 0.05
coredns_proxy_request_duration_seconds_count{to="127.0.0.1:53"} 20
"""


def test_figures_are_added_up_over_zones():
    assert figures_of(PAGE) == Figures(
        queries=100, hits=60, misses=20, upstream_seconds=0.05, upstream_answers=20
    )


def test_status_tells_what_happened_between_two_readings():
    line = status_line(Figures(), figures_of(PAGE), 2.0)
    assert line == "50 queries/s   hit ratio 75%   upstream 2.5 ms"


def test_status_of_a_quiet_second_divides_by_nothing():
    assert status_line(Figures(), Figures(), 1.0) == "0 queries/s   hit ratio -   upstream -"


def test_no_figures_where_nobody_listens():
    assert read_figures("127.0.0.1:1") is None


def test_banner_names_a_dig_line_and_the_metrics():
    text = banner(Place(dns_port=5300, metrics_port=9253, health_port=8080, stand_in_port=1))
    assert "dig @127.0.0.1 -p 5300 kubernetes.default.svc.cluster.local" in text
    assert "http://127.0.0.1:9253/metrics" in text
