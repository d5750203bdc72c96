"""What a zone makes of queries, of the cache, and of what comes from upstream."""

import dns.edns
import dns.flags
import pytest

from nodecache.cache import MOST_ASKED, Bounds, Prefetch
from nodecache.server.counts import Outcome
from nodecache.server.policy import StalePolicy, ZoneOptions, is_within
from nodecache.server.waiting import WaitingRoom
from nodecache.wire import Flag, Rcode
from tests.server.house import SOA, House
from tests.wire.messages import name, texts

ADDRESS = "a.example. 30 IN A 192.0.2.1"
OTHER = "a.example. 30 IN A 192.0.2.2"
FRESH_ONLY = ZoneOptions(stale=None)


def house(**options: object) -> House:
    return House(ZoneOptions(**options))


# Misses and hits


def test_a_miss_asks_upstream_and_the_next_query_is_a_hit():
    zone = House()
    first = zone.ask()
    assert not first.has_reply
    assert zone.questions == ["a.example. IN A"]
    zone.upstream.says(ADDRESS)
    assert texts(first.reply.answer) == ["a.example. 30 in a 192.0.2.1"]
    zone.pass_time(12.5)
    second = zone.ask()
    assert texts(second.reply.answer) == ["a.example. 18 in a 192.0.2.1"]
    assert len(zone.upstream.asked) == 1
    assert (zone.counted(Outcome.MISS), zone.counted(Outcome.HIT_SUCCESS)) == (1, 1)


def test_an_entry_of_n_seconds_is_a_hit_for_n_seconds():
    zone = House(FRESH_ONLY)
    zone.keep(ADDRESS)
    zone.pass_time(29.9)
    assert zone.ask().ttl == 1
    zone.pass_time(0.1)
    assert not zone.ask().has_reply


def test_a_hit_is_authoritative_and_a_miss_says_what_upstream_said():
    zone = House()
    miss = zone.ask()
    zone.upstream.says(ADDRESS, flags="QR RD RA")
    assert dns.flags.to_text(miss.reply.flags) == "QR RD RA"
    assert dns.flags.to_text(zone.ask().reply.flags) == "QR AA RD RA"
    zone.keep("b.example. 30 IN A 192.0.2.1", question="b.example. A", flags="QR RD")
    assert dns.flags.to_text(zone.ask("b.example. A").reply.flags) == "QR AA RD"


def test_each_client_sees_its_own_letters():
    zone = House()
    first = zone.ask("A.Example. A")
    zone.upstream.says(ADDRESS)
    second = zone.ask("a.EXAMPLE. A")
    assert first.reply.question[0].name.to_text() == "A.Example."
    assert second.reply.question[0].name.to_text() == "a.EXAMPLE."
    assert second.reply.answer[0].name.to_text() == "a.EXAMPLE."


@pytest.mark.parametrize(
    ("records", "message", "ttl", "kept_as"),
    [
        pytest.param([ADDRESS], {}, 30, "success", id="positive"),
        pytest.param([], {"authority": (SOA,)}, 17, "denial", id="nodata"),
        pytest.param([], {"authority": (SOA,), "rcode": "NXDOMAIN"}, 17, "denial", id="nxdomain"),
        pytest.param([], {"authority": ("example. 60 IN NS b.",)}, 5, "success", id="referral"),
        pytest.param(["a.example. 1 IN A 192.0.2.1"], {}, 5, "success", id="too short a TTL"),
        pytest.param(["a.example. 9999 IN A 192.0.2.1"], {}, 3600, "success", id="too long a TTL"),
    ],
)
def test_what_is_kept_and_for_how_long(records, message, ttl, kept_as):
    zone = House()
    miss = zone.ask()
    zone.upstream.says(*records, **message)
    assert miss.ttl == ttl
    zone.pass_time(1)
    assert zone.ask().ttl == ttl - 1
    kept = {"success": len(zone.cache.success), "denial": len(zone.cache.denial)}
    assert kept == {"success": 0, "denial": 0} | {kept_as: 1}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        pytest.param([], {"rcode": "NXDOMAIN"}, id="nxdomain without SOA"),
        pytest.param([], {"rcode": "REFUSED"}, id="refused"),
        pytest.param([], {"rcode": "FORMERR"}, id="formerr"),
        pytest.param(["a.example. 9 IN CNAME b."], {}, id="open chain"),
        pytest.param(
            [ADDRESS, "a.example. 9 IN RRSIG A 8 2 60 1000 500 1 example. AA=="], {}, id="expired"
        ),
    ],
)
def test_what_is_not_kept_is_asked_for_again(records, message):
    zone = House()
    pod = zone.ask()
    zone.upstream.says(*records, **message)
    assert pod.has_reply
    assert not zone.ask().has_reply
    assert len(zone.cache) == 0


def test_negative_answers_are_counted_as_such():
    zone = House()
    zone.keep(authority=(SOA,), rcode="NXDOMAIN")
    assert zone.ask().rcode == "NXDOMAIN"
    assert zone.counted(Outcome.HIT_DENIAL) == 1


# What tells questions apart


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"want_dnssec": True}, id="DO"),
        pytest.param({"flags": "RD CD"}, id="CD"),
        pytest.param({"question": "a.example. CH A"}, id="class"),
        pytest.param({"question": "a.example. AAAA"}, id="type"),
        pytest.param({"question": "b.example. A"}, id="name"),
    ],
)
def test_an_answer_is_for_its_own_question_only(other):
    zone = House()
    zone.keep(ADDRESS)
    assert not zone.ask(**other).has_reply
    assert zone.ask().has_reply


@pytest.mark.parametrize(
    "like",
    [
        {"flags": ""},
        {"flags": "RD AD"},
        {"use_edns": 0},
        {"by": "tcp"},
        {"use_edns": 0, "payload": 4096},
    ],
)
def test_an_answer_is_for_everybody_who_asks_the_same(like):
    zone = House()
    zone.keep(ADDRESS)
    assert zone.ask(**like).has_reply


@pytest.mark.parametrize(
    ("asked", "has_ad"),
    [
        ({}, False),
        ({"flags": "RD AD"}, True),
        ({"want_dnssec": True}, True),
        ({"use_edns": 0}, False),
    ],
)
def test_ad_is_for_those_who_ask_for_it(asked, has_ad):
    zone = House()
    miss = zone.ask(**asked)
    zone.upstream.says(ADDRESS, flags="QR RD RA AD")
    hit = zone.ask(**asked)
    assert [bool(pod.reply.flags & Flag.AD) for pod in (miss, hit)] == [has_ad, has_ad]


def test_one_clients_ad_is_not_lost_by_another_who_did_not_ask():
    zone = House()
    zone.keep(ADDRESS, flags="QR RD RA AD")
    assert zone.ask(flags="RD AD").reply.flags & Flag.AD


# Equal misses


def test_equal_misses_are_one_question_upstream():
    zone = House()
    pods = [zone.ask(host=f"10.244.1.{number}") for number in range(50)]
    assert len(zone.upstream.asked) == 1
    assert zone.zone.coalesced == 49
    zone.upstream.says(ADDRESS)
    assert all(len(pod.replies) == 1 for pod in pods)
    assert len(zone.room) == 0
    assert zone.zone.in_flight == 0


def test_each_who_waited_is_answered_in_its_own_way():
    zone = House()
    plain, upper, edns, stream = (
        zone.ask(),
        zone.ask("A.EXAMPLE. A"),
        zone.ask(use_edns=0),
        zone.ask(by="tcp"),
    )
    records = [f"a.example. 30 IN A 192.0.2.{number}" for number in range(60)]
    zone.upstream.says(*records)
    assert plain.reply.flags & Flag.TC
    assert upper.reply.question[0].name.to_text() == "A.EXAMPLE."
    assert edns.reply.edns == 0
    assert len(stream.reply.answer[0]) == 60


def test_questions_without_rd_do_not_wait_with_those_that_have_it():
    zone = House()
    zone.ask(flags="RD")
    zone.ask(flags="")
    zone.ask(flags="")
    assert [asked.query.flags & Flag.RD for asked in zone.upstream.asked] == [Flag.RD, 0]


def test_what_came_of_a_question_without_rd_is_nobody_elses():
    zone = House()
    pod = zone.ask(flags="")
    zone.upstream.says(authority=("example. 60 IN NS b.",))
    assert pod.reply.authority
    assert not zone.ask(flags="").has_reply
    zone.upstream.fails()
    assert not zone.ask().has_reply


def test_misses_are_not_joined_where_each_client_is_answered_on_its_own():
    zone = house(joins_misses=False, uses_cache=False)
    pods = [zone.ask(), zone.ask()]
    zone.upstream.says(ADDRESS)
    zone.upstream.says(OTHER)
    assert [pod.reply.answer[0][0].address for pod in pods] == ["192.0.2.1", "192.0.2.2"]


def test_the_deadline_and_the_clients_transport_go_upstream():
    zone = house(deadline_seconds=3.5)
    zone.ask(by="tcp")
    (asked,) = zone.upstream.asked
    assert (asked.deadline, asked.transport) == (1003.5, "tcp")


# Failures


def test_a_failure_is_a_servfail_that_says_why():
    zone = House()
    pod = zone.ask(use_edns=0)
    zone.upstream.fails()
    assert (pod.rcode, pod.errors) == ("SERVFAIL", [22])
    assert pod.reply.options[0].text == "nobody answers"
    assert pod.reply.flags == Flag.QR | Flag.RD | Flag.RA | Rcode.SERVFAIL


def test_what_failed_is_not_asked_again_at_once_and_for_longer_each_time():
    zone = House()
    for left_alone in (1, 2, 4):
        zone.ask()
        zone.upstream.fails()
        zone.pass_time(left_alone - 0.1)
        assert zone.ask(use_edns=0).errors == [22]
        assert not zone.upstream.open
        zone.pass_time(0.1)
    zone.ask()
    assert len(zone.upstream.open) == 1


def test_an_answer_ends_the_memory_of_failures():
    zone = House(FRESH_ONLY)
    zone.ask()
    zone.upstream.fails()
    zone.pass_time(1)
    zone.keep(ADDRESS)
    zone.pass_time(30)
    zone.ask()
    zone.upstream.fails()
    zone.pass_time(1)
    zone.ask()
    assert len(zone.upstream.open) == 1


def test_the_servfail_option_fixes_the_time():
    zone = House(servfail_seconds=5)
    zone.ask()
    zone.upstream.fails()
    zone.pass_time(4.9)
    assert zone.ask().rcode == "SERVFAIL"
    zone.pass_time(0.1)
    assert not zone.ask().has_reply


def test_an_upstreams_servfail_is_passed_on_and_remembered():
    zone = House()
    pod = zone.ask(use_edns=0)
    zone.upstream.says(rcode="SERVFAIL", options=(dns.edns.EDEOption(6, "bogus"),))
    again = zone.ask(use_edns=0)
    assert [(each.rcode, each.errors) for each in (pod, again)] == [("SERVFAIL", [6])] * 2
    assert len(zone.cache) == 0


def test_a_refusal_for_want_of_room_upstream_is_not_remembered():
    zone = House()
    pod = zone.ask()
    zone.upstream.fails(rcode=5)
    assert pod.rcode == "REFUSED"
    assert not zone.ask().has_reply


def test_a_failure_never_hides_an_answer_that_is_good():
    zone = house(prefetch=Prefetch(amount=1, percentage=90))
    zone.keep(ADDRESS)
    zone.pass_time(10)
    zone.ask()
    zone.upstream.fails()
    assert zone.ask().ttl == 20


def test_upstreams_extended_errors_reach_those_who_sent_an_opt():
    zone = House()
    pods = [zone.ask(use_edns=0), zone.ask()]
    zone.upstream.says(ADDRESS, options=(dns.edns.EDEOption(4, "forged"),))
    pods += [zone.ask(use_edns=0), zone.ask()]
    assert [pod.errors for pod in pods] == [[4], [], [4], []]


def test_other_options_of_upstream_reach_nobody():
    zone = House()
    pod = zone.ask(use_edns=0)
    zone.upstream.says(ADDRESS, options=(dns.edns.GenericOption(3, b"ns1"),))
    assert pod.reply.options == ()


def test_an_extended_rcode_reaches_those_who_sent_an_opt():
    zone = House()
    edns, plain = zone.ask(use_edns=0), zone.ask()
    zone.upstream.says(rcode="BADCOOKIE", options=())
    assert (edns.rcode, plain.rcode) == ("BADCOOKIE", "SERVFAIL")


# Stale answers


def test_an_expired_answer_waits_for_a_fresh_one():
    zone = House()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    assert not pod.has_reply
    zone.upstream.says(OTHER)
    assert pod.reply.answer[0][0].address == "192.0.2.2"
    zone.pass_time(5)
    assert zone.ask().ttl == 25
    assert zone.cache.counts.served_stale == 0


def test_when_upstream_has_had_its_time_the_expired_answer_will_do():
    zone = House()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pods = [zone.ask(use_edns=0), zone.ask()]
    zone.pass_time(0.999)
    assert not pods[0].has_reply
    zone.pass_time(0.001)
    assert [pod.ttl for pod in pods] == [30, 30]
    assert pods[0].errors == [3]
    assert zone.cache.counts.served_stale == 2
    assert len(zone.room) == 0
    zone.upstream.says(OTHER)
    assert all(len(pod.replies) == 1 for pod in pods)
    assert zone.ask().reply.answer[0][0].address == "192.0.2.2"


def test_whoever_asks_while_upstream_is_late_gets_the_expired_answer_at_once():
    zone = House()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    zone.pass_time(1)
    assert zone.ask().ttl == 30
    assert len(zone.upstream.asked) == 2


def test_a_failed_refresh_hands_out_the_expired_answer_and_waits_before_the_next():
    zone = House()
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
    zone = House()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask(use_edns=0)
    zone.upstream.says(rcode=rcode)
    assert (pod.rcode, pod.errors) == ("NOERROR", [3])


def test_a_fresh_nxdomain_ends_an_expired_answer():
    zone = House()
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    zone.upstream.says(rcode="NXDOMAIN", authority=(SOA,))
    assert pod.rcode == zone.ask().rcode == "NXDOMAIN"
    assert (len(zone.cache.success), len(zone.cache.denial)) == (0, 1)


def test_an_expired_nxdomain_says_so():
    zone = House()
    zone.keep(rcode="NXDOMAIN", authority=(SOA,))
    zone.pass_time(18)
    pod = zone.ask(use_edns=0)
    zone.upstream.fails()
    assert (pod.rcode, pod.errors) == ("NXDOMAIN", [19])


def test_an_answer_is_stale_for_as_long_as_the_policy_says_and_no_longer():
    zone = house(stale=StalePolicy(seconds=100, patience_seconds=0, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(129.9)
    assert zone.ask().ttl == 0
    zone.pass_time(0.1)
    zone.upstream.fails()
    zone.pass_time(1)
    assert not zone.ask().has_reply


def test_serve_stale_immediate_answers_at_once_and_refreshes_behind_it():
    zone = house(stale=StalePolicy(patience_seconds=0, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    assert [zone.ask().ttl for _ in range(3)] == [0, 0, 0]
    assert len(zone.upstream.open) == 1
    assert (zone.cache.counts.served_stale, zone.cache.counts.prefetches) == (3, 1)
    zone.upstream.says(OTHER)
    assert zone.ask().ttl == 30


def test_serve_stale_verify_waits_for_the_outcome():
    zone = house(stale=StalePolicy(patience_seconds=None, ttl=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    pod = zone.ask()
    zone.pass_time(3.9)
    assert not pod.has_reply
    zone.upstream.fails()
    assert pod.ttl == 0


def test_without_stale_answers_an_expired_one_is_a_miss():
    zone = House(FRESH_ONLY)
    zone.keep(ADDRESS)
    zone.pass_time(30)
    pod = zone.ask()
    zone.upstream.fails()
    assert pod.rcode == "SERVFAIL"


def test_a_stale_answer_does_not_enter_the_table():
    zone = house(stale=StalePolicy(patience_seconds=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    assert zone.ask().finished is None


def test_a_query_without_rd_refreshes_nothing():
    zone = house(stale=StalePolicy(patience_seconds=0))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    assert zone.ask(flags="").has_reply
    assert not zone.upstream.open
    assert zone.ask().has_reply
    assert len(zone.upstream.open) == 1


# Fetching ahead of time

EAGER = Prefetch(amount=3, seconds=60, percentage=10)


def popular(**options: object) -> House:
    """A zone with an answer asked for often, three seconds before its end."""
    zone = house(prefetch=EAGER, **options)
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
    assert len(zone.room) == 0


def test_what_is_asked_for_seldom_is_not():
    zone = house(prefetch=EAGER)
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


# Room for those who wait


def test_nobody_waits_beyond_the_room_there_is():
    zone = House(room=WaitingRoom(most=2, most_per_client=2))
    zone.ask("a.example. A")
    zone.ask("b.example. A", host="10.244.1.8")
    pod = zone.ask("c.example. A", host="10.244.1.9", use_edns=0)
    assert (pod.rcode, pod.errors) == ("SERVFAIL", [23])
    assert len(zone.upstream.asked) == 2
    zone.upstream.says("a.example. 30 IN A 192.0.2.1")
    assert not zone.ask("c.example. A").has_reply


def test_one_client_does_not_take_all_the_room():
    zone = House(room=WaitingRoom(most=10, most_per_client=2))
    pods = [zone.ask(f"{letter}.example. A") for letter in "abc"]
    assert [pod.has_reply for pod in pods] == [False, False, True]
    assert not zone.ask("d.example. A", host="10.244.1.9").has_reply


def test_without_room_a_stale_answer_is_better_than_none():
    zone = House(room=WaitingRoom(most=1, most_per_client=1))
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask("b.example. A")
    pod = zone.ask(use_edns=0)
    assert (pod.rcode, pod.ttl, pod.errors) == ("NOERROR", 30, [3])


def test_a_full_room_does_not_touch_hits():
    zone = House(room=WaitingRoom(most=1))
    zone.keep(ADDRESS)
    zone.ask("b.example. A")
    assert zone.ask().ttl == 30


def test_the_memory_of_a_failure_takes_no_room():
    zone = House(room=WaitingRoom(most=1))
    zone.ask("a.example. A")
    zone.upstream.fails()
    zone.ask("b.example. A")
    assert zone.ask("a.example. A").rcode == "SERVFAIL"
    assert zone.room.refused == 0


def test_those_who_wait_are_noted_until_they_are_answered():
    zone = House()
    zone.ask()
    zone.ask("b.example. A")
    assert len(zone.udp.noted) == 2
    zone.upstream.says(ADDRESS)
    zone.upstream.fails()
    assert zone.udp.noted == {}


# What the directive's options do


def test_transfers_are_refused_and_never_asked_for():
    zone = House()
    for qtype in ("AXFR", "IXFR"):
        pod = zone.ask(f"example. {qtype}", use_edns=0)
        assert (pod.rcode, pod.errors) == ("REFUSED", [21])
    assert not zone.upstream.asked


def test_denials_are_kept_no_longer_than_their_own_bound():
    zone = house(bounds=Bounds(denial_ttl=5))
    pod = zone.ask()
    zone.upstream.says(rcode="NXDOMAIN", authority=(SOA,))
    assert pod.ttl == 5
    zone.pass_time(4.9)
    assert zone.ask().ttl == 1


def test_disabled_names_are_not_kept_but_have_their_ttl_bounded():
    zone = house(success_disabled=(name("a.example."),), bounds=Bounds(success_ttl=20))
    pod = zone.ask()
    zone.upstream.says(ADDRESS)
    assert pod.ttl == 20
    assert not zone.ask().has_reply
    zone.upstream.says(rcode="NXDOMAIN", authority=(SOA,))
    assert zone.ask().rcode == "NXDOMAIN"


def test_disabled_denials_are_not_kept():
    zone = house(denial_disabled=(name("example."),))
    zone.keep(rcode="NXDOMAIN", authority=(SOA,))
    assert not zone.ask().has_reply
    zone.upstream.says(ADDRESS)
    assert zone.ask().has_reply


def test_names_outside_the_caches_zones_are_not_touched():
    zone = house(cached_zones=(name("other."),))
    pod = zone.ask()
    zone.upstream.says("a.example. 7200 IN A 192.0.2.1", additional=("b. 3 IN A 192.0.2.9",))
    assert pod.reply.answer[0].ttl == 7200
    assert pod.reply.additional[0].ttl == 3
    assert not zone.ask().has_reply
    zone.upstream.fails()
    assert not zone.ask().has_reply


def test_without_the_directive_nothing_is_kept_and_ttls_stay():
    zone = house(uses_cache=False, stale=None)
    pod = zone.ask()
    zone.upstream.says("a.example. 1 IN A 192.0.2.1")
    assert pod.ttl == 1
    assert not zone.ask().has_reply
    assert (zone.counted(Outcome.UNCACHED), zone.counted(Outcome.MISS)) == (1, 0)


def test_keepttl_shows_the_whole_ttl_to_the_end():
    zone = house(keeps_ttl=True, bounds=Bounds(success_ttl=20), stale=None)
    miss = zone.ask()
    zone.upstream.says(ADDRESS)
    zone.pass_time(19)
    assert (miss.ttl, zone.ask().ttl) == (20, 20)
    zone.pass_time(1)
    assert not zone.ask().has_reply


@pytest.mark.parametrize(("policy_ttl", "shown"), [(0, 20), (7, 7)])
def test_keepttl_holds_for_stale_answers_too_unless_they_have_a_ttl_of_their_own(policy_ttl, shown):
    stale = StalePolicy(patience_seconds=0, ttl=policy_ttl)
    zone = house(keeps_ttl=True, bounds=Bounds(success_ttl=20), stale=stale)
    zone.keep(ADDRESS)
    zone.pass_time(25)
    assert zone.ask().ttl == shown


def test_a_ttl_of_0_may_be_let_through():
    zone = house(bounds=Bounds(success_min_ttl=0))
    pod = zone.ask()
    zone.upstream.says("a.example. 0 IN A 192.0.2.1")
    assert pod.ttl == 0
    assert not zone.ask().has_reply


def test_bufsize_lowers_what_clients_claim():
    zone = house(bufsize=600)
    zone.keep(*(f"a.example. 30 IN A 192.0.2.{number}" for number in range(60)))
    pod = zone.ask(use_edns=0, payload=4096)
    assert len(pod.replies[0]) <= 600
    assert pod.reply.flags & Flag.TC


# Size


def test_what_does_not_fit_is_cut_over_udp_and_whole_over_tcp():
    zone = House()
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
    zone = House()
    zone.keep(ADDRESS)
    zone.ask(**asked)
    assert (zone.ask(**asked).finished is not None) == is_fit


def test_a_name_asked_for_now_and_then_does_not_take_the_place_of_others_in_the_table():
    zone = House()
    zone.keep("a.example. 30 IN A 192.0.2.1")
    assert zone.ask().finished is None
    zone.pass_time(6)
    assert zone.ask().finished is None
    zone.pass_time(4)
    assert zone.ask().finished is not None


def test_what_the_table_answers_is_worth_keeping():
    """Its hits are told to the entry late: eviction must not take it before."""
    zone = House()
    zone.keep(ADDRESS)
    zone.ask()
    entry = zone.ask().finished.entry
    assert entry.asked == MOST_ASKED


def test_a_cut_reply_does_not_enter_the_table():
    zone = House()
    zone.keep(*(f"a.example. 30 IN A 192.0.2.{number}" for number in range(60)))
    zone.ask()
    assert zone.ask().finished is None


def test_a_finished_reply_is_good_until_its_ttl_changes():
    zone = House()
    zone.keep(ADDRESS)
    zone.pass_time(2.5)
    zone.ask()
    pod = zone.ask()
    assert pod.finished.tail == pod.replies[0][2:]
    assert pod.finished.good_until == 1003.0


# The end


def test_a_zone_that_closes_tells_those_who_wait():
    zone = House()
    pods = [zone.ask(), zone.ask("b.example. A")]
    zone.zone.close()
    assert [pod.rcode for pod in pods] == ["SERVFAIL", "SERVFAIL"]
    assert all(asked.is_cancelled for asked in zone.upstream.asked)
    assert (len(zone.room), zone.zone.in_flight, zone.udp.noted) == (0, 0, {})


def test_what_a_closed_zone_was_refreshing_the_next_one_may_refresh():
    stale = StalePolicy(patience_seconds=0)
    zone = house(stale=stale)
    zone.keep(ADDRESS)
    zone.pass_time(31)
    zone.ask()
    zone.zone.close()
    zone.ask()
    assert len(zone.upstream.asked) == 3


def test_answers_that_come_after_the_cache_was_closed_are_told_and_not_kept():
    zone = House()
    pod = zone.ask()
    budget = zone.cache.success._budget
    zone.cache.close()
    zone.upstream.says(ADDRESS)
    assert pod.has_reply
    assert (len(zone.cache), budget.used) == (0, 0)


# Names


@pytest.mark.parametrize(
    ("qname", "zones", "is_inside"),
    [
        ("a.example.", ["."], True),
        ("a.example.", ["example."], True),
        ("example.", ["example."], True),
        ("aexample.", ["example."], False),
        ("a.example.", ["other.", "a.example."], True),
        ("a.example.", [], False),
        (".", ["example."], False),
        (".", ["."], True),
        ("a.", ["b.", "."], True),
    ],
)
def test_a_name_is_within_a_zone_label_by_label(qname, zones, is_inside):
    assert is_within(name(qname), tuple(map(name, zones))) == is_inside


def test_while_upstream_is_down_new_questions_beyond_a_few_are_turned_away_at_once():
    zone = House()
    zone.upstream.down = True
    for number in range(64):
        assert not zone.ask(f"n{number}.example. A").has_reply
    assert zone.ask("one-more.example. A").rcode == "SERVFAIL"
    assert not zone.ask("n7.example. A").has_reply  # it waits with its like
    zone.upstream.down = False
    assert not zone.ask("one-more.example. A").has_reply
