"""What a zone makes of queries, of the cache, and of what comes from upstream."""

import dns.edns
import dns.flags
import pytest

from nodecache.cache import Prefetch
from nodecache.forward.failure import too_many
from nodecache.server.counts import Outcome
from nodecache.server.directive import refusal
from nodecache.wire import Flag, Rcode
from tests.server.zone_harness import ADDRESS, FRESH_ONLY, OTHER, SOA, ZoneHarness, harness
from tests.wire.messages import texts

# Misses and hits


def test_a_miss_asks_upstream_and_the_next_query_is_a_hit():
    zone = ZoneHarness()
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
    zone = ZoneHarness(FRESH_ONLY)
    zone.keep(ADDRESS)
    zone.pass_time(29.9)
    assert zone.ask().ttl == 1
    zone.pass_time(0.1)
    assert not zone.ask().has_reply


def test_a_hit_is_authoritative_and_a_miss_says_what_upstream_said():
    zone = ZoneHarness()
    miss = zone.ask()
    zone.upstream.says(ADDRESS, flags="QR RD RA")
    assert dns.flags.to_text(miss.reply.flags) == "QR RD RA"
    assert dns.flags.to_text(zone.ask().reply.flags) == "QR AA RD RA"
    zone.keep("b.example. 30 IN A 192.0.2.1", question="b.example. A", flags="QR RD")
    assert dns.flags.to_text(zone.ask("b.example. A").reply.flags) == "QR AA RD"


def test_each_client_sees_its_own_letters():
    zone = ZoneHarness()
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
    zone = ZoneHarness()
    miss = zone.ask()
    zone.upstream.says(*records, **message)
    assert miss.ttl == ttl
    zone.pass_time(1)
    assert zone.ask().ttl == ttl - 1
    kept = {"success": len(zone.cache.success), "denial": len(zone.cache.denial)}
    assert kept == {"success": 0, "denial": 0} | {kept_as: 1}


def test_an_empty_noerror_without_an_soa_is_kept_for_five_seconds():
    """As CoreDNS does: servers that never send one would be asked again by every query."""
    zone = ZoneHarness()
    zone.ask()
    zone.upstream.says()
    zone.pass_time(4.9)
    assert zone.ask().has_reply
    zone.pass_time(0.2)
    zone.ask()
    assert len(zone.upstream.open) == 1


@pytest.mark.parametrize(
    ("records", "message"),
    [
        pytest.param([], {"rcode": "NXDOMAIN"}, id="nxdomain without SOA"),
        pytest.param(["a.example. 9 IN CNAME b."], {}, id="open chain"),
        pytest.param(
            [ADDRESS, "a.example. 9 IN RRSIG A 8 2 60 1000 500 1 example. AA=="], {}, id="expired"
        ),
    ],
)
def test_what_is_not_kept_is_asked_for_again(records, message):
    zone = ZoneHarness()
    pod = zone.ask()
    zone.upstream.says(*records, **message)
    assert pod.has_reply
    assert not zone.ask().has_reply
    assert len(zone.cache) == 0


def test_an_answer_is_asked_for_again_once_its_signature_has_ended():
    """The clock of the harness stands at 2000; the signature holds until 2010, the TTL until 2300."""
    zone = harness()
    signature = "a.example. 300 IN RRSIG A 8 2 300 2010 1000 1 example. AA=="
    zone.keep("a.example. 300 IN A 192.0.2.1", signature)
    zone.pass_time(9)
    assert zone.ask().ttl == 1
    zone.pass_time(1)
    zone.ask()
    assert len(zone.upstream.asked) == 2


def test_negative_answers_are_counted_as_such():
    zone = ZoneHarness()
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
    zone = ZoneHarness()
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
    zone = ZoneHarness()
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
    zone = ZoneHarness()
    miss = zone.ask(**asked)
    zone.upstream.says(ADDRESS, flags="QR RD RA AD")
    hit = zone.ask(**asked)
    assert [bool(pod.reply.flags & Flag.AD) for pod in (miss, hit)] == [has_ad, has_ad]


def test_one_clients_ad_is_not_lost_by_another_who_did_not_ask():
    zone = ZoneHarness()
    zone.keep(ADDRESS, flags="QR RD RA AD")
    assert zone.ask(flags="RD AD").reply.flags & Flag.AD


# Equal misses


def test_equal_misses_are_one_question_upstream():
    zone = ZoneHarness()
    pods = [zone.ask(host=f"10.244.1.{number}") for number in range(50)]
    assert len(zone.upstream.asked) == 1
    assert zone.limiter.coalesced == 49
    zone.upstream.says(ADDRESS)
    assert all(len(pod.replies) == 1 for pod in pods)
    assert len(zone.limiter) == 0
    assert zone.zone.in_flight == 0


def test_each_who_waited_is_answered_in_its_own_way():
    zone = ZoneHarness()
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
    zone = ZoneHarness()
    zone.ask(flags="RD")
    zone.ask(flags="")
    zone.ask(flags="")
    assert [asked.query.flags & Flag.RD for asked in zone.upstream.asked] == [Flag.RD, 0]


def test_what_came_of_a_question_without_rd_is_nobody_elses():
    zone = ZoneHarness()
    pod = zone.ask(flags="")
    zone.upstream.says(authority=("example. 60 IN NS b.",))
    assert pod.reply.authority
    assert not zone.ask(flags="").has_reply
    zone.upstream.fails()
    assert not zone.ask().has_reply


def test_misses_are_not_joined_where_each_client_is_answered_on_its_own():
    zone = harness(joins_misses=False, uses_cache=False)
    pods = [zone.ask(), zone.ask()]
    zone.upstream.says(ADDRESS)
    zone.upstream.says(OTHER)
    assert [pod.reply.answer[0][0].address for pod in pods] == ["192.0.2.1", "192.0.2.2"]


def test_the_deadline_and_the_clients_transport_go_upstream():
    zone = harness(deadline_seconds=3.5)
    zone.ask(by="tcp")
    (asked,) = zone.upstream.asked
    assert (asked.deadline, asked.transport) == (1003.5, "tcp")


# Failures


def test_a_failure_is_a_servfail_that_says_why():
    zone = ZoneHarness()
    pod = zone.ask(use_edns=0)
    zone.upstream.fails()
    assert (pod.rcode, pod.errors) == ("SERVFAIL", [22])
    assert pod.reply.options[0].text == "nobody answers"
    assert pod.reply.flags == Flag.QR | Flag.RD | Flag.RA | Rcode.SERVFAIL


def test_what_failed_is_not_asked_again_at_once_and_for_longer_each_time():
    zone = ZoneHarness()
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
    zone = ZoneHarness(FRESH_ONLY)
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
    zone = ZoneHarness(servfail_seconds=5)
    zone.ask()
    zone.upstream.fails()
    zone.pass_time(4.9)
    assert zone.ask().rcode == "SERVFAIL"
    zone.pass_time(0.1)
    assert not zone.ask().has_reply


@pytest.mark.parametrize(
    "rcode", ["FORMERR", "SERVFAIL", "NOTIMP", "REFUSED", "NOTAUTH", "BADVERS"]
)
def test_an_upstreams_failure_is_passed_on_and_remembered(rcode: str):
    """RFC 9520 §2 and §3.2."""
    zone = ZoneHarness()
    pod = zone.ask(use_edns=0)
    zone.upstream.says(rcode=rcode, options=(dns.edns.EDEOption(6, "bogus"),))
    again = zone.ask(use_edns=0)
    assert [(each.rcode, each.errors) for each in (pod, again)] == [(rcode, [6])] * 2
    assert again.reply.flags & Flag.RA  # recursion is available: RFC 1035 §4.1.1
    assert len(zone.cache) == 0


def test_a_name_that_a_dname_makes_too_long_is_no_failure():
    """RFC 6672 §2.2: the DNAME says why, and the client hears it each time."""
    zone = ZoneHarness()
    for _ in range(2):
        pod = zone.ask()
        zone.upstream.says("example. 30 IN DNAME other.", rcode="YXDOMAIN")
        assert (pod.rcode, len(pod.reply.answer)) == ("YXDOMAIN", 1)


def test_what_a_directive_decided_is_not_remembered():
    """A name that is not in the hosts file may be in it a moment later."""
    zone = ZoneHarness()
    pod = zone.ask()
    zone.upstream.open.pop(0).done(refusal(Rcode.SERVFAIL, "the name is not in the hosts file"))
    assert pod.rcode == "SERVFAIL"
    zone.ask()
    assert len(zone.upstream.open) == 1


def test_a_refusal_for_want_of_room_upstream_is_not_remembered():
    zone = ZoneHarness()
    pod = zone.ask()
    zone.upstream.open.pop(0).done(too_many(1000))
    assert pod.rcode == "REFUSED"
    assert not zone.ask().has_reply


def test_a_failure_never_hides_an_answer_that_is_good():
    zone = harness(prefetch=Prefetch(amount=1, percentage=90))
    zone.keep(ADDRESS)
    zone.pass_time(10)
    zone.ask()
    zone.upstream.fails()
    assert zone.ask().ttl == 20


def test_a_reply_that_is_being_replaced_is_not_kept_for_others():
    zone = harness(prefetch=Prefetch(amount=3, percentage=90))
    zone.keep(ADDRESS)
    zone.ask()
    assert zone.ask().finished is not None
    zone.pass_time(4)
    assert zone.ask().finished is None  # starts the refresh
    assert zone.ask().finished is None  # while it is under way
    zone.upstream.says(ADDRESS)
    zone.ask()
    assert zone.ask().finished.entry.is_refreshing is False


def test_upstreams_extended_errors_reach_those_who_sent_an_opt():
    zone = ZoneHarness()
    pods = [zone.ask(use_edns=0), zone.ask()]
    zone.upstream.says(ADDRESS, options=(dns.edns.EDEOption(4, "forged"),))
    pods += [zone.ask(use_edns=0), zone.ask()]
    assert [pod.errors for pod in pods] == [[4], [], [4], []]


def test_other_options_of_upstream_reach_nobody():
    zone = ZoneHarness()
    pod = zone.ask(use_edns=0)
    zone.upstream.says(ADDRESS, options=(dns.edns.GenericOption(3, b"ns1"),))
    assert pod.reply.options == ()


def test_an_extended_rcode_reaches_those_who_sent_an_opt():
    zone = ZoneHarness()
    edns, plain = zone.ask(use_edns=0), zone.ask()
    zone.upstream.says(rcode="BADCOOKIE", options=())
    assert (edns.rcode, plain.rcode) == ("BADCOOKIE", "SERVFAIL")
