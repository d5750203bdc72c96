"""What `serve_stale` says beyond how long: when upstream is asked again, and which answer wins."""

import pytest

from nodecache.server.policy import StalePolicy, ZoneOptions
from tests.server.zone_harness import SOA, ZoneHarness

ADDRESS = "a.example. 30 IN A 192.0.2.1"


def stale_zone(**policy):
    zone = ZoneHarness(ZoneOptions(stale=StalePolicy(client_timeout_seconds=0, ttl=0, **policy)))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    return zone


def test_a_failed_refresh_leaves_upstream_alone_for_the_recheck_time():
    zone = stale_zone(recheck_seconds=30.0)
    zone.upstream.fails()
    zone.pass_time(29)
    zone.ask()
    assert not zone.upstream.open
    zone.pass_time(2)
    zone.ask()
    assert len(zone.upstream.open) == 1


def test_without_a_recheck_time_upstream_is_left_alone_for_a_second():
    """RFC 9520 §3.2; the original asks it for every query."""
    zone = stale_zone(recheck_seconds=0.0)
    zone.upstream.fails()
    zone.pass_time(0.9)
    zone.ask()
    assert not zone.upstream.open
    zone.pass_time(0.1)
    zone.ask()
    assert len(zone.upstream.open) == 1


@pytest.mark.parametrize(
    ("records", "beside"),
    [
        ((), {}),
        ((), {"additional": (ADDRESS,)}),
        ((), {"authority": ("example. 60 IN NS ns.example.",)}),
        (("a.example. 30 IN CNAME b.example.",), {}),
    ],
    ids=["empty", "beside", "referral", "dangling alias"],
)
def test_what_does_not_answer_does_not_end_a_positive_answer_that_is_preferred(records, beside):
    zone = stale_zone(prefers_positive=True)
    zone.upstream.says(*records, **beside)
    assert zone.ask().reply.answer[0][0].address == "192.0.2.1"


@pytest.mark.parametrize("denial", [{"rcode": "NXDOMAIN"}, {"rcode": "NOERROR"}])
def test_a_denial_takes_the_place_of_a_positive_answer_unless_positive_ones_are_preferred(denial):
    plain, preferring = stale_zone(), stale_zone(prefers_positive=True)
    for zone in (plain, preferring):
        zone.upstream.says(authority=(SOA,), **denial)
    assert not plain.ask().reply.answer
    assert preferring.ask().reply.answer


def test_a_preferred_positive_answer_gives_way_to_another():
    zone = stale_zone(prefers_positive=True)
    zone.upstream.says("a.example. 30 IN A 192.0.2.2")
    assert zone.ask().reply.answer[0][0].address == "192.0.2.2"
