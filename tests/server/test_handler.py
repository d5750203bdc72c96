import dns.edns
import dns.flags
import dns.rcode
import pytest
from hypothesis import given

from nodecache.server.counts import Outcome, ServerCounts
from nodecache.server.handler import Handler
from nodecache.server.router import Zones
from tests.server.zone_harness import ZoneHarness
from tests.wire.messages import name, opt, parsed, query, raw, strangers_packets
from tests.wire.test_query import SEEDS

CLIENT = ("10.244.1.7", 53_000)


class Door:
    """A handler before one zone, `example.`."""

    def __init__(self, zone_name: str = "example.") -> None:
        self.harness = ZoneHarness()
        self.dropped = ServerCounts("dns://169.254.20.10:53", "dropped")
        self.handler = Handler(Zones([(name(zone_name), self.harness.served)]), self.dropped)

    def hand(self, packet: bytes) -> list[bytes]:
        """Hand a packet in; what its sender has heard by now."""
        self.handler.handle(packet, self.harness.udp, CLIENT, self.harness.loop.now)
        return self.harness.udp.sent.pop(CLIENT, [])

    @property
    def was_forgotten(self) -> bool:
        return self.harness.udp.forgotten == [CLIENT]


def test_a_query_goes_to_its_zone():
    door = Door()
    assert door.hand(query("a.example. A")) == []
    assert door.harness.questions == ["a.example. IN A"]


def test_a_hit_comes_back_for_the_table():
    door = Door()
    door.harness.keep("a.example. 30 IN A 192.0.2.1")
    door.handler.handle(query(), door.harness.udp, CLIENT, door.harness.loop.now)
    finished = door.handler.handle(query(), door.harness.udp, CLIENT, door.harness.loop.now)
    assert door.harness.udp.sent[CLIENT][0][2:] == finished.tail


def test_a_name_that_no_block_serves_is_refused_and_counted_as_dropped():
    door = Door()
    (octets,) = door.hand(query("a.other. A", flags="RD CD"))
    reply = parsed(octets)
    assert dns.rcode.to_text(reply.rcode()) == "REFUSED"
    assert dns.flags.to_text(reply.flags) == "QR RD CD"
    (octets,) = door.hand(query("a.other. A", use_edns=0))
    assert parsed(octets).options == (dns.edns.EDEOption(20, "no server block is for this name"),)
    door.dropped.flush()
    assert door.dropped.responses == {("REFUSED", ""): 2}
    assert door.dropped.outcomes[Outcome.UNCACHED] == 2


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, raw(flags=0x8180)])
def test_what_is_no_query_gets_silence(packet):
    door = Door()
    assert door.hand(packet) == []
    assert door.was_forgotten
    assert door.handler.malformed == 1


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        pytest.param(raw(counts=(0, 0, 0, 0), flags=0x0100), "FORMERR", id="no question"),
        pytest.param(
            raw(question=b"\xc0\x0c\0\1\0\1", flags=0x0100), "FORMERR", id="broken question"
        ),
        pytest.param(raw(flags=0x2100), "NOTIMP", id="NOTIFY"),
        pytest.param(
            raw(opt(version=1), counts=(1, 0, 0, 1), flags=0x0100), "BADVERS", id="EDNS 1"
        ),
        pytest.param(
            raw(opt(), opt(), counts=(1, 0, 0, 2), flags=0x0100), "FORMERR", id="two OPTs"
        ),
    ],
)
def test_what_is_broken_gets_an_error_and_is_not_counted_as_a_query(packet, rcode):
    door = Door()
    (octets,) = door.hand(packet)
    assert octets[:2] == packet[:2]
    assert dns.rcode.to_text(parsed(octets).rcode()) == rcode
    door.dropped.flush()
    door.harness.served.counts.flush()
    assert door.dropped.requests == door.harness.served.counts.requests == {}
    assert not door.harness.upstream.asked


def test_badvers_has_the_clients_do():
    door = Door()
    packet = raw(opt(version=1, flags=0x8000), counts=(1, 0, 0, 1), flags=0x0100)
    assert parsed(door.hand(packet)[0]).ednsflags & 0x8000


def test_the_keepers_question_is_answered_at_once_and_not_counted():
    door = Door(".")
    assert len(door.hand(query("id.server. CH TXT"))) == 1
    assert not door.harness.upstream.asked
    door.harness.served.counts.flush()
    assert door.harness.served.counts.requests == {}


@given(strangers_packets(SEEDS, 0x0100))
def test_any_packet_is_answered_at_most_once_with_its_own_id(packet):
    door = Door(".")
    replies = door.hand(packet)
    assert len(replies) <= 1
    assert all(reply[:2] == packet[:2] and reply[2] & 0x80 for reply in replies)


def test_a_fault_of_ours_costs_one_query_its_answer_and_is_counted():
    door = Door()

    def fault(*_: object) -> None:
        raise ZeroDivisionError

    door.harness.udp.note = fault
    (octets,) = door.hand(query())
    assert dns.rcode.to_text(parsed(octets).rcode()) == "SERVFAIL"
    assert door.handler.panics == 1
