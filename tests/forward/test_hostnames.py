from collections.abc import Callable

import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from nodecache.forward import (
    Destinations,
    Endpoint,
    Forwarder,
    HostName,
    HostNames,
    Settings,
    UpstreamRegistry,
)
from nodecache.forward.probe import probe_query
from nodecache.wire import Flag, Rdtype, read_query
from tests.scenarios.simulated import SimulatedWorld

RESOLVER = Endpoint("10.0.0.53")


class Resolver:
    """A simulated resolver for host names; `records` by type."""

    def __init__(self) -> None:
        self.world = SimulatedWorld()
        self.upstreams = UpstreamRegistry(self.world)
        self.records: dict[str, list[str]] = {}
        self.changes = 0
        self.names = self.make_names(self._changed)
        self._answered = 0

    def make_names(self, changed: Callable[[], None]) -> HostNames:
        forwarder = Forwarder(Settings(), self.upstreams, Destinations([RESOLVER]))
        return HostNames(forwarder, changed, self.upstreams.last_found)

    def _changed(self) -> None:
        self.changes += 1

    def answer(self, rcode: str = "NOERROR", ttl: int = 30) -> int:
        """Answer all that was asked; how many questions that were."""
        self.world.settle()
        sent = self.world.sent[self._answered :]
        asked = [outgoing for outgoing in sent if outgoing.endpoint == RESOLVER]
        self._answered = len(self.world.sent)
        for outgoing in asked:
            query = dns.message.from_wire(outgoing.packet)
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.from_text(rcode))
            question = query.question[0]
            rdtype = dns.rdatatype.to_text(question.rdtype)
            for address in self.records.get(rdtype, []):
                rrset = dns.rrset.from_text(question.name, ttl, "IN", rdtype, address)
                response.answer.append(rrset)
            outgoing.answer(response.to_wire())
        return len(asked)


def resolver_that_told(ttl: int) -> Resolver:
    """A resolver that was asked for the name, and has told one address of it."""
    resolver = Resolver()
    resolver.records = {"A": ["192.0.2.1"]}
    resolver.names.addresses("dns.example")
    resolver.answer(ttl=ttl)
    return resolver


def test_a_name_has_no_addresses_before_the_first_answer():
    resolver = Resolver()
    assert resolver.names.addresses("dns.example") == ()


def test_both_families_are_asked_for():
    resolver = Resolver()
    resolver.records = {"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"]}
    resolver.names.addresses("dns.example")
    assert resolver.answer() == 2
    assert resolver.names.addresses("dns.example") == ("192.0.2.1", "192.0.2.2", "2001:db8::1")
    assert resolver.changes == 2


def test_addresses_behind_an_alias_are_found():
    resolver = Resolver()
    resolver.names.addresses("dns.example")
    resolver.world.settle()
    for outgoing in list(resolver.world.sent):
        response = dns.message.make_response(dns.message.from_wire(outgoing.packet))
        response.answer.append(dns.rrset.from_text("dns.example.", 60, "IN", "CNAME", "b.example."))
        if response.question[0].rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text("b.example.", 60, "IN", "A", "192.0.2.7"))
        response.additional.append(dns.rrset.from_text("ns.example.", 60, "IN", "A", "192.0.2.99"))
        outgoing.answer(response.to_wire())
    assert resolver.names.addresses("dns.example") == ("192.0.2.7",)


def test_a_name_is_asked_for_again_when_its_addresses_expire():
    resolver = resolver_that_told(ttl=60)
    resolver.records = {"A": ["192.0.2.2"]}
    resolver.world.advance(55)
    assert resolver.answer() == 0
    resolver.world.advance(6)
    assert resolver.answer() > 0
    assert resolver.names.addresses("dns.example") == ("192.0.2.2",)


def test_a_name_that_is_refreshed_is_asked_for_once_and_again_at_its_new_ttl():
    resolver = resolver_that_told(ttl=60)
    resolver.records = {"A": ["192.0.2.2"]}
    resolver.world.advance(30)
    resolver.names.refresh("dns.example")
    resolver.names.refresh("dns.example")
    assert resolver.answer(ttl=60) == 2
    assert resolver.names.addresses("dns.example") == ("192.0.2.2",)
    resolver.world.advance(59)
    assert resolver.answer() == 0
    resolver.world.advance(1)
    assert resolver.answer() == 2


def test_a_name_that_moved_is_followed_when_its_old_address_refuses():
    resolver = Resolver()
    world = resolver.world
    resolver.records = {"A": ["192.0.2.1"]}
    named = Destinations([HostName(Endpoint("dns.example"))], resolver.make_names)
    forwarder = Forwarder(Settings(), resolver.upstreams, named)
    resolver.answer(ttl=300)
    world.machine("192.0.2.1").mood = "refusing"
    resolver.records = {"A": ["192.0.2.2"]}
    query = read_query(probe_query(1, "www.example.", Rdtype.A, Flag.RD))
    forwarder.ask(query, world.now + 5, lambda _: None, world.now)
    world.advance(1.1)
    resolver.answer(ttl=300)
    assert [upstream.to for upstream in forwarder.upstreams] == ["192.0.2.2:53"]


def test_a_reload_goes_on_with_the_addresses_there_were():
    """Until they were resolved anew there was no upstream: each query was SERVFAIL at once."""
    resolver = resolver_that_told(ttl=300)
    named = Destinations([HostName(Endpoint("dns.example"))], resolver.make_names)
    reloaded = Forwarder(Settings(), resolver.upstreams, named)
    resolver.names.close()
    assert [upstream.to for upstream in reloaded.upstreams] == ["192.0.2.1:53"]
    resolver.records = {"A": ["192.0.2.2"]}
    resolver.answer()
    assert [upstream.to for upstream in reloaded.upstreams] == ["192.0.2.2:53"]


def test_a_short_ttl_is_believed_for_five_seconds():
    resolver = resolver_that_told(ttl=0)
    resolver.world.advance(4.9)
    assert resolver.answer() == 0
    resolver.world.advance(0.2)
    assert resolver.answer() > 0


def test_what_was_known_outlives_a_failing_resolver():
    resolver = resolver_that_told(ttl=10)
    resolver.records = {}
    for rcode in ("SERVFAIL", "NXDOMAIN", "NOERROR"):
        resolver.world.advance(31)
        resolver.answer(rcode)
        assert resolver.names.addresses("dns.example") == ("192.0.2.1",)


@pytest.mark.parametrize("rcode", ["SERVFAIL", "NXDOMAIN"])
def test_a_name_that_could_not_be_resolved_again_is_asked_for_again_soon(rcode):
    """Its old addresses stayed for five minutes, whatever their TTL had been."""
    resolver = resolver_that_told(ttl=10)
    resolver.world.advance(10.1)
    resolver.records = {}
    for _ in range(20):
        resolver.answer(rcode)
        resolver.world.advance(0.1)
    resolver.records = {"A": ["192.0.2.2"]}
    resolver.world.advance(4)
    resolver.answer()
    assert resolver.names.addresses("dns.example") == ("192.0.2.2",)


def test_a_silent_resolver_is_asked_again_and_again():
    resolver = Resolver()
    resolver.names.addresses("dns.example")
    resolver.world.advance(60)
    resolver.records = {"A": ["192.0.2.1"]}
    resolver.world.advance(35)
    assert resolver.answer() > 0
    assert resolver.names.addresses("dns.example") == ("192.0.2.1",)


def test_an_odd_record_does_not_end_the_asking():
    """Of another class it may have any data: taken for an address, it ended the asking for good."""
    resolver = Resolver()
    resolver.names.addresses("dns.example")
    resolver.world.settle()
    for outgoing in list(resolver.world.sent):
        response = dns.message.make_response(dns.message.from_wire(outgoing.packet))
        rdtype = response.question[0].rdtype
        foreign = dns.rdata.GenericRdata(dns.rdataclass.CH, rdtype, b"\1x\0\0\1")
        response.answer.append(dns.rrset.from_rdata("dns.example.", 60, foreign))
        outgoing.answer(response.to_wire())
    resolver._answered = len(resolver.world.sent)
    assert resolver.names.addresses("dns.example") == ()
    resolver.records = {"A": ["192.0.2.1"]}
    resolver.world.advance(1.05)
    assert resolver.answer() == 2
    assert resolver.names.addresses("dns.example") == ("192.0.2.1",)


def test_nothing_is_asked_once_closed():
    resolver = resolver_that_told(ttl=10)
    resolver.names.close()
    resolver.world.advance(60)
    assert resolver.answer() == 0
