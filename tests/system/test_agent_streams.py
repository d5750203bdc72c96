"""Clients by TCP: those who hurry, those who dawdle, those who leave early (RFC 7766)."""

import contextlib
import re
import socket
import struct
import time
import urllib.request
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from nodecache.wire import FrameBuffer, framed
from tests.helpers.agent import HOST, Agent, free_port, stock
from tests.helpers.upstream import FakeUpstream, delayed, obey
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

RECORDS = "\n".join(f"n{number}.example. 30 IN A 192.0.2.{number}" for number in range(200))


@pytest.fixture
def upstream():
    with FakeUpstream(RECORDS) as fake:
        yield fake


@pytest.fixture
def agent(tmp_path, upstream):
    corefile = stock(upstream.address, more="timeouts {\n read 1s\n idle 2s\n }")
    with Agent(tmp_path, corefile) as running:
        yield running


def query(number, *, qid):
    return framed(dns.message.make_query(f"n{number}.example.", "A", id=qid).to_wire())


def replies(tcp, count):
    """The next `count` replies, by message id."""
    frames, found = FrameBuffer(), {}
    while len(found) < count:
        data = tcp.recv(65536)
        assert data, f"closed after {len(found)} of {count} replies"
        for packet in frames.feed(data):
            message = dns.message.from_wire(packet)
            found[message.id] = message
    return found


def peak_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def assert_closed(tcp):
    tcp.settimeout(PATIENCE_SECONDS)
    with contextlib.suppress(ConnectionResetError):
        assert tcp.recv(1) == b""


def test_pipelined_queries_are_all_answered(agent):
    with agent.stream() as tcp:
        tcp.sendall(b"".join(query(number, qid=number + 1) for number in range(200)))
        found = replies(tcp, 200)
    assert all(reply.answer for reply in found.values())


def test_a_ready_answer_overtakes_a_slow_one(agent, upstream):
    agent.ask("n1.example.")
    upstream.then(delayed(2.0))
    with agent.stream() as tcp:
        tcp.sendall(query(2, qid=7) + query(1, qid=8))
        assert list(replies(tcp, 1)) == [8]
        assert list(replies(tcp, 1)) == [7]


def test_a_client_that_closed_its_half_still_gets_its_answers(agent, upstream):
    upstream.behave = delayed(0.5)
    with agent.stream() as tcp:
        tcp.sendall(query(1, qid=7) + query(2, qid=8))
        tcp.shutdown(socket.SHUT_WR)
        assert sorted(replies(tcp, 2)) == [7, 8]
        assert_closed(tcp)


def test_a_client_that_says_nothing_is_closed(agent):
    with agent.stream() as tcp:
        assert_closed(tcp)


def test_a_client_that_never_finishes_its_query_is_closed(agent):
    with agent.stream() as tcp:
        tcp.sendall(query(1, qid=7)[:-1])
        assert_closed(tcp)


def test_a_client_that_sends_an_octet_now_and_then_is_closed_all_the_same(agent):
    with agent.stream() as tcp:
        tcp.settimeout(0.3)
        with pytest.raises(OSError):  # noqa: PT012 - the kernel tells of the end at some octet
            for octet in query(1, qid=7):
                tcp.sendall(bytes([octet]))
                try:
                    if tcp.recv(1) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    pass


def test_a_frame_that_is_longer_than_its_message_is_read_as_far_as_it_goes(agent):
    with agent.stream() as tcp:
        packet = dns.message.make_query("n1.example.", "A", id=7).to_wire() + b"\0" * 9
        tcp.sendall(framed(packet))
        assert replies(tcp, 1)[7].rcode() in (dns.rcode.NOERROR, dns.rcode.FORMERR)


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\1\2\3", id="shorter than a header"),
        pytest.param(dns.message.Message(id=6).to_wire()[:2] + b"\x80" + bytes(9), id="a response"),
    ],
)
@pytest.mark.parametrize("is_apart", [False, True], ids=["in one segment", "each by itself"])
def test_a_frame_that_gets_no_reply_takes_none_from_those_around_it(agent, nonsense, is_apart):
    with agent.stream() as tcp:
        frames = [query(1, qid=7), framed(nonsense), query(2, qid=8)]
        for frame in frames if is_apart else [b"".join(frames)]:
            tcp.sendall(frame)
            time.sleep(0.05)
        assert sorted(replies(tcp, 2)) == [7, 8]
        tcp.sendall(framed(nonsense))
        tcp.shutdown(socket.SHUT_WR)
        assert_closed(tcp)


def test_a_client_that_does_not_read_slows_nobody_else(agent):
    with agent.stream() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setblocking(False)
        flood = query(1, qid=7) * 1000
        with pytest.raises(BlockingIOError):  # noqa: PT012 - at some point nothing more is taken
            for _ in range(1000):
                greedy.send(flood)
        assert agent.ask("n1.example.").answer


def test_hundreds_who_do_not_read_large_answers_cost_little_memory(agent, upstream):
    texts = " ".join(f'"{number:03}{"x" * 250}"' for number in range(200))
    upstream.learn(f"large.example. 30 IN TXT {texts}")
    large = dns.message.make_query("large.example.", "TXT")
    assert agent.tcp(large).answer
    before = peak_kib(agent.worker)
    with contextlib.ExitStack() as opened:
        for _ in range(400):
            client = opened.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((HOST, agent.port))
            client.sendall(framed(large.to_wire()) * 200)
        assert agent.udp(dns.message.make_query("n1.example.", "A")).question
        assert peak_kib(agent.worker) - before < 128 * 1024  # all of it would be gigabytes


def test_a_thousand_connections_are_served_at_once(agent, upstream):
    upstream.behave = obey
    with contextlib.ExitStack() as opened:
        clients = []
        for number in range(
            1000
        ):  # each asks at once: on a slow machine the first would be too late
            client = socket.create_connection((HOST, agent.port), timeout=PATIENCE_SECONDS)
            clients.append(opened.enter_context(client))
            client.sendall(query(number % 200, qid=number))
        for number, client in enumerate(clients):
            assert replies(client, 1)[number].answer


def test_a_client_that_resets_its_connection_leaves_no_trace(agent, upstream):
    upstream.behave = delayed(0.5)
    with agent.stream() as tcp:
        tcp.sendall(query(1, qid=7))
        upstream.wait_for(1)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert agent.ask("n2.example.").answer


def test_clients_do_not_take_the_files_that_the_agent_itself_needs(tmp_path, upstream):
    health, metrics = free_port(), free_port()
    more = f"health {HOST}:{health}\n prometheus {HOST}:{metrics}\n reload 2s"
    corefile = stock(upstream.address, more=more)
    with (
        Agent(tmp_path, corefile, before=("prlimit", "--nofile=64")) as agent,
        contextlib.ExitStack() as opened,
    ):
        for _ in range(200):
            opened.enter_context(agent.stream())
        assert agent.ask("n1.example.").answer
        for port, path in ((health, "health"), (metrics, "metrics")):
            with urllib.request.urlopen(
                f"http://{HOST}:{port}/{path}", timeout=PATIENCE_SECONDS
            ) as page:
                assert page.status == 200
        agent.write(corefile.replace("errors", "errors\n    whoami"))
        agent.wait_for_line("Reloading complete")
