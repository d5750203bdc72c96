from itertools import pairwise

from nodecache.forward import UpstreamSettings
from tests.forward.fakes import Stage

SOCKETS = 32


def ports(outgoing) -> list[str]:
    return [each.way.local for each in outgoing]


def busy(count: int, **options) -> Stage:
    """A stage that had so many queries answered, one after another."""
    stage = Stage(**options)
    for _ in range(count):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    return stage


def test_queries_leave_from_many_ports():
    stage = busy(200)
    assert len(set(ports(stage.sent()))) == SOCKETS
    assert len({ports(stage.sent())[n] for n in range(SOCKETS)}) == SOCKETS


def test_the_ports_of_neighbours_cannot_be_told():
    stage = busy(400)
    after = ports(stage.sent())[SOCKETS:]
    repeats = sum(a == b for a, b in pairwise(after))
    assert repeats < 40  # one in 32 by chance: 11


def test_no_port_lives_long():
    stage = busy(40)
    first = set(ports(stage.sent()))
    stage.world.advance(25)
    for _ in range(40):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    assert not first & set(ports(stage.sent()[40:]))


def test_a_port_is_used_a_bounded_number_of_times():
    stage = busy(20_000)
    used = ports(stage.sent())
    assert max(used.count(port) for port in set(used)) <= 512


def test_every_socket_is_closed_when_nothing_is_asked():
    stage = busy(100)
    stage.world.advance(40)
    assert all(each.way.is_closed for each in stage.sent())
    assert stage.world.is_quiet


def test_an_unproven_port_gets_one_query_while_others_serve():
    stage = busy(10)
    stage.ask()
    unproven = ports(stage.sent())[-1]
    for _ in range(60):
        stage.ask()
        if ports(stage.sent())[-1] != unproven:
            stage.answer(stage.sent()[-1:])
    assert ports(stage.sent()).count(unproven) == 1


def test_a_port_that_leads_nowhere_is_avoided_and_its_queries_sent_from_another():
    stage = busy(200)
    lost = stage.ask() and stage.sent()[-1]
    for _ in range(20):  # the others are heard meanwhile
        stage.world.advance(0.004)
        stage.ask()
        if ports(stage.sent())[-1] != lost.way.local:
            stage.answer(stage.sent()[-1:])
    stage.answer([each for each in stage.sent() if each.way is not lost.way])
    late = stage.sent()
    for _ in range(100):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    assert lost.way.local not in ports(stage.sent()[len(late) :])
    assert stage.forwarder.in_flight == 0


def test_late_answers_to_a_spent_port_still_count():
    stage = Stage(upstream=UpstreamSettings(read_timeout_seconds=20.0))
    stage.ask(seconds=30.0)
    first = stage.sent()[0]
    stage.world.advance(12)
    stage.answer([first])
    assert len(stage.outcomes) == 1
    assert stage.upstream.counts.unmatched == 0


def test_an_unreachable_network_is_a_failure_told_after_ask_returned():
    stage = Stage()

    def no_way(*_):
        raise OSError(101, "Network is unreachable")

    stage.world.open_datagram = no_way
    stage.world.machine("10.0.0.1").takes_streams = False
    stage.ask()
    stage.world.advance(5)
    (failure,) = stage.outcomes
    assert failure.reason == "dial udp 10.0.0.1:53: network is unreachable"


def test_while_no_port_is_to_be_had_those_there_are_stay_and_none_is_looked_for_with_each_query():
    """One was, for milliseconds each time, and all left from one port; old ones were closed in vain."""
    stage = busy(10)
    tried = []

    def open_datagram(*_):
        tried.append(stage.world.now)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    stage.world.open_datagram = open_datagram
    for _ in range(200):
        stage.ask()
        stage.answer(stage.sent()[-1:])
        stage.world.advance(0.1)
    later = stage.sent()[10:]
    assert len(stage.outcomes) == len(later) + 10 == 210
    assert set(ports(later)) == set(ports(stage.sent()[:10]))
    assert len(tried) <= 11
    del stage.world.open_datagram
    stage.world.advance(2)
    for _ in range(30):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    assert set(ports(stage.sent()[-30:])) - set(ports(later))


def refuse(outgoing, text: str = "Connection refused") -> None:
    outgoing.way.receiver.refused(OSError(111, text), outgoing.way.world.now)
    outgoing.way.world.settle()


def test_a_port_that_is_refused_is_closed_and_others_are_used():
    """It went on to get its share: behind a Service address it led to one pod, which was gone."""
    stage = busy(200)
    stage.ask()
    (lost,) = stage.sent()[-1:]
    refuse(lost)
    assert lost.way.is_closed
    for _ in range(100):
        stage.ask()
        stage.answer(stage.sent()[-1:])
    assert lost.way.local not in ports(stage.sent()[-100:])


def test_a_spent_port_that_is_refused_is_closed():
    """The kernel says that a host is gone after three seconds, when its queries were given up: each stayed open."""
    stage = Stage()
    for _ in range(20):
        stage.ask()
        (lost,) = stage.sent()[-1:]
        stage.world.advance(3)
        if not lost.way.is_closed:
            refuse(lost, "No route to host")
    stage.world.advance(30)
    assert all(each.way.is_closed for each in stage.sent())
