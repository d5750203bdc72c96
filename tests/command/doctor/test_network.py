"""What answers, and what does not: found, and named with what mends it."""

import socket
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from nodecache.command.doctor import network
from nodecache.command.doctor.findings import Level
from nodecache.command.doctor.subject import Metrics
from tests.command.doctor.subjects import (
    HEALTHY,
    changed,
    one,
    subject_of,
)
from tests.helpers.agent import HOST, free_port
from tests.patience import PATIENCE_SECONDS

# Over the network


class Server:
    """A DNS server that says yes to everything, or to one protocol alone."""

    def __init__(self, *, udp: bool = True, tcp: bool = True) -> None:
        self.port = free_port()
        self.answers_udp = udp
        self.listener, self.datagrams = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        self.listener.bind((HOST, self.port))
        self.datagrams.bind((HOST, self.port))
        work = [self.serve_udp]
        if tcp:
            self.listener.listen()
            work.append(self.serve_tcp)
        self.threads = [threading.Thread(target=each) for each in work]

    def serve_udp(self) -> None:
        while (received := self.datagrams.recvfrom(512))[0] != b"end":
            if self.answers_udp:
                self.datagrams.sendto(as_reply(received[0]), received[1])

    def serve_tcp(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            packet = connection.recv(512)
            if packet:
                connection.sendall(packet[:2] + as_reply(packet[2:]))

    def end(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"end", (HOST, self.port))
        with suppress(OSError), socket.create_connection((HOST, self.port)):
            pass
        for thread in self.threads:
            thread.join()
        self.listener.close()
        self.datagrams.close()


def as_reply(packet: bytes) -> bytes:
    return packet[:2] + bytes([packet[2] | 0x80]) + packet[3:]


@contextmanager
def server(**by: bool):
    running = Server(**by)
    for thread in running.threads:
        thread.start()
    try:
        yield running.port
    finally:
        running.end()


@pytest.mark.parametrize(
    ("by", "options", "level", "words"),
    [
        ({}, "", Level.OK, "UDP in"),
        ({"tcp": False}, "", Level.LOOK, "TCP does not answer"),
        ({"tcp": False}, "force_tcp", Level.BROKEN, "TCP does not answer"),
        ({"udp": False}, "", Level.LOOK, "UDP does not answer"),
        ({"udp": False}, "force_tcp", Level.OK, "TCP in"),
        ({"udp": False, "tcp": False}, "", Level.BROKEN, "does not answer"),
    ],
    ids=["well", "no TCP", "no TCP, and wanted", "no UDP", "no UDP, nor wanted", "nobody"],
)
def test_an_upstream_is_judged_by_how_it_is_asked(by, options, level, words):
    with server(**by) as port:
        text = f". {{\n    forward . {HOST}:{port} {{\n        {options}\n    }}\n}}\n"
        found = one(network.check_upstreams(subject_of(corefile=text)))
    assert (found.level, words in found.what) == (level, True)


class Dribbling(socket.socket):
    """A socket whose octets come one by one."""

    def recv(self, *_: int) -> bytes:
        return super().recv(1)

    def recv_into(self, buffer: bytearray, *_: int) -> int:
        return super().recv_into(memoryview(buffer)[:1])


def test_a_reply_by_tcp_may_come_in_pieces(monkeypatch):
    with server() as port:
        dribbling = SimpleNamespace(**vars(socket) | {"socket": Dribbling})
        monkeypatch.setattr(network, "socket", dribbling)  # the server's sockets stay as they are
        assert network.exchange(HOST, port, socket.SOCK_STREAM) is not None


def test_an_interface_that_is_bound_is_asked_at_its_addresses():
    text = f".:{free_port()} {{\n    bind lo {{\n        except ::1\n    }}\n    whoami\n}}\n"
    found = list(network.check_sockets(subject_of(corefile=text)))
    assert f"{HOST}:" in found[0].what


def test_queries_that_somebody_else_answers_do_not_reach_the_agent():
    with server(tcp=False) as port:
        subject = subject_of(flags=("-localip", HOST, "-p", str(port)))
        found = one(network.check_interception(subject, lambda: Metrics(HEALTHY)))
    assert (found.level, "the agent saw 0" in found.what) == (Level.BROKEN, True)


def test_queries_that_the_agent_counts_reach_it():
    with server(tcp=False) as port:
        subject = subject_of(flags=("-localip", HOST, "-p", str(port)))
        after = HEALTHY + 'coredns_dns_requests_total{type="other"} 1\n'
        found = one(network.check_interception(subject, lambda: Metrics(after)))
    assert (found.level, "4711 packets" in found.what) == (Level.OK, True)


def test_rules_that_no_pod_has_met():
    subject = subject_of(flags=("-localip", HOST, "-p", str(free_port())))
    page = changed("nodecache_rule_packets_total", "0")
    found = one(network.check_interception(subject, lambda: Metrics(page)))
    assert (found.level, "no packet of a pod" in found.what) == (Level.LOOK, True)


def test_an_address_where_nobody_answers():
    text = f".:{free_port()} {{\n    bind {HOST}\n    whoami\n}}\n"
    found = one(network.check_sockets(subject_of(corefile=text)))
    assert (found.level, "does not answer" in found.what) == (Level.BROKEN, True)


def test_all_addresses_are_asked_at_once(monkeypatch):
    """Four that say nothing cost the patience for one."""
    together = threading.Barrier(4)

    def silent(host, port, kind, question):
        together.wait(timeout=PATIENCE_SECONDS)  # each waits for the others to be asked

    monkeypatch.setattr(network, "exchange", silent)
    flags = ("-localip", "169.254.20.10,10.96.0.10,fd00:169::10,fd00:96::10")
    assert list(network.check_interception(subject_of(flags=flags), lambda: Metrics(HEALTHY))) == []
