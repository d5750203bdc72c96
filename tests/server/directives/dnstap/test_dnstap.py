import dns.message
import pytest

from nodecache.corefile import DnstapOptions
from nodecache.server.directive import refusal
from nodecache.server.directives.dnstap.dnstap import Dnstap, ForwardObserver
from tests.helpers import taps
from tests.server.chains import answer, below, client, query, run

ASKED = query("example.org.")
ANSWER = answer(ASKED, "example.org. 30 IN A 192.0.2.1")


class Kept:
    """A sink that keeps what it is given, read back."""

    def __init__(self) -> None:
        self.tapped: list[taps.Tapped] = []
        self.is_closed = False

    def put(self, octets: bytes) -> None:
        self.tapped.append(taps.payload(octets))

    def close(self) -> None:
        self.is_closed = True


def clock() -> int:
    return 1_700_000_000_000_000_000


def tapping(**options) -> tuple[Dnstap, Kept]:
    sink = Kept()
    wanted = DnstapOptions(transport="unix", address="/tap", **options)
    return Dnstap(wanted, sink, clock), sink


def test_a_query_and_its_reply_are_told():
    directive, sink = tapping()
    assert run(directive, ASKED, then=below(ANSWER)) is ANSWER
    assert [tapped.event for tapped in sink.tapped] == ["CLIENT_QUERY", "CLIENT_RESPONSE"]
    for tapped in sink.tapped:
        assert tapped.message[4] == b"\x0a\xf4\1\7"
        assert tapped.message[8] == 1_700_000_000
        assert 10 not in tapped.message
        assert 14 not in tapped.message


def test_full_carries_the_messages():
    directive, sink = tapping(is_full=True)
    run(directive, ASKED, then=below(ANSWER))
    assert sink.tapped[0].message[10] == ASKED.packet
    reply = dns.message.from_wire(sink.tapped[1].message[14])
    assert reply.answer == dns.message.from_wire(ANSWER.wire).answer
    assert reply.id == dns.message.from_wire(ASKED.packet).id


def test_a_failure_is_told_as_the_reply_it_becomes():
    directive, sink = tapping(is_full=True)
    run(directive, ASKED, then=below(refusal(2, "no")))
    assert dns.message.from_wire(sink.tapped[1].message[14]).rcode() == 2


@pytest.mark.parametrize(
    ("options", "identity", "version"),
    [
        ({"identity": "me", "version": "7"}, b"me", b"7"),
        ({"identity": "", "version": ""}, b"", b""),
    ],
)
def test_identity_and_version_are_ours_to_choose(options, identity, version):
    directive, sink = tapping(**options)
    run(directive, ASKED, then=below(ANSWER))
    assert (sink.tapped[0].identity, sink.tapped[0].version) == (identity, version)


def test_without_a_choice_we_say_who_we_are():
    directive, sink = tapping()
    run(directive, ASKED, then=below(ANSWER))
    assert sink.tapped[0].identity
    assert sink.tapped[0].version.startswith(b"nodecache-")


def test_extra_is_filled_in_for_each_query():
    directive, sink = tapping(extra="{name} via {/forward/upstream}")
    whom = client(metadata={"forward/upstream": "10.96.0.10:53"})
    run(directive, ASKED, then=below(ANSWER), whom=whom)
    assert sink.tapped[1].extra == b"example.org. via 10.96.0.10:53"


class Path:
    path = "10.0.0.1:40000->10.96.0.10:53"


class Upstream:
    to = "10.96.0.10:53"


class Attempt:
    """How an upstream was asked."""

    upstream = Upstream()
    carrier = Path()
    by_stream = True
    sent_at = 7.5


def test_what_upstream_was_asked_is_told_to_every_tap_and_noted():
    first, first_sink = tapping(is_full=True)
    second, second_sink = tapping()
    whom = client(metadata={})
    ForwardObserver([first, second], clock)(ASKED, whom, Attempt(), ANSWER.wire, 8.0)
    asked, said = first_sink.tapped
    assert (asked.event, said.event) == ("FORWARDER_QUERY", "FORWARDER_RESPONSE")
    assert (
        dns.message.from_wire(asked.message[10]).question
        == dns.message.from_wire(ASKED.packet).question
    )
    assert said.message[14] == ANSWER.wire
    assert (asked.message[3], asked.message[5], asked.message[7]) == (2, b"\x0a\x60\0\x0a", 53)
    assert (said.message[4], said.message[6]) == (b"\x0a\0\0\1", 40000)
    assert (said.message[8], said.message[9]) == (1_699_999_999, 500_000_000)
    assert said.message[12] == 1_700_000_000
    assert len(second_sink.tapped) == 2
    assert whom.metadata == {"forward/upstream": "10.96.0.10:53"}


def test_without_taps_it_is_noted_all_the_same():
    whom = client(metadata={})
    ForwardObserver([], clock)(ASKED, whom, Attempt(), ANSWER.wire, 8.0)
    assert whom.metadata == {"forward/upstream": "10.96.0.10:53"}


def test_closing_ends_the_stream():
    directive, sink = tapping()
    directive.close()
    assert sink.is_closed
