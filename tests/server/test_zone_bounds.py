"""Where a zone ends: room, size, what the directive excludes, the reply table, its end."""

import dns.edns
import dns.flags
import pytest

from nodecache.cache import MAX_FREQUENCY, Bounds
from nodecache.server.counts import Outcome
from nodecache.server.limiter import InflightLimiter
from nodecache.server.policy import StalePolicy
from nodecache.wire import Flag
from tests.server.zone_harness import ADDRESS, SOA, ZoneHarness, harness
from tests.wire.messages import name

# Room for those who wait


def test_nobody_waits_beyond_the_room_there_is():
    zone = ZoneHarness(limiter=InflightLimiter(max_queries=2, max_per_client=2))
    zone.ask("a.example. A")
    zone.ask("b.example. A", host="10.244.1.8")
    pod = zone.ask("c.example. A", host="10.244.1.9", use_edns=0)
    assert (pod.rcode, pod.errors) == ("SERVFAIL", [23])
    assert len(zone.upstream.asked) == 2
    zone.upstream.says("a.example. 30 IN A 192.0.2.1")
    assert not zone.ask("c.example. A").has_reply


def test_one_client_does_not_take_all_the_room():
    zone = ZoneHarness(limiter=InflightLimiter(max_queries=10, max_per_client=2))
    pods = [zone.ask(f"{letter}.example. A") for letter in "abc"]
    assert [pod.has_reply for pod in pods] == [False, False, True]
    assert not zone.ask("d.example. A", host="10.244.1.9").has_reply


def test_a_block_that_waits_for_its_upstreams_leaves_room_for_another():
    """The names outside the cluster, and those of it: asked by one and the same client."""
    limiter = InflightLimiter(max_queries=8)
    outside, cluster = ZoneHarness(limiter=limiter), ZoneHarness(limiter=limiter)
    for number in range(8):
        outside.ask(f"n{number}.example. A")
    assert limiter.refused > 0
    assert not cluster.ask("a.example. A").has_reply


def test_without_room_a_stale_answer_is_better_than_none():
    zone = ZoneHarness(limiter=InflightLimiter(max_queries=1, max_per_client=1))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask("b.example. A")
    pod = zone.ask(use_edns=0)
    assert (pod.rcode, pod.ttl, pod.errors) == ("NOERROR", 30, [3])


def test_a_full_room_does_not_touch_hits():
    zone = ZoneHarness(limiter=InflightLimiter(max_queries=1))
    zone.keep(ADDRESS)
    zone.ask("b.example. A")
    assert zone.ask().ttl == 30


def test_the_memory_of_a_failure_takes_no_room():
    zone = ZoneHarness(limiter=InflightLimiter(max_queries=1))
    zone.ask("a.example. A")
    zone.upstream.fails()
    zone.ask("b.example. A")
    assert zone.ask("a.example. A").rcode == "SERVFAIL"
    assert zone.limiter.refused == 0


def test_while_upstream_is_down_new_questions_have_three_quarters_of_the_places():
    """With 1,024, whatever the memory, 1,611 of 4,200 failed beside an upstream that hung for 6.5 s; now 687."""
    zone = ZoneHarness(limiter=InflightLimiter(max_queries=1024))
    zone.upstream.down = True
    waiting = {host: while_down(zone, host) for host in ("10.244.1.7", "10.244.1.8", "10.244.1.9")}
    assert list(waiting.values()) == [512, 205, 41]  # who comes later finds places, too
    assert zone.ask("one-more.example. A", host="10.244.1.9").rcode == "SERVFAIL"
    assert not zone.ask("10-244-1-7.0.example. A", host="10.244.1.9").has_reply  # with its like
    zone.upstream.down = False
    assert not zone.ask("one-more.example. A", host="10.244.1.9").has_reply


def while_down(zone: ZoneHarness, host: str) -> int:
    """How many questions of a client that asks for ever new ones wait."""
    asked = (zone.ask(f"{host.replace('.', '-')}.{n}.example. A", host=host) for n in range(1024))
    return next(count for count, pod in enumerate(asked) if pod.has_reply)


# What the directive's options do


def test_transfers_are_refused_and_never_asked_for():
    zone = ZoneHarness()
    for qtype in ("AXFR", "IXFR"):
        pod = zone.ask(f"example. {qtype}", use_edns=0)
        assert (pod.rcode, pod.errors) == ("REFUSED", [21])
    assert not zone.upstream.asked


def test_denials_are_kept_no_longer_than_their_own_bound():
    zone = harness(bounds=Bounds(denial_ttl=5))
    pod = zone.ask()
    zone.upstream.says(rcode="NXDOMAIN", authority=(SOA,))
    assert pod.ttl == 5
    zone.pass_time(4.9)
    assert zone.ask().ttl == 1


def test_disabled_names_are_not_kept_but_have_their_ttl_bounded():
    zone = harness(success_disabled=frozenset([name("a.example.")]), bounds=Bounds(success_ttl=20))
    pod = zone.ask()
    zone.upstream.says(ADDRESS)
    assert pod.ttl == 20
    assert not zone.ask().has_reply
    zone.upstream.says(rcode="NXDOMAIN", authority=(SOA,))
    assert zone.ask().rcode == "NXDOMAIN"


def test_disabled_denials_are_not_kept():
    zone = harness(denial_disabled=frozenset([name("example.")]))
    zone.keep(rcode="NXDOMAIN", authority=(SOA,))
    assert not zone.ask().has_reply
    zone.upstream.says(ADDRESS)
    assert zone.ask().has_reply


def test_names_outside_the_caches_zones_are_not_touched():
    zone = harness(cached_zones=frozenset([name("other.")]))
    pod = zone.ask()
    zone.upstream.says("a.example. 7200 IN A 192.0.2.1", additional=("b. 3 IN A 192.0.2.9",))
    assert pod.reply.answer[0].ttl == 7200
    assert pod.reply.additional[0].ttl == 3
    assert not zone.ask().has_reply
    zone.upstream.fails()
    assert not zone.ask().has_reply


def test_without_the_directive_nothing_is_kept_and_ttls_stay():
    zone = harness(uses_cache=False, stale=None)
    pod = zone.ask()
    zone.upstream.says("a.example. 1 IN A 192.0.2.1")
    assert pod.ttl == 1
    assert not zone.ask().has_reply
    assert (zone.counted(Outcome.UNCACHED), zone.counted(Outcome.MISS)) == (1, 0)


def test_keepttl_shows_the_whole_ttl_to_the_end():
    zone = harness(keeps_ttl=True, bounds=Bounds(success_ttl=20), stale=None)
    miss = zone.ask()
    zone.upstream.says(ADDRESS)
    zone.pass_time(19)
    assert (miss.ttl, zone.ask().ttl) == (20, 20)
    zone.pass_time(1)
    assert not zone.ask().has_reply


@pytest.mark.parametrize(("policy_ttl", "shown"), [(0, 20), (7, 7)])
def test_keepttl_holds_for_stale_answers_too_unless_they_have_a_ttl_of_their_own(policy_ttl, shown):
    stale = StalePolicy(client_timeout_seconds=0, ttl=policy_ttl)
    zone = harness(keeps_ttl=True, bounds=Bounds(success_ttl=20), stale=stale)
    zone.keep(ADDRESS)
    zone.pass_time(25)
    assert zone.ask().ttl == shown


def test_a_ttl_of_0_may_be_let_through():
    zone = harness(bounds=Bounds(success_min_ttl=0))
    pod = zone.ask()
    zone.upstream.says("a.example. 0 IN A 192.0.2.1")
    assert pod.ttl == 0
    assert not zone.ask().has_reply


def test_bufsize_lowers_what_clients_claim():
    zone = harness(bufsize=600)
    zone.keep(*(f"a.example. 30 IN A 192.0.2.{number}" for number in range(60)))
    pod = zone.ask(use_edns=0, payload=4096)
    assert len(pod.replies[0]) <= 600
    assert pod.reply.flags & Flag.TC


# Size


def test_what_does_not_fit_is_cut_over_udp_and_whole_over_tcp():
    zone = ZoneHarness()
    zone.keep(*(f"a.example. 30 IN A 192.0.2.{number}" for number in range(60)))
    udp, edns, tcp = zone.ask(), zone.ask(use_edns=0, payload=1232), zone.ask(by="tcp")
    assert udp.reply.flags & Flag.TC
    assert len(udp.replies[0]) <= 512
    assert not edns.reply.flags & Flag.TC
    assert len(tcp.reply.answer[0]) == 60


# The reply table


@pytest.mark.parametrize(
    ("asked", "is_fit"),
    [
        pytest.param({}, True, id="plain"),
        pytest.param({"use_edns": 0}, True, id="EDNS"),
        pytest.param({"by": "tcp"}, False, id="TCP"),
        pytest.param({"question": "A.example. A"}, True, id="upper case"),
        pytest.param({"options": [dns.edns.GenericOption(10, b"cookie01")]}, True, id="cookie"),
    ],
)
def test_a_hit_may_enter_the_table_where_others_will_ask_the_same(asked, is_fit):
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.ask(**asked)
    assert (zone.ask(**asked).finished is not None) == is_fit


def test_a_name_asked_for_now_and_then_does_not_take_the_place_of_others_in_the_table():
    zone = ZoneHarness()
    zone.keep("a.example. 30 IN A 192.0.2.1")
    assert zone.ask().finished is None
    zone.pass_time(6)
    assert zone.ask().finished is None
    zone.pass_time(4)
    assert zone.ask().finished is not None


def test_what_the_table_answers_is_worth_keeping():
    """Its hits are told to the entry late: eviction must not take it before."""
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.ask()
    entry = zone.ask().finished.entry
    assert entry.frequency == MAX_FREQUENCY


def test_a_cut_reply_does_not_enter_the_table():
    zone = ZoneHarness()
    zone.keep(*(f"a.example. 30 IN A 192.0.2.{number}" for number in range(60)))
    zone.ask()
    assert zone.ask().finished is None


def test_a_finished_reply_is_good_until_its_ttl_changes():
    zone = ZoneHarness()
    zone.keep(ADDRESS)
    zone.pass_time(2.5)
    zone.ask()
    pod = zone.ask()
    assert pod.finished.tail == pod.replies[0][2:]
    assert pod.finished.good_until == 1003.0


# The end


def test_a_zone_that_closes_tells_those_who_wait():
    zone = ZoneHarness()
    pods = [zone.ask(), zone.ask("b.example. A")]
    zone.zone.close()
    assert [pod.rcode for pod in pods] == ["SERVFAIL", "SERVFAIL"]
    assert all(asked.is_cancelled for asked in zone.upstream.asked)
    assert (len(zone.limiter), zone.zone.in_flight, zone.udp.noted) == (0, 0, {})


def test_what_a_closed_zone_was_refreshing_the_next_one_may_refresh():
    stale = StalePolicy(client_timeout_seconds=0)
    zone = harness(stale=stale)
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    zone.zone.close()
    zone.ask()
    assert len(zone.upstream.asked) == 3


def test_answers_that_come_after_the_cache_was_closed_are_told_and_not_kept():
    zone = ZoneHarness()
    pod = zone.ask()
    budget = zone.cache.success._budget
    zone.cache.close()
    zone.upstream.says(ADDRESS)
    assert pod.has_reply
    assert (len(zone.cache), budget.used) == (0, 0)


# Names


@pytest.mark.parametrize(
    "name",
    [
        "localhost.",
        "a.onion.",
        "a.invalid.",
        "ipv4only.arpa.",
        "_dns.resolver.arpa.",
        "10.in-addr.arpa.",
    ],
)
def test_special_names_are_asked_for_like_others(name):
    zone = ZoneHarness()
    zone.ask(f"{name} A")
    zone.upstream.says(f"{name} 30 IN A 192.0.2.1")
    assert zone.ask(f"{name} A").ttl == 30
