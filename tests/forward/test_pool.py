from dataclasses import replace

import pytest

from nodecache.forward import Endpoint, Failure, Settings, UpstreamRegistry, UpstreamSettings
from nodecache.forward.transport.pending import MAX_PENDING
from nodecache.forward.transport.stream import StreamConnection
from nodecache.wire import framed
from tests.forward.fakes import Stage, empty_response
from tests.scenarios.simulated import Outgoing, SimulatedWorld

TCP = UpstreamSettings(force_tcp=True)


def connections(stage: Stage) -> int:
    return sum(stream.is_open for stream in stage.world.machine("10.0.0.1").streams)


def quick(stage: Stage) -> Stage:
    """A stage whose upstream is known to answer at once."""
    for _ in range(1500):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    return stage


def test_queries_of_one_loop_turn_leave_in_one_write():
    stage = quick(Stage(upstream=TCP))
    writes = []
    stream = stage.sent()[-1].way
    stream.write = writes.append
    stage.world.settle = lambda: None
    for _ in range(50):
        stage.ask()
    del stage.world.settle
    stage.world.settle()
    assert len(writes) == 1


def test_one_connection_is_enough_for_a_quick_upstream():
    stage = quick(Stage(upstream=TCP))
    for _ in range(20):
        for _ in range(50):
            stage.ask()
        stage.answer(stage.sent()[-50:])
    assert connections(stage) == 1


def test_another_connection_helps_when_the_oldest_query_waits():
    stage = quick(Stage(upstream=TCP))
    stage.ask()
    stage.world.advance(0.015)
    stage.ask()
    assert connections(stage) == 2
    stage.ask()
    ways = [each.way for each in stage.sent()[-2:]]
    assert ways[0] is not ways[1]


def test_a_query_that_finds_no_other_connection_leaves_the_choice_of_the_next_ones():
    stage = quick(Stage(upstream=TCP))
    stage.world.settle = lambda: None  # the loop's turn does not end
    stage.ask()
    connections = stage.upstream.streams._connections
    chosen = connections._chosen
    assert chosen is not None
    assert connections.other_than(chosen, stage.world.now) is None
    assert connections._chosen is chosen


def test_no_more_connections_are_opened_than_allowed():
    stage = Stage(upstream=replace(TCP, may_exceed_pool=False))
    for _ in range(60):
        stage.ask()
        stage.world.advance(0.001)
    assert connections(stage) == 4


def test_a_server_that_says_nothing_gets_few_connections():
    stage = Stage(upstream=TCP)
    for _ in range(60):
        stage.ask()
        stage.world.advance(0.001)
    assert connections(stage) == 4


def test_upstreams_over_https_get_no_more_connections_than_in_ordinary_times():
    """HTTP/2 answers in any order, so that one more would be of no help."""
    world = SimulatedWorld()
    upstreams = UpstreamRegistry(world)
    over_https = Endpoint("10.0.0.1", 443, "https", http_method="POST")
    pool = upstreams.acquire(over_https, TCP).streams
    connection = StreamConnection(pool, world.now)
    connection.answered = 2
    assert pool._capacity.may_grow([connection] * 3)
    assert not pool._capacity.may_grow([connection] * 4)


def test_a_server_that_answers_in_order_gets_sixteen_connections_and_no_more():
    """Each may hold a part of a large answer, which nothing else bounds."""
    world = SimulatedWorld()
    upstreams = UpstreamRegistry(world)
    pool = upstreams.acquire(Endpoint("10.0.0.1", 53, "dns"), TCP).streams
    connection = StreamConnection(pool, world.now)
    connection.answered = 2
    assert pool._capacity.may_grow([connection] * 15)
    assert not pool._capacity.may_grow([connection] * 16)


def test_a_server_that_answers_in_order_one_at_a_time_gets_the_connections_it_takes():
    """CoreDNS does, on each connection: 100 queries a second of 50 ms each keep five busy."""
    stage, seconds = Stage(settings=Settings(upstream=TCP, hedges=False)), 0.05
    free_at: dict[object, float] = {}
    owed: list[tuple[float, Outgoing]] = []
    seen, waits = 0, []
    for number in range(3_000):
        if number % 10 == 0:
            stage.ask()
        sent = stage.sent()
        for each in sent[seen:]:
            free_at[each.way] = max(free_at.get(each.way, 0.0), stage.world.now) + seconds
            owed.append((free_at[each.way], each))
            waits.append(free_at[each.way] - stage.world.now)
        seen = len(sent)
        stage.answer([each for at, each in owed if at <= stage.world.now])
        owed = [(at, each) for at, each in owed if at > stage.world.now]
        stage.world.advance(0.001)
    assert 5 < connections(stage) < 20
    assert max(waits[-100:]) < 3 * seconds


@pytest.mark.parametrize(("seconds", "per_second"), [(0.1, 200), (0.3, 100), (0.3, 300)])
def test_a_server_that_takes_long_with_one_query_after_the_other_costs_no_answer(
    seconds, per_second
):
    """CoreDNS again, asked for names that it has to ask for itself."""
    stage = Stage(upstream=TCP)
    free_at: dict[object, float] = {}
    owed: list[tuple[float, Outgoing]] = []
    seen = asked = 0
    for milliseconds in range(6_000):
        while asked < milliseconds / 1000 * per_second:
            asked += 1
            stage.ask(seconds=2.0)
        for each in stage.sent()[seen:]:
            seen += 1
            free_at[each.way] = max(free_at.get(each.way, 0.0), stage.world.now) + seconds
            owed.append((free_at[each.way], each))
        stage.answer([each for at, each in owed if at <= stage.world.now])
        owed = [(at, each) for at, each in owed if at > stage.world.now]
        stage.world.advance(0.001)
    assert not [outcome for outcome in stage.outcomes if isinstance(outcome, Failure)]
    assert asked - len(stage.outcomes) <= 1.1 * seconds * per_second
    assert connections(stage) <= 128


def test_a_server_that_takes_long_with_all_queries_at_once_gets_no_more_connections():
    stage = Stage(upstream=TCP)
    answered = 0
    for _ in range(3_000):
        stage.ask(seconds=2.0)
        due = [each for each in stage.sent()[answered:] if each.at + 0.3 <= stage.world.now]
        answered += len(due)
        stage.answer(due)
        stage.world.advance(0.001)
    assert not [outcome for outcome in stage.outcomes if isinstance(outcome, Failure)]
    assert connections(stage) <= 16


@pytest.mark.parametrize("octets_at_once", [10, 1000])
def test_an_answer_that_comes_bit_by_bit_does_not_tell_of_one_at_a_time(octets_at_once):
    """It is large, and long on its way: more connections would hold more parts of such."""
    stage = Stage(settings=Settings(upstream=TCP, hedges=False))
    for _ in range(8):
        stage.ask()
    way = stage.sent()[0].way
    for outgoing in [each for each in stage.sent() if each.way is way]:
        octets = framed(empty_response(outgoing.packet))
        stage.world.advance(0.03)
        way.receiver.received(octets[:octets_at_once], stage.world.now)
        stage.world.advance(0.03)
        way.receiver.received(octets[octets_at_once:], stage.world.now)
    is_whole = octets_at_once == 1000
    assert stage.upstream.streams._capacity.answer_order.is_one_at_a_time == is_whole


def test_a_connection_that_hangs_does_not_teach_that_a_server_takes_one_query():
    """Behind a Service address it is another pod that answers what this one was asked."""
    stage = Stage(upstream=TCP)
    stage.ask()
    (first,) = stage.sent()
    stage.answer([first])
    stage.world.settle = lambda: None
    for _ in range(3):
        stage.ask()
    del stage.world.settle
    stage.world.settle()
    answered = 1
    for _ in range(60):
        stage.world.advance(0.05)
        elsewhere = [each for each in stage.sent()[answered:] if each.way is not first.way]
        answered = len(stage.sent())
        stage.answer(elsewhere)
    assert len(stage.outcomes) == 4
    assert stage.upstream.streams.query_limit.queries == 0


@pytest.mark.parametrize(("is_limited", "most"), [(True, 64), (False, 1)])
def test_to_a_server_that_takes_one_query_on_each_as_many_are_opened_at_once_as_wait(
    is_limited, most
):
    """With eight at once, 80 queries a second were the most where a TLS handshake takes 100 ms."""
    stage = Stage(upstream=TCP)
    if is_limited:
        for second in range(2):
            at = stage.world.now + second
            stage.upstream.streams.query_limit.closed_with_pending(1, 2, at, at)
        stage.world.advance(2)
    stage.world.machine("10.0.0.1").mood = "dead"
    for _ in range(100):
        stage.ask()
    assert len(stage.world.machine("10.0.0.1").streams) == most


@pytest.mark.parametrize(
    ("octets", "told"),
    [(0, "EOF"), (1, "unexpected EOF"), (2, "EOF"), (3, "unexpected EOF"), (29, "unexpected EOF")],
)
def test_the_end_of_a_connection_is_told_in_gos_words(octets, told):
    stage = Stage(upstream=TCP)
    stage.ask()
    for _ in range(60):
        for outgoing in stage.sent()[-1:]:
            outgoing.way.deliver_octets(framed(empty_response(outgoing.packet))[:octets])
            outgoing.way.end(None)
        stage.world.advance(0.1)
    assert [outcome.reason for outcome in stage.outcomes] == [told]


def test_a_reset_is_told_with_both_ends():
    """The socket is gone by then, and our end with it: `read tcp ->10.0.0.1:53`."""
    stage = Stage(upstream=TCP)
    stage.ask()
    for _ in range(60):
        stage.sent()[-1].way.end(ConnectionResetError(104, "Connection reset by peer"))
        stage.world.advance(0.1)
    (failure,) = stage.outcomes
    assert failure.reason.startswith("read tcp 10.0.0.1:400")
    assert failure.reason.endswith("->10.0.0.1:53: read: connection reset by peer")


def test_a_slow_upstreams_queries_are_spread_over_its_connections():
    stage = Stage(settings=Settings(upstream=TCP, hedges=False))
    for _ in range(80):
        stage.ask()
        stage.world.advance(0.002)
        stage.answer(stage.sent()[-15:-14])  # each takes about 30 ms
    loads = {}
    for each in stage.sent()[-20:]:
        loads[each.way] = loads.get(each.way, 0) + 1
    assert len(loads) > 1
    assert max(loads.values()) <= 10


def test_idle_connections_beyond_max_idle_conns_are_closed():
    settings = UpstreamSettings(force_tcp=True, max_idle_connections=1)
    stage = Stage(settings=Settings(upstream=settings, hedges=False))
    for _ in range(4):
        stage.ask()
        stage.world.advance(0.012)
    assert connections(stage) > 1
    stage.answer(stage.sent())
    stage.world.advance(1.1)
    assert connections(stage) == 1


def test_what_waits_for_a_connection_is_bounded():
    stage = Stage(upstream=TCP)
    stage.world.machine("10.0.0.1").mood = "dead"
    for _ in range(MAX_PENDING + 10):
        stage.ask()
    assert stage.upstream.in_flight == MAX_PENDING
    stage.world.advance(6)
    assert len(stage.outcomes) == MAX_PENDING + 10


def test_a_cancelled_query_never_leaves():
    stage = Stage(upstream=TCP)
    stage.world.machine("10.0.0.1").mood = "dead"
    ask = stage.ask()
    ask.cancel()
    stage.world.machine("10.0.0.1").mood = "alive"
    stage.world.advance(1)
    assert stage.sent() == []


@pytest.mark.parametrize("error", [None, ConnectionResetError(104, "Connection reset by peer")])
def test_an_idle_connections_end_is_nobodys_fault(error):
    stage = Stage(upstream=TCP)
    stage.ask()
    stage.answer(stage.sent())
    stage.sent()[0].way.end(error)
    assert stage.upstream.health.is_good
    assert stage.upstream.counts.connections_lost == 0
    stage.ask()
    stage.answer(stage.sent()[-1:])
    assert len(stage.outcomes) == 2


def test_hits_and_misses_of_connections_are_counted():
    stage = Stage(upstream=TCP)
    stage.ask()
    stage.answer(stage.sent())
    for _ in range(3):
        stage.ask()
    assert stage.upstream.counts.conn_misses["tcp"] == 1
    assert stage.upstream.counts.conn_hits["tcp"] == 3


def test_a_query_that_no_connection_came_for_is_neither_hit_nor_miss():
    stage = Stage(upstream=TCP)
    stage.world.machine("10.0.0.1").mood = "dead"
    stage.ask()
    stage.world.advance(10)
    assert stage.upstream.counts.conn_misses["tcp"] == 0
    assert stage.upstream.counts.conn_hits["tcp"] == 0


def test_answers_are_timed_by_rcode():
    stage = Stage(upstream=TCP)
    stage.ask()
    stage.world.advance(0.003)
    stage.answer(stage.sent())
    stage.ask()
    stage.answer(stage.sent()[-1:], rcode=3)
    durations = stage.upstream.counts.duration_by_rcode
    assert durations["NOERROR"].count == 1
    assert durations["NOERROR"].sum == pytest.approx(0.003)
    assert durations["NXDOMAIN"].count == 1


def test_extra_queries_stay_within_five_in_a_hundred():
    stage = Stage(upstream=TCP)
    for _ in range(4000):
        stage.ask()
        stage.world.advance(0.0005)
        stage.answer(
            stage.sent()[-101:-100]
        )  # every one takes 50 ms, and none can be told from a slow one
    counts = stage.forwarder.counts
    assert counts.hedged <= 0.05 * 4000 + 25


def test_a_connection_with_more_answers_than_queries_is_given_up():
    stage = Stage(upstream=TCP)
    stage.ask()
    (sent,) = stage.sent()
    junk = framed(b"\xff" * 40)
    sent.way.deliver_octets(junk)
    assert sent.way.is_open
    sent.way.deliver_octets(junk * 50)
    assert not sent.way.is_open
    assert len(stage.sent()) == 2  # asked again, elsewhere


def test_an_old_connection_that_owes_an_answer_is_replaced_once():
    """One more was opened each second for as long as it owed one."""
    stage = Stage(upstream=replace(TCP, max_age_seconds=4.0, read_timeout_seconds=8.0))
    stage.ask().cancel()
    stage.world.advance(7)
    assert stage.upstream.counts.connections_opened == 2
