"""Bad input, from clients and from upstreams: the table of what each gets."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.helpers import upstream as fake
from tests.helpers.agent import Agent, stock
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

HEADER = struct.Struct("!6H")
QUESTION = b"\1a\7example\0\0\1\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.fixture(scope="module")
def upstream():
    with fake.FakeUpstream("a.example. 30 IN A 192.0.2.1\n*.w.example. 30 IN A 192.0.2.9") as one:
        yield one


@pytest.fixture(scope="module")
def agent(tmp_path_factory, upstream):
    with Agent(tmp_path_factory.mktemp("agent"), stock(upstream.address)) as running:
        yield running


@pytest.fixture(autouse=True)
def honest(upstream):
    yield
    upstream.behave = fake.obey
    upstream.asked.clear()


def packet(flags=0x0100, questions=1, others=(0, 0, 0), rest=QUESTION, qid=0x1234):
    return HEADER.pack(qid, flags, questions, *others) + rest


def exchange(agent, octets):
    """What comes back for `octets`; None where that is nothing but the next reply."""
    with agent.datagrams() as client:
        client.send(octets)
        client.send(packet(qid=0xFFFF))
        first = client.recv(4096)
        return None if first[:2] == b"\xff\xff" else first


def test_a_query_of_4096_octets_is_read(agent):
    """The original stops at 512."""
    room = 4096 - len(packet(others=(0, 0, 1), rest=QUESTION + OPT)) - 4
    option = struct.pack("!2H", 65001, room) + b"x" * room
    opt = OPT[:-2] + struct.pack("!H", len(option)) + option
    octets = packet(others=(0, 0, 1), rest=QUESTION + opt)
    assert len(octets) == 4096
    assert dns.message.from_wire(exchange(agent, octets)).answer


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0" * 11, id="shorter than a header"),
        pytest.param(packet(flags=0x8100), id="a response"),
    ],
)
def test_what_is_no_query_gets_silence(agent, octets):
    assert exchange(agent, octets) is None


@pytest.mark.parametrize(
    ("octets", "rcode"),
    [
        pytest.param(packet(questions=0, rest=b""), "FORMERR", id="no question"),
        pytest.param(packet(questions=2, rest=QUESTION * 2), "FORMERR", id="two questions"),
        pytest.param(packet(rest=QUESTION[:-1]), "FORMERR", id="question cut off"),
        pytest.param(packet(rest=b"\xc0\x0c\0\1\0\1"), "FORMERR", id="name points at itself"),
        pytest.param(packet(rest=b"\x3fa"), "FORMERR", id="label longer than the message"),
        pytest.param(packet(rest=b"\1a" * 127 + b"\1a\0\0\1\0\1"), "FORMERR", id="long name"),
        pytest.param(
            packet(others=(0, 0, 2), rest=QUESTION + OPT * 2), "FORMERR", id="two OPT records"
        ),
        pytest.param(
            packet(others=(0, 0, 1), rest=QUESTION + OPT[:-3]), "FORMERR", id="OPT cut off"
        ),
        pytest.param(packet(flags=0x2100), "NOTIMP", id="opcode NOTIFY"),
        pytest.param(packet(flags=0x2800), "NOTIMP", id="opcode UPDATE"),
        pytest.param(packet(flags=0x7800), "NOTIMP", id="opcode 15"),
    ],
)
def test_a_broken_query_gets_its_rcode_and_its_id_back(agent, octets, rcode):
    reply = exchange(agent, octets)
    assert reply[:2] == octets[:2]
    assert reply[2] & 0x80
    assert reply[2] & 0x78 == octets[2] & 0x78
    assert dns.rcode.to_text(reply[3] & 0xF) == rcode


def test_an_edns_version_of_the_future_gets_badvers(agent):
    query = dns.message.make_query("a.example.", "A", use_edns=0)
    query.ednsflags |= 1 << 16
    reply = dns.message.from_wire(exchange(agent, query.to_wire()))
    assert reply.rcode() == dns.rcode.BADVERS
    assert reply.edns == 0
    assert not reply.answer


def test_an_opt_comes_back_only_to_those_who_sent_one(agent):
    assert agent.ask("a.example.", use_edns=False).edns == -1
    reply = agent.ask("a.example.", use_edns=0, payload=4096, want_dnssec=True)
    assert (reply.edns, reply.payload) == (0, 1232)
    assert reply.ednsflags & dns.flags.DO
    assert not reply.options


def test_unknown_edns_options_and_flags_are_not_echoed(agent):
    query = dns.message.make_query("a.example.", "A", use_edns=0, ednsflags=0x0080)
    query.use_edns(0, 0x0080, 1232, options=[dns.edns.GenericOption(100, b"x")])
    reply = agent.udp(query)
    assert reply.answer
    assert not reply.options
    assert not reply.ednsflags & 0x0080


@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR"])
def test_zone_transfers_are_refused(agent, upstream, rdtype):
    query = dns.message.make_query("example.", rdtype)
    with agent.datagrams() as client:
        client.send(query.to_wire())
        assert client.recv(4096)[3] & 0xF == dns.rcode.REFUSED
    assert not upstream.asked


def test_another_class_is_asked_apart(agent, upstream):
    agent.ask("a.example.")
    agent.ask("a.example.", rdclass="CH")
    agent.ask("a.example.", rdclass="CH")
    classes = [int(asked.message.question[0].rdclass) for asked in upstream.asked]
    assert 3 in classes


@pytest.mark.parametrize(
    "behaviour",
    [fake.wrong_id, fake.wrong_question, fake.garbage, fake.cut_in_half, fake.closed],
)
def test_an_upstream_that_misbehaves_once_costs_no_answer(agent, upstream, behaviour):
    upstream.then(behaviour)
    name = f"{behaviour.__name__.replace('_', '-')}-once.w.example."
    assert agent.ask(name).answer


@pytest.mark.parametrize(
    "behaviour", [fake.wrong_id, fake.wrong_question, fake.garbage, fake.closed, fake.silent]
)
def test_an_upstream_that_always_misbehaves_is_a_servfail_that_says_why(agent, upstream, behaviour):
    upstream.behave = behaviour
    name = f"{behaviour.__name__.replace('_', '-')}-always.w.example."
    reply = agent.udp(dns.message.make_query(name, "A", use_edns=0), timeout=PATIENCE_SECONDS)
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert [option.otype for option in reply.options] == [dns.edns.EDE]
