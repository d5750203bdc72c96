"""A zone whose block has directives above or below its cache."""

import pytest

from nodecache.cache import Prefetch
from nodecache.server.chain import Chain
from nodecache.server.directive import AskNext, AskServer, Client, Steps
from nodecache.server.policy import ZoneOptions
from nodecache.server.records import Record, Sections, reply_of
from nodecache.server.requery import with_question
from nodecache.wire import Answer, Query
from tests.server.zone_harness import ADDRESS, FRESH_ONLY, ZoneHarness
from tests.wire.messages import name


class Passing:
    """Lets every query pass."""

    name = "passing"

    def serve(self, query: Query, client: Client) -> Steps:
        answer = yield AskNext(query)
        return answer


@pytest.mark.parametrize("above", [[], [Passing()]], ids=["no directive above", "one above"])
def test_those_who_wait_are_noted_until_they_are_answered(above):
    zone = ZoneHarness()
    zone.zone.above = Chain(above, zone.zone.terminal()) if above else None
    zone.ask()
    zone.ask("b.example. A")
    assert len(zone.udp.noted) == 2
    zone.upstream.says(ADDRESS)
    zone.upstream.fails()
    assert zone.udp.noted == {}
    assert zone.ask().has_reply
    assert zone.udp.noted == {}


class Growing:
    """Answers at once, each time with more addresses."""

    name = "growing"
    size = 1

    def serve(self, query: Query, client: Client) -> Answer:
        self.size += 5
        addresses = [Record(query.qname, 1, 1, 30, bytes([192, 0, 2, n])) for n in range(self.size)]
        return reply_of(query, Sections(addresses), written_by=self.name)


def test_a_hit_is_told_before_directives_fetch_it_again_and_leave_no_room_for_it():
    options = ZoneOptions(stale=None, prefetch=Prefetch(amount=1, percentage=50))
    zone = ZoneHarness(options, below=[Growing()])
    first = zone.ask()
    zone.budget.limit = zone.budget.used
    zone.pass_time(16)
    pod = zone.ask()
    assert (pod.reply.answer, pod.ttl) == (first.reply.answer, 14)


class Alias:
    """Answers with what the server itself says of another name, once upstream answered."""

    name = "alias"

    def __init__(self, targets: dict[bytes, bytes]) -> None:
        self._targets = targets

    def serve(self, query: Query, client: Client) -> Steps:
        answer = yield AskNext(query)
        if query.qname in self._targets:
            yield AskServer(with_question(query, self._targets[query.qname]))
        return answer


@pytest.mark.parametrize("target", ["a.example.", "b.example."])
def test_nobody_waits_for_ever_where_aliases_lead_back(target):
    targets = {name("a.example."): name(target), name("b.example."): name("a.example.")}
    zone = ZoneHarness(FRESH_ONLY, below=[Alias(targets)])
    pods = [zone.ask("a.example. A"), zone.ask("b.example. A"), zone.ask("a.example. A")]
    while zone.upstream.open:
        zone.upstream.says(flags="QR RD RA TC")  # nothing that is kept
    assert [pod.has_reply for pod in pods] == [True, True, True]
    assert (zone.zone.in_flight, len(zone.limiter)) == (0, 0)


def test_what_many_aliases_lead_to_is_asked_once():
    targets = {name(f"{alias}.example."): name("target.example.") for alias in "abc"}
    zone = ZoneHarness(below=[Alias(targets)])
    pods = [zone.ask(f"{alias}.example. A") for alias in "abc"]
    for alias in "abc":
        zone.upstream.says(f"{alias}.example. 30 IN A 192.0.2.1")
    zone.upstream.says("target.example. 30 IN A 192.0.2.1")
    assert len(zone.upstream.asked) == 4
    assert all(pod.has_reply for pod in pods)
