import pytest

from bench.dnsperf import NoDnsperf, read_output

OUTPUT = """\
DNS Performance Testing Tool
> NOERROR a.cluster.local A 0.000115
> NXDOMAIN b.nx A 0.000029
> SERVFAIL c.dead A 0.000300
[Timeout] Query timed out: msg id 3

  Queries sent:         4
  Queries completed:    3 (75.00%)
  Queries per second:   4222.378607
"""


def test_latencies_are_read_in_microseconds_and_in_order():
    assert read_output(OUTPUT).latencies == pytest.approx([29, 115, 300])


def test_unanswered_and_failed_queries_are_told_apart():
    outcome = read_output(OUTPUT)
    assert (outcome.lost, outcome.failed) == (1, 1)


def test_a_percentile_is_a_latency_that_was_seen():
    outcome = read_output(OUTPUT)
    assert outcome.latency(0.5) == pytest.approx(115)
    assert outcome.latency(1.0) == pytest.approx(300)


def test_output_without_statistics_is_no_outcome():
    with pytest.raises(NoDnsperf, match="Queries sent"):
        read_output("Error: unable to open file")
