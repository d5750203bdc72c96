import select
import socket
import struct
from ipaddress import ip_address as ip

import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.host.probe import Outcome, Probe, is_reply, query
from tests.helpers.agent import free_port

LOOPBACK = ip("127.0.0.1")


class Server:
    """A worker at the other end of both sockets, answering by hand."""

    def __init__(self) -> None:
        self.port = free_port()
        self.stream = socket.create_server(("127.0.0.1", self.port))
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", self.port))
        self.open: list[socket.socket] = [self.stream, self.datagrams]

    def answer_datagram(self, reply=None) -> bytes:
        packet, client = self.datagrams.recvfrom(4096)
        self.datagrams.sendto(reply if reply is not None else refused(packet), client)
        return packet

    def answer_stream(self, reply=None) -> bytes:
        connection, _ = self.stream.accept()
        self.open.append(connection)
        packet = connection.recv(4096)[2:]
        octets = reply if reply is not None else refused(packet)
        connection.sendall(struct.pack("!H", len(octets)) + octets)
        return packet

    def close(self) -> None:
        for one in self.open:
            one.close()


def refused(packet: bytes) -> bytes:
    reply = dns.message.make_response(dns.message.from_wire(packet))
    reply.set_rcode(dns.rcode.REFUSED)
    return reply.to_wire()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def probe():
    with select.epoll() as poller:
        probe = Probe(poller)
        probe.poller = poller
        yield probe
        probe.cancel()


def outcome(probe: Probe, deadline: float = 1000.0) -> Outcome:
    """Turn until the round is over."""
    for _ in range(200):
        found = probe.turn(0.0)
        if found is not Outcome.WAITING:
            return found
        probe.poller.poll(0.05)
    return probe.turn(deadline)


def test_the_question_is_a_chaos_txt_query_that_dnspython_reads():
    message = dns.message.from_wire(query(7))
    (question,) = message.question
    assert message.id == 7
    assert str(question.name) == "id.server."
    assert question.rdtype == dns.rdatatype.TXT
    assert question.rdclass == dns.rdataclass.CH


def test_a_round_is_answered_when_udp_and_tcp_are_whatever_the_rcode(server, probe):
    probe.start([(LOOPBACK, server.port)], 0.0, 1.0)
    server.answer_datagram()
    server.answer_stream()
    assert outcome(probe) is Outcome.ANSWERED
    assert not probe.is_running


def test_an_answer_by_udp_alone_is_not_enough(server, probe):
    probe.start([(LOOPBACK, server.port)], 0.0, 1.0)
    server.answer_datagram()
    assert probe.turn(0.5) is Outcome.WAITING
    assert probe.turn(1.0) is Outcome.SILENT
    assert probe.silent == ["127.0.0.1 by TCP"]


def test_nobody_at_the_port_is_silence_at_once(probe):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    probe.start([(LOOPBACK, port)], 0.0, 1000.0)
    assert outcome(probe, 0.0) is Outcome.SILENT


def test_an_address_that_is_not_local_is_silence_and_nothing_leaves_the_host(probe):
    probe.start([(ip("192.0.2.77"), 53)], 0.0, 1000.0)
    assert probe.turn(0.0) is Outcome.SILENT


def test_a_reply_with_another_id_is_waited_past(server, probe):
    probe.start([(LOOPBACK, server.port)], 0.0, 1.0)
    packet, client = server.datagrams.recvfrom(4096)
    forged = refused(bytes([packet[0] ^ 1]) + packet[1:])
    server.datagrams.sendto(forged, client)
    server.answer_stream()
    assert probe.turn(0.1) is Outcome.WAITING
    assert probe.turn(1.0) is Outcome.SILENT
    assert probe.silent == ["127.0.0.1 by UDP"]


def test_a_connection_closed_without_an_answer_is_silence(server, probe):
    probe.start([(LOOPBACK, server.port)], 0.0, 1000.0)
    server.answer_datagram()
    connection, _ = server.stream.accept()
    connection.recv(4096)
    connection.close()
    assert outcome(probe, 0.0) is Outcome.SILENT


def test_nothing_stays_registered_or_open_after_a_round(server, probe):
    probe.start([(LOOPBACK, server.port)], 0.0, 1.0)
    server.answer_datagram()
    server.answer_stream()
    assert outcome(probe) is Outcome.ANSWERED
    assert probe.poller.poll(0) == []


@given(st.binary(max_size=40), st.integers(0, 0xFFFF))
def test_a_reply_is_a_header_with_our_id_and_the_reply_flag(octets, message_id):
    expected = (
        len(octets) >= 12 and octets[:2] == message_id.to_bytes(2, "big") and octets[2] >= 0x80
    )
    assert is_reply(octets, message_id) is expected


def test_time_is_what_is_told(probe, server):
    probe.start([(LOOPBACK, server.port)], 5000.0, 60.0)
    assert probe.deadline == 5060.0
    assert probe.turn(5059.0) is Outcome.WAITING
    assert probe.turn(5060.0) is Outcome.SILENT
