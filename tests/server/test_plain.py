"""The plain way tells, keeps and counts what the general way would."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecache.server.plain import PlainMiss
from tests.server.twins import ANSWERS, COREFILE, ODD, PODS, asked, twins

POD = PODS[0]
FIRST = asked("x.example.", "A", "RD", 0, wants_dnssec=False)


def opened(**kwargs):
    """Twins that know the family of names right below `example.`."""
    pair = twins(**kwargs)
    pair.do("ask", FIRST, POD)
    pair.do("answer", 0, "address")
    return pair


def plain_question(qname: str = "a.example.", flags: str = "RD") -> bytes:
    return asked(qname, "A", flags, 0, wants_dnssec=False)


def test_a_second_name_of_a_family_goes_the_plain_way():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    (under_way,) = pair.plain.zone._flights.values()
    assert isinstance(under_way, PlainMiss)
    assert not isinstance(next(iter(pair.general.zone._flights.values())), PlainMiss)


@pytest.mark.parametrize("what", [*ANSWERS, *ODD])
@pytest.mark.parametrize("payload", [0, 512, 1232])
def test_an_answer_of_any_kind_comes_to_the_same(what: str, payload: int):
    pair = twins()
    for qname in ("x.example.", "a.example.", "a.example."):
        pair.do("ask", asked(qname, "A", "RD", payload, wants_dnssec=False), POD)
        pair.do("answer", 0, what)
    pair.do("pass_time", 6.0)
    pair.do("ask", asked("a.example.", "A", "RD", payload, wants_dnssec=False), POD)


@pytest.mark.parametrize(
    "what", ["address", "alias", "nxdomain", "servfail", "truncated", "garbage"]
)
def test_an_answer_by_udp_comes_to_the_same(what: str):
    pair = opened(corefile=COREFILE.replace("force_tcp", "prefer_udp"))
    pair.do("ask", plain_question(), POD)
    assert pair.plain.open[0].transport == "UDP"
    pair.do("answer", 0, what)
    pair.do("pass_time", 0.2)
    pair.do("answer", 0, "address")


@pytest.mark.parametrize("what", ["address", "nxdomain", "servfail"])
def test_an_equal_question_joins(what: str):
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("ask", plain_question(), PODS[1])
    pair.do("ask", plain_question(), PODS[2], "tcp")
    assert len(pair.plain.open) == 1
    pair.do("answer", 0, what)
    assert pair.plain.zone.coalesced == 2


def test_a_query_that_is_not_answered_at_once_is_asked_again():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("pass_time", 0.5)
    assert len(pair.plain.open) > 1
    pair.do("answer", 0, "address")
    pair.do("answer", 0, "nxdomain")


def test_a_query_that_nobody_answers_ends():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("pass_time", 10.0)
    assert pair.plain.ways["udp"].sent[-1][1][3] & 15 == 2


def test_a_connection_that_ends_costs_no_query():
    pair = opened()
    for n in range(3):
        pair.do("ask", plain_question(f"a{n}.example."), POD)
    pair.do("hang_up")
    for _ in range(3):
        pair.do("answer", 0, "address")
    assert len(pair.plain.ways["udp"].sent) == 4


def test_a_zone_that_closes_tells_those_who_wait():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    for twin in (pair.plain, pair.general):
        twin.zone.close()
    assert pair.plain.state() == pair.general.state()
    assert pair.plain.ways["udp"].noted == set()


def test_a_popular_name_is_fetched_again_before_its_end():
    pair = opened()
    for _ in range(11):
        pair.do("ask", FIRST, POD)
        pair.do("pass_time", 2.6)
    pair.do("ask", FIRST, POD)
    assert len(pair.plain.open) == 1
    for twin in (pair.plain, pair.general):
        (entry,) = twin.zone.cache.success.entries()
        entry.hits = 0  # as after a pause: it is no longer due, and a better one is on its way
    pair.do("ask", FIRST, POD)


def test_a_question_that_failed_is_left_alone_though_its_upstream_is_well():
    pair = opened()
    for qname in ("a.example.", "b.example."):
        pair.do("ask", plain_question(qname), POD)
    pair.do("answer", 0, "servfail")
    pair.do("answer", 0, "address")
    pair.do("ask", plain_question(), POD)
    assert pair.plain.open == []


def test_an_rcode_that_sends_elsewhere_is_not_the_last_word():
    two = COREFILE.replace("10.0.0.53", "10.0.0.53 10.0.0.54")
    pair = opened(
        corefile=two.replace("force_tcp", "force_tcp\npolicy sequential\nfailover NXDOMAIN")
    )
    pair.do("ask", plain_question(), POD)
    pair.do("answer", 0, "nxdomain")
    pair.do("answer", 0, "address")
    assert pair.plain.state()["forward"][0]["failed_over"] == 1


@pytest.mark.parametrize("what", ["none", "alias of none"])
def test_an_answer_of_no_life_is_told_and_not_kept(what: str):
    pair = opened(corefile=COREFILE.replace("success 1", "success 1 3600 0"))
    pair.do("ask", plain_question(), POD)
    pair.do("answer", 0, what)
    assert len(pair.plain.zone.cache) == 1


def test_an_answer_that_came_another_way_meanwhile_is_replaced():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("keep", "a.example.")
    pair.do("pass_time", 0.001)
    pair.do("answer", 0, "address")
    assert len(pair.plain.zone.cache) == 2


@pytest.mark.parametrize("size", [1, 9, 10, 63, 64, 191, 192])
def test_a_first_label_of_any_size_comes_to_the_same(size: int):
    """The rest of the name has 245 octets: with a label of more than 9 it is too long."""
    head, parent = FIRST[:12], 4 * (b"\x3c" + b"p" * 60) + b"\0\0\1\0\1"
    pair = twins()
    pair.do("ask", head + b"\1x" + parent, POD)
    pair.do("ask", head + bytes([size]) + size * b"y" + parent, POD)
    assert len(pair.plain.open) == (2 if size <= 9 else 1)


@pytest.mark.parametrize(
    "what", ["nxdomain", "nodata", "written out", "long tail", "denial with opt"]
)
def test_a_denial_that_was_read_for_one_name_is_known_for_others(what: str):
    pair = twins()
    for qname in ("x.example.", "a.example.", "b.example.", f"{'l' * 60}.example."):
        pair.do("ask", plain_question(qname), POD)
        pair.do("answer", 0, what)
    (family,) = pair.plain.handler.zones.families.values()
    assert len(family._denials) == 1 + (what not in ("written out", "long tail"))
    assert len(pair.plain.zone.cache) == 4


@pytest.mark.parametrize("target", [11, 12, 13, 14, 15, 16])
def test_a_pointer_into_another_name_s_first_label_is_read_anew(target: int):
    """At 13 stand the label's own octets: for the first name they are a label, too."""
    pair = opened()
    soa = bytes((0xC0, target)) + b"\0\6\0\1\0\0\0\x1e\0\x16\0\0" + bytes(16) + b"\0\0\0\x11"
    for label in (b"a\0", b"\1a", b"\1b", b"\2a", b"zz", b"zzz"):
        packet = FIRST[:12] + bytes([len(label)]) + label + FIRST[14:]
        pair.do("ask", packet, POD)
        for twin in (pair.plain, pair.general):
            outgoing = twin.open.pop()
            head = outgoing.packet[:2] + b"\x85\x83\0\1\0\0\0\1\0\0"
            outgoing.answer(head + outgoing.packet[12:] + soa)
            twin.settle()
        assert pair.plain.state() == pair.general.state()
        pair.plain.open.clear()
        pair.general.open.clear()
    (family,) = pair.plain.handler.zones.families.values()
    assert bool(family._denials) == (target in (12, 15, 16))


def test_a_room_that_is_full_turns_away():
    pair = opened()
    for twin in (pair.plain, pair.general):
        twin.room.resize(2, 2)
    for n in range(4):
        pair.do("ask", plain_question(f"a{n}.example."), POD)
    assert len(pair.plain.ways["udp"].sent) == 3


def test_a_fault_of_ours_costs_one_query_its_answer(caplog: pytest.LogCaptureFixture):
    twin = opened().plain
    twin.ask(plain_question(), POD)
    twin.ask(plain_question("b.example."), POD)
    twin.ways["udp"].send, send = _refuse, twin.ways["udp"].send
    twin.answer(0, "address")
    twin.ways["udp"].send = send
    twin.answer(0, "address")
    assert "could not be told" in caplog.text
    assert len(twin.ways["udp"].sent) == 2


def test_a_fault_in_reading_leaves_the_answer_to_the_general_way(caplog: pytest.LogCaptureFixture):
    twin = opened().plain
    twin.ask(plain_question(), POD)
    (family,) = twin.handler.zones.families.values()
    family.shape = None
    twin.answer(0, "address")
    assert "could not be told" in caplog.text
    assert len(twin.ways["udp"].sent) == 2
    assert twin.zone.in_flight == 0


def _refuse(*_: object) -> None:
    raise ZeroDivisionError


def test_a_name_that_has_a_block_of_its_own_is_in_no_family():
    pair = twins()
    zones = pair.plain.handler.zones
    zones._have_zones.add(FIRST[14:-4])
    pair.plain.ask(FIRST, POD)
    assert zones.families == {}


NAMES = (
    "x.example.",
    "a.example.",
    "longer.example.",
    "b.example.",
    "c.example.",
    "A.example.",
    "a.b.example.",
)
FLAGS = ("RD", "RD CD", "RD AD", "", "CD")
asks = st.tuples(
    st.just("ask"),
    st.builds(
        asked,
        st.sampled_from(NAMES),
        st.sampled_from(("A", "A", "A", "AAAA", "MX")),
        st.sampled_from(("RD", "RD", *FLAGS)),
        st.sampled_from((0, 0, 512, 1232)),
        wants_dnssec=st.booleans(),
    ),
    st.sampled_from(PODS),
    st.sampled_from(("udp", "udp", "udp", "tcp")),
)
answers = st.tuples(
    st.just("answer"), st.integers(0, 5), st.sampled_from(("address", "address", *ANSWERS, *ODD))
)
waits = st.tuples(st.just("pass_time"), st.sampled_from((0.01, 0.05, 1.0, 4.0, 31.0)))
ends = st.tuples(st.just("hang_up"))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(asks, asks, answers, answers, waits, ends), max_size=25))
def test_whatever_happens_both_ways_come_to_the_same(steps):
    pair = opened()
    for step in steps:
        pair.do(*step)
