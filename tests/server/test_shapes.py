"""What is known of shapes and denials tells, keeps and counts what reading each query would."""

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecache.wire import AnswerReader, read_query
from tests.server.twins import ANSWERS, COREFILE, ODD, PODS, asked, twins
from tests.wire.messages import query, response

POD = PODS[0]
FIRST = asked("x.example.", "A", "RD", 0, wants_dnssec=False)


def opened(**kwargs):
    """Twins, one of which knows the shape of names right below `example.`."""
    pair = twins(**kwargs)
    pair.do("ask", FIRST, POD)
    pair.do("answer", 0, "address")
    return pair


def plain_question(qname: str = "a.example.", flags: str = "RD") -> bytes:
    return asked(qname, "A", flags, 0, wants_dnssec=False)


def test_a_second_name_of_a_shape_is_known_by_its_octets():
    shapes = opened().knowing.handler.zones.shapes
    shape = shapes.of_packet(plain_question())
    assert shape is shapes.of_packet(plain_question("longer.example."))
    assert shapes.of_packet(plain_question("a.other.")) is None
    assert shapes.of_packet(plain_question(flags="RD CD")) is None
    assert shape.query(plain_question()).key == read_query(plain_question()).key


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(query("b.eXample. A"), id="random case"),
        pytest.param(
            query("b.example. A", options=[dns.edns.GenericOption(10, b"cookie01")]), id="cookie"
        ),
        pytest.param(query("b.example. A")[:-1], id="cut"),
        pytest.param(query("b.example. A") + b"\0", id="trailing octet"),
        pytest.param(query(". A"), id="root"),
        pytest.param(query("id.server. CH TXT"), id="the keeper's probe"),
    ],
)
def test_what_others_will_not_repeat_is_not_known_by_its_octets(packet):
    twin = opened().knowing
    twin.ask(packet, POD)
    assert twin.handler.zones.shapes.of_packet(packet) is None


def test_letter_case_and_options_make_no_other_shape():
    twin = opened().knowing
    for qname in ("b.eXample. A", "c.exAmple. A"):
        twin.ask(query(qname), POD)
    for cookie in (b"cookie01", b"cookie02"):
        twin.ask(query("d.example. A", options=[dns.edns.GenericOption(10, cookie)]), POD)
    shapes = twin.handler.zones.shapes
    assert len({id(shape) for shape in shapes}) == 2  # with an OPT, and without


def test_shapes_are_bounded():
    twin = opened().knowing
    for number in range(5000):
        twin.handler.zones.shape_of(read_query(query(f"a.n{number}.example. A")))
    assert 0 < len(twin.handler.zones.shapes) <= 2 * 2048


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
    assert pair.knowing.open[0].transport == "UDP"
    pair.do("answer", 0, what)
    pair.do("pass_time", 0.2)
    pair.do("answer", 0, "address")


@pytest.mark.parametrize("what", ["address", "nxdomain", "servfail"])
def test_an_equal_question_joins(what: str):
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("ask", plain_question(), PODS[1])
    pair.do("ask", plain_question(), PODS[2], "tcp")
    assert len(pair.knowing.open) == 1
    pair.do("answer", 0, what)
    assert pair.knowing.limiter.coalesced == 2


def test_a_query_that_is_not_answered_at_once_is_asked_again():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("pass_time", 0.5)
    assert len(pair.knowing.open) > 1
    pair.do("answer", 0, "address")
    pair.do("answer", 0, "nxdomain")


def test_a_query_that_nobody_answers_ends():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("pass_time", 10.0)
    assert pair.knowing.ways["udp"].sent[-1][1][3] & 15 == 2


def test_a_connection_that_ends_costs_no_query():
    pair = opened()
    for n in range(3):
        pair.do("ask", plain_question(f"a{n}.example."), POD)
    pair.do("hang_up")
    for _ in range(3):
        pair.do("answer", 0, "address")
    assert len(pair.knowing.ways["udp"].sent) == 4


def test_a_zone_that_closes_tells_those_who_wait():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    for twin in pair.both:
        twin.zone.close()
    assert pair.knowing.state() == pair.forgetful.state()
    assert pair.knowing.ways["udp"].noted == set()


def test_a_popular_name_is_fetched_again_before_its_end():
    pair = opened()
    for _ in range(11):
        pair.do("ask", FIRST, POD)
        pair.do("pass_time", 2.6)
    pair.do("ask", FIRST, POD)
    assert len(pair.knowing.open) == 1
    for twin in pair.both:
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
    assert pair.knowing.open == []


def test_an_rcode_that_sends_elsewhere_is_not_the_last_word():
    two = COREFILE.replace("10.0.0.53", "10.0.0.53 10.0.0.54")
    pair = opened(
        corefile=two.replace("force_tcp", "force_tcp\npolicy sequential\nfailover NXDOMAIN")
    )
    pair.do("ask", plain_question(), POD)
    pair.do("answer", 0, "nxdomain")
    pair.do("answer", 0, "address")
    assert pair.knowing.state()["forward"][0]["failed_over"] == 1


@pytest.mark.parametrize("what", ["none", "alias of none"])
def test_an_answer_of_no_life_is_told_and_not_kept(what: str):
    pair = opened(corefile=COREFILE.replace("success 1", "success 1 3600 0"))
    pair.do("ask", plain_question(), POD)
    pair.do("answer", 0, what)
    assert len(pair.knowing.zone.cache) == 1


def test_an_answer_that_came_another_way_meanwhile_is_replaced():
    pair = opened()
    pair.do("ask", plain_question(), POD)
    pair.do("keep", "a.example.")
    pair.do("pass_time", 0.001)
    pair.do("answer", 0, "address")
    assert len(pair.knowing.zone.cache) == 2


@pytest.mark.parametrize("size", [1, 9, 10, 63, 64, 191, 192])
def test_a_first_label_of_any_size_comes_to_the_same(size: int):
    """The rest of the name has 245 octets: with a label of more than 9 it is too long."""
    head, parent = FIRST[:12], 4 * (b"\x3c" + b"p" * 60) + b"\0\0\1\0\1"
    pair = twins()
    pair.do("ask", head + b"\1x" + parent, POD)
    pair.do("ask", head + bytes([size]) + size * b"y" + parent, POD)
    assert len(pair.knowing.open) == (2 if size <= 9 else 1)


@pytest.mark.parametrize(
    "what", ["nxdomain", "nodata", "written out", "long tail", "denial with opt"]
)
def test_a_denial_that_was_read_for_one_name_is_known_for_others(what: str):
    pair = twins()
    for qname in ("x.example.", "a.example.", "b.example.", f"{'l' * 60}.example."):
        pair.do("ask", plain_question(qname), POD)
        pair.do("answer", 0, what)
    reader = pair.knowing.handler.zones.shapes.of_packet(FIRST).reader
    assert reader.known == 1 + (what not in ("written out", "long tail"))
    assert len(pair.knowing.zone.cache) == 4


def test_few_denials_are_known_at_once():
    """There is a reader for each of 2,048 shapes at an address; with 16 denials each they took 18 MB."""
    reader = AnswerReader()
    for ttl in range(15):
        soa = f"example. {ttl} IN SOA ns.example. root.example. 1 7200 1800 86400 17"
        reader.read(response("x.example. A", authority=(soa,), rcode="NXDOMAIN"), len(FIRST))
        assert 0 < reader.known <= 4


@pytest.mark.parametrize("target", [11, 12, 13, 14, 15, 16])
def test_a_pointer_into_another_name_s_first_label_is_read_anew(target: int):
    """At 13 stand the label's own octets: for the first name they are a label, too."""
    pair = opened()
    soa = bytes((0xC0, target)) + b"\0\6\0\1\0\0\0\x1e\0\x16\0\0" + bytes(16) + b"\0\0\0\x11"
    for label in (b"a\0", b"\1a", b"\1b", b"\2a", b"zz", b"zzz"):
        packet = FIRST[:12] + bytes([len(label)]) + label + FIRST[14:]
        pair.do("ask", packet, POD)
        for twin in pair.both:
            outgoing = twin.open.pop()
            head = outgoing.packet[:2] + b"\x85\x83\0\1\0\0\0\1\0\0"
            outgoing.answer(head + outgoing.packet[12:] + soa)
            twin.settle()
        assert pair.knowing.state() == pair.forgetful.state()
        pair.knowing.open.clear()
        pair.forgetful.open.clear()
    reader = pair.knowing.handler.zones.shapes.of_packet(FIRST).reader
    assert bool(reader.known) == (target in (12, 15, 16))


def test_a_room_that_is_full_turns_away():
    pair = opened()
    for twin in pair.both:
        twin.limiter.resize(2, 2)
    for n in range(4):
        pair.do("ask", plain_question(f"a{n}.example."), POD)
    assert len(pair.knowing.ways["udp"].sent) == 3


def test_a_fault_of_ours_costs_one_query_its_answer(caplog: pytest.LogCaptureFixture):
    twin = opened().knowing
    twin.ask(plain_question(), POD)
    twin.ask(plain_question("b.example."), POD)
    twin.ways["udp"].send, send = _refuse, twin.ways["udp"].send
    twin.answer(0, "address")
    twin.ways["udp"].send = send
    twin.answer(0, "address")
    assert "could not be passed on" in caplog.text
    assert len(twin.ways["udp"].sent) == 2


def _refuse(*_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("rdtype", ["A", "DS"])
def test_a_name_that_has_a_block_of_its_own_is_not_taken_for_its_neighbour(rdtype: str):
    pair = twins(more_names=("b.example.", "a.b.example."))
    for qname in ("a.example.", "b.example.", "B.example.", "c.example.", "a.b.example."):
        pair.do("ask", asked(qname, rdtype, "RD", 0, wants_dnssec=False), POD)
    zones = pair.knowing.handler.zones
    for qname in ("a.example.", "b.example.", "c.example.", "a.b.example.", "b.b.example."):
        packet = asked(qname, rdtype, "RD", 0, wants_dnssec=False)
        shape = zones.shapes.of_packet(packet) or zones.shape_of(read_query(packet))
        assert shape.binding is zones.match(read_query(packet))


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
def test_whatever_happens_both_come_to_the_same(steps):
    pair = opened()
    for step in steps:
        pair.do(*step)
    for way in pair.knowing.ways.values():
        for _, reply in way.sent:
            message = dns.message.from_wire(reply)
            assert message.flags & dns.flags.QR
            assert len(message.question) == 1
