"""What a zone does with answers past their TTL, and with those that soon will be."""

import pytest

from nodecache.cache import Bounds, Prefetch
from nodecache.server.limiter import InflightLimiter
from nodecache.server.policy import StalePolicy, ZoneOptions
from tests.server.zone_harness import ADDRESS, FRESH_ONLY, OTHER, SOA, ZoneHarness, harness

# Stale answers


def test_an_expired_answer_waits_for_a_fresh_one():
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    assert not pod.has_reply
    zone.upstream.says(OTHER)
    assert pod.reply.answer[0][0].address == "192.0.2.2"
    zone.pass_time(5)
    assert zone.ask().ttl == 25
    assert zone.cache.counts.served_stale == 0


def test_nobody_is_said_to_wait_for_what_is_fetched_behind_a_stale_answer_until_somebody_does():
    zone = harness(stale=StalePolicy(client_timeout_seconds=0, seconds=100, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    (asked,) = zone.upstream.open
    assert not asked.is_awaited
    zone.pass_time(100)
    assert not zone.ask().has_reply
    assert asked.is_awaited


def test_when_upstream_has_had_its_time_the_expired_answer_will_do():
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pods = [zone.ask(use_edns=0), zone.ask()]
    zone.pass_time(0.999)
    assert not pods[0].has_reply
    zone.pass_time(0.001)
    assert [pod.ttl for pod in pods] == [30, 30]
    assert pods[0].errors == [3]
    assert zone.cache.counts.served_stale == 2
    assert len(zone.limiter) == 0
    zone.upstream.says(OTHER)
    assert all(len(pod.replies) == 1 for pod in pods)
    assert zone.ask().reply.answer[0][0].address == "192.0.2.2"


def test_whoever_asks_while_upstream_is_late_gets_the_expired_answer_at_once():
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    zone.pass_time(1)
    assert zone.ask().ttl == 30
    assert len(zone.upstream.asked) == 2


def test_a_failed_refresh_hands_out_the_expired_answer_and_waits_before_the_next():
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask(use_edns=0)
    zone.upstream.fails()
    assert (pod.rcode, pod.ttl, pod.errors) == ("NOERROR", 30, [3])
    zone.pass_time(0.9)
    assert zone.ask().ttl == 30
    assert not zone.upstream.open
    zone.pass_time(0.2)
    assert not zone.ask().has_reply
    assert len(zone.upstream.open) == 1


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
def test_an_error_from_upstream_is_no_better_than_an_expired_answer(rcode):
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask(use_edns=0)
    zone.upstream.says(rcode=rcode)
    assert (pod.rcode, pod.errors) == ("NOERROR", [3])


def test_a_fresh_nxdomain_ends_an_expired_answer():
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    zone.upstream.says(rcode="NXDOMAIN", authority=(SOA,))
    assert pod.rcode == zone.ask().rcode == "NXDOMAIN"
    assert (len(zone.cache.success), len(zone.cache.denial)) == (0, 1)


def test_an_expired_nxdomain_says_so():
    zone = ZoneHarness()
    zone.keep(rcode="NXDOMAIN", authority=(SOA,))
    zone.pass_time(18)
    pod = zone.ask(use_edns=0)
    zone.upstream.fails()
    assert (pod.rcode, pod.errors) == ("NXDOMAIN", [19])


def test_an_answer_is_stale_for_as_long_as_the_policy_says_and_no_longer():
    zone = harness(stale=StalePolicy(seconds=100, client_timeout_seconds=0, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(129.9)
    assert zone.ask().ttl == 0
    zone.pass_time(0.1)
    zone.upstream.fails()
    zone.pass_time(1)
    assert not zone.ask().has_reply


def test_serve_stale_immediate_answers_at_once_and_refreshes_behind_it():
    zone = harness(stale=StalePolicy(client_timeout_seconds=0, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    assert [zone.ask().ttl for _ in range(3)] == [0, 0, 0]
    assert len(zone.upstream.open) == 1
    assert (zone.cache.counts.served_stale, zone.cache.counts.prefetches) == (3, 1)
    zone.upstream.says(OTHER)
    assert zone.ask().ttl == 30


def test_what_is_fetched_behind_stale_answers_is_bounded_too():
    policy = ZoneOptions(stale=StalePolicy(client_timeout_seconds=0, ttl=0))
    zone = ZoneHarness(policy, InflightLimiter(max_queries=8))
    names = [f"n{number}.example." for number in range(20)]
    for name in names:
        zone.keep(f"{name} 30 IN A 192.0.2.1", question=f"{name} A")
    zone.pass_time(31)
    assert [zone.ask(f"{name} A").ttl for name in names] == [0] * 20
    assert zone.zone.in_flight < 8
    while zone.upstream.open:
        zone.upstream.fails()
    zone.ask(f"{names[-1]} A")
    assert zone.zone.in_flight == 1


@pytest.mark.parametrize("client_timeout_seconds", [0, None], ids=["immediate", "verify"])
@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
def test_a_failure_is_remembered_for_a_second_behind_a_stale_answer(client_timeout_seconds, rcode):
    zone = harness(
        stale=StalePolicy(client_timeout_seconds=client_timeout_seconds, ttl=0, recheck_seconds=0)
    )
    zone.keep(ADDRESS)
    zone.pass_time(31)
    for _ in range(30):
        pod = zone.ask()
        if zone.upstream.open:
            zone.upstream.says(rcode=rcode)
        assert pod.ttl == 0
        zone.pass_time(0.1)
    assert len(zone.upstream.asked) == 1 + 3


@pytest.mark.parametrize(
    "client_timeout_seconds", [0, 1, None], ids=["immediate", "late", "verify"]
)
@pytest.mark.parametrize(
    "unkept",
    [
        ((), {"rcode": "NXDOMAIN"}),
        (("a.example. 0 IN A 192.0.2.2",), {}),
        (("a.example. 30 IN CNAME nowhere.example.",), {}),
    ],
    ids=["no SOA", "TTL 0", "dangling alias"],
)
def test_an_answer_that_may_not_be_kept_ends_the_stale_one(unkept, client_timeout_seconds):
    """RFC 8767 §4: the stale answer would be given for an hour, whatever upstream says by now."""
    records, how = unkept
    stale = StalePolicy(client_timeout_seconds=client_timeout_seconds, ttl=0)
    zone = harness(stale=stale, bounds=Bounds(success_min_ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    zone.upstream.says(*records, **how)
    pod = zone.ask()
    assert not pod.has_reply
    zone.upstream.fails()
    assert pod.rcode == "SERVFAIL"


@pytest.mark.parametrize(
    "client_timeout_seconds", [0, 1, None], ids=["immediate", "late", "verify"]
)
@pytest.mark.parametrize(
    ("records", "flags"),
    [
        ((OTHER,), "QR RD RA TC"),
        ((OTHER, "a.example. 30 IN RRSIG A 8 2 60 1000 500 1 example. AA=="), "QR RD RA"),
    ],
    ids=["TC", "signed for another time"],
)
def test_a_stale_answer_is_better_than_one_that_is_not_whole_or_not_valid(
    records, flags, client_timeout_seconds
):
    """As CoreDNS 1.14.7 has it: the refresh counts as failed, and upstream is left alone for a while."""
    zone = harness(stale=StalePolicy(client_timeout_seconds=client_timeout_seconds, ttl=7))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    zone.upstream.says(*records, flags=flags)
    assert (pod.ttl, zone.ask().ttl) == (7, 7)
    assert not zone.upstream.open


@pytest.mark.parametrize("client_timeout_seconds", [1, None], ids=["a second", "verify"])
def test_while_upstream_is_silent_a_few_wait_and_the_others_are_told_stale_at_once(
    client_timeout_seconds,
):
    zone = harness(stale=StalePolicy(client_timeout_seconds=client_timeout_seconds, ttl=0))
    names = [f"n{number}.example." for number in range(30)]
    for name in names:
        zone.keep(f"{name} 30 IN A 192.0.2.1", question=f"{name} A")
    zone.pass_time(31)
    zone.upstream.down = True
    pods = [zone.ask(f"{name} A") for name in names for _ in range(2)]
    waiting = [pod for pod in pods if not pod.has_reply]
    assert len(waiting) == len(zone.upstream.open) == 4
    assert {pod.ttl for pod in pods if pod.has_reply} == {0}
    zone.upstream.down = False
    assert not zone.ask("n29.example. A").has_reply


def test_serve_stale_verify_waits_for_the_outcome():
    zone = harness(stale=StalePolicy(client_timeout_seconds=None, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    zone.pass_time(3.9)
    assert not pod.has_reply
    zone.upstream.fails()
    assert pod.ttl == 0


def test_without_stale_answers_an_expired_one_is_a_miss():
    zone = ZoneHarness(FRESH_ONLY)
    zone.keep(ADDRESS)
    zone.pass_time(30)
    pod = zone.ask()
    zone.upstream.fails()
    assert pod.rcode == "SERVFAIL"


def test_a_stale_answer_does_not_enter_the_table():
    zone = harness(stale=StalePolicy(client_timeout_seconds=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    assert zone.ask().finished is None


def test_a_query_without_rd_refreshes_nothing():
    zone = harness(stale=StalePolicy(client_timeout_seconds=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    assert zone.ask(flags="").has_reply
    assert not zone.upstream.open
    assert zone.ask().has_reply
    assert len(zone.upstream.open) == 1


# Fetching ahead of time

EAGER = Prefetch(amount=3, seconds=60, percentage=10)


def popular(**options: object) -> ZoneHarness:
    """A zone with an answer asked for often, three seconds before its end."""
    zone = harness(prefetch=EAGER, **options)
    zone.keep(ADDRESS)
    for _ in range(2):
        zone.ask()
    zone.pass_time(27)
    return zone


def test_what_is_asked_for_often_is_fetched_before_it_expires():
    zone = popular()
    assert zone.ask().ttl == 3
    assert zone.ask().ttl == 3
    assert len(zone.upstream.open) == 1
    assert zone.cache.counts.prefetches == 1
    zone.upstream.says(OTHER)
    assert zone.ask().ttl == 30
    assert len(zone.limiter) == 0


def test_what_is_asked_for_seldom_is_not():
    zone = harness(prefetch=EAGER)
    zone.keep(ADDRESS)
    zone.pass_time(27)
    zone.ask()
    assert not zone.upstream.open


def test_a_miss_during_the_fetch_waits_with_it():
    zone = popular()
    zone.ask()
    zone.pass_time(3)
    pod = zone.ask()
    assert len(zone.upstream.open) == 1
    zone.upstream.says(OTHER)
    assert pod.ttl == 30


def test_a_fetch_that_fails_leaves_the_answer_alone_and_is_not_repeated_at_once():
    zone = popular()
    zone.ask()
    zone.upstream.fails()
    assert zone.ask().ttl == 3
    assert not zone.upstream.open
    zone.pass_time(1)
    assert zone.ask().ttl == 2
    assert len(zone.upstream.open) == 1


def test_a_fetch_whose_answer_may_not_be_kept_is_not_repeated_at_once():
    zone = popular()
    zone.ask()
    zone.upstream.says("a.example. 30 IN CNAME b.example.")
    zone.ask()
    assert not zone.upstream.open


def test_a_query_without_rd_fetches_nothing_ahead():
    zone = popular()
    zone.ask(flags="")
    assert not zone.upstream.open
