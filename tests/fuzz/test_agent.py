"""The running agent under messages bent out of shape, from clients and from upstreams.

NODECACHE_FUZZ_PACKETS says how many (20,000 where it says nothing; a million is the full size), and
NODECACHE_FUZZ_SEED which. After them the same worker still answers, has said nothing of a fault, and
is no larger than before by more than its caches may be.
"""

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import dns.exception
import dns.flags
import dns.message
import dns.name
import pytest

from nodecache.wire import FrameBuffer, framed
from tests.fuzz.mutations import mutated, queries
from tests.helpers.agent import Agent
from tests.helpers.upstream import Exchange, FakeUpstream, Raw, Send, Step, obey
from tests.patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]

PACKETS = int(os.environ.get("NODECACHE_FUZZ_PACKETS", "20000"))
SEED = int(os.environ.get("NODECACHE_FUZZ_SEED", "20260101"))

_BATCH = 250
_FRAMES_PER_CONNECTION = 20
_MAX_GROWTH_KIB = 64 * 1024
_LOG_OCTETS = 4 * 1024 * 1024
_SHOWN_OCTETS = 8000
_ASKED_ZONE = dns.name.from_text("example.org.")
_ZONE = """
www.example.org. 300 IN A 192.0.2.1
alias.example.org. 300 IN CNAME www.example.org.
example.org. 300 IN TXT some text
sure.example.org. 300 IN A 192.0.2.2
"""
_DIRECTIVES = """
    log
    metadata
    acl blocked.org {
        block
    }
    any
    dns64 {
        allow_ipv4
    }
    loadbalance
    minimal
    rewrite name suffix .short. .example.org. answer auto
    template IN A tmpl {
        match ^(?P<a>[0-9]+)[.]
        answer "{{ .Name }} 60 IN A 10.0.0.{{ .Group.a }}"
        fallthrough
    }
    hosts /nonexistent {
        10.0.0.1 a.hosts
        fallthrough
    }
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the worker can enter, who is nobody by then."""
    path = Path(tempfile.mkdtemp(prefix="nodecache-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["", _DIRECTIVES], ids=["stock", "every directive"])
def agent(request, folder) -> Iterator[Agent]:
    with FakeUpstream(_ZONE) as upstream:
        text = f"""
.:{{port}} {{
    bind 127.0.0.1
    errors
    cache 30{request.param}
    forward . {upstream.address}
}}
"""
        with Agent(folder, text) as nodecache:
            nodecache.upstream = upstream  # type: ignore[attr-defined]
            yield nodecache


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


class Watch:
    """The agent's health, before and after."""

    def __init__(self, nodecache: Agent) -> None:
        self._agent = nodecache
        self._log = bytearray(nodecache.log.encode())
        self.check_answers()
        self._worker = nodecache.worker
        self._size = resident_kib(self._worker)

    def check_answers(self) -> None:
        self._read_log()
        for _ in range(20):
            try:
                reply = self._agent.udp(dns.message.make_query("sure.example.org.", "A"), 3.0)
            except dns.exception.Timeout:  # the socket's queue may be full of what we sent
                continue
            assert str(reply.answer[0][0]) == "192.0.2.2"
            return
        raise AssertionError(f"no answer any more: {self.told}")

    def _read_log(self) -> None:
        """Read what the agent says, so that it is not lost; the end of it is kept."""
        stdout = self._agent.process.stdout
        assert stdout is not None
        while select.select([stdout], [], [], 0)[0] and (octets := os.read(stdout.fileno(), 65536)):
            self._log += octets
            del self._log[:-_LOG_OCTETS]

    @property
    def told(self) -> str:
        """The last of what the agent said, less the lines of queries and their failures."""
        lines = self._log.decode(errors="replace").splitlines()
        return "\n".join(line for line in lines if "plugin/errors" not in line)[-_SHOWN_OCTETS:]

    def check(self) -> None:
        self.check_answers()
        assert self._agent.worker == self._worker, self.told
        assert resident_kib(self._worker) - self._size < _MAX_GROWTH_KIB
        self._agent.process.send_signal(signal.SIGTERM)
        self._read_log()
        self._agent.process.wait(PATIENCE_SECONDS)
        self._read_log()
        assert "Traceback" not in self.told, self.told
        assert "could not" not in self.told, self.told


def test_bent_datagrams_leave_the_agent_answering(agent):
    random = Random(SEED)
    watch = Watch(agent)
    with agent.datagrams() as udp:
        udp.setblocking(False)
        for _ in range(PACKETS // _BATCH):
            for packet in mutated(queries(), random, _BATCH):
                send(udp, packet)
            replies(udp)
            watch.check_answers()
    watch.check()


def send(udp: socket.socket, packet: bytes) -> None:
    """Send, or lose it as a network would."""
    with contextlib.suppress(BlockingIOError):
        udp.send(packet)


def replies(udp: socket.socket, *, are_ours: bool = True) -> list[dns.message.Message]:
    """What has come back so far: right messages, every one.

    Unless they `are_ours`, the data of a record may be wrong: it is opaque to nodecache, but for
    names and addresses.
    """
    found = []
    while True:
        try:
            octets = udp.recv(65535)
            found.append(dns.message.from_wire(octets, continue_on_error=not are_ours))
        except BlockingIOError:
            assert all(reply.flags & dns.flags.QR for reply in found)
            return found


def test_bent_frames_leave_the_agent_answering(agent):
    random = Random(SEED + 1)
    watch = Watch(agent)
    for _ in range(PACKETS // 20 // _FRAMES_PER_CONNECTION):
        packets = list(mutated(queries(), random, _FRAMES_PER_CONNECTION))
        stream = b"".join(framed(packet) for packet in packets)
        if random.random() < 0.5:  # lengths that lie, ends in the middle
            stream = next(mutated([stream[:3000]], random, 1))
        with agent.stream() as tcp:
            _serve_connection(tcp, stream)
    watch.check()


def _serve_connection(tcp: socket.socket, stream: bytes) -> None:
    frames = FrameBuffer()
    tcp.settimeout(0.2)
    try:
        tcp.sendall(stream)
        tcp.shutdown(socket.SHUT_WR)
        while octets := tcp.recv(65535):
            for reply in frames.feed(octets):
                assert dns.message.from_wire(reply).flags & dns.flags.QR
    except (TimeoutError, ConnectionError):
        return  # it waits for the rest of a frame, or has had enough of us


def test_bent_answers_are_never_passed_on(agent):
    random = Random(SEED + 2)

    def lie(exchange: Exchange) -> Iterator[Step]:
        if exchange.qname.startswith("sure."):
            yield from obey(exchange)
            return
        for octets in mutated([exchange.answer], random, random.choice((1, 1, 3))):
            bent = exchange.packet[:2] + octets[2:]  # the id is right, or it would not be read
            yield Raw(framed(bent)) if exchange.transport == "tcp" else Send(bent)

    agent.upstream.behave = lie
    watch = Watch(agent)
    with agent.datagrams() as udp:
        udp.setblocking(False)
        for number in range(PACKETS // 20):
            query = dns.message.make_query(f"n{number}.example.org.", "A")
            send(udp, query.to_wire())
            if number % 50 == 49:
                watch.check_answers()
                for reply in replies(udp, are_ours=False):
                    assert reply.question[0].name.is_subdomain(_ASKED_ZONE)
    watch.check()
