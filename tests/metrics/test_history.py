import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.metrics import CacheNumbers, Scrape
from nodecache.metrics.history import KEPT_SAMPLES, SAMPLE_SECONDS, History, quantile
from nodecache.server.counts import ServerCounts

UDP_A = ("udp", "1", 1)


def counted(queries: int, hits: int, servfails: int = 0, seconds: float = 0.001) -> Scrape:
    counts = ServerCounts("dns://169.254.20.10:53", "cluster.local.")
    counts.requests[UDP_A] = queries
    counts.responses["SERVFAIL", ""] = servfails
    counts.duration.observe(seconds, queries)
    cache = CacheNumbers(server=counts.server, zones=counts.zone, hits_success=hits)
    return Scrape(servers=[counts], caches=[cache])


def test_rates_are_of_the_time_between_two_samples():
    history = History()
    history.add(counted(1000, 900), 50.0)
    history.add(counted(3000, 2400, servfails=20), 60.0)
    (rates,) = history.rates()
    assert (rates.queries_per_second, rates.failures_per_second) == (200, 2)
    assert rates.hit_share == pytest.approx(0.75)
    assert rates.median == pytest.approx(0.00075)  # the middle of the bucket from 0.5 to 1 ms


def test_without_queries_there_is_no_share_and_no_latency():
    history = History()
    for at in (0.0, 10.0):
        history.add(counted(5, 5), at)
    (rates,) = history.rates()
    assert (rates.queries_per_second, rates.hit_share, rates.p99) == (0, None, None)


def test_a_zone_that_a_reload_took_away_makes_no_rate_below_zero():
    history = History()
    history.add(counted(5000, 5000, servfails=9), 0.0)
    history.add(Scrape(), 10.0)
    (rates,) = history.rates()
    assert (rates.queries_per_second, rates.failures_per_second) == (0, 0)


def test_ten_minutes_are_kept_and_no_more():
    history = History()
    for at in range(2 * KEPT_SAMPLES):
        history.add(counted(at, at), at * SAMPLE_SECONDS)
    assert len(history.rates()) * SAMPLE_SECONDS == 600


@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    st.floats(0.01, 1),
)
def test_a_quantile_lies_within_the_bucket_that_holds_it(buckets, share):
    bounds = (1.0, 2.0, 4.0)
    value = quantile(share, bounds, buckets)
    if not sum(buckets):
        assert value is None
        return
    assert 0 <= value <= bounds[-1]
    below = sum(count for count, upper in zip(buckets, bounds, strict=False) if upper <= value)
    assert below <= share * sum(buckets) + 1e-6 or value in bounds
