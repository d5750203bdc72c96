"""Somebody who owns a domain makes answers of 64 KB, without end: memory has a bound all the same."""

import re
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import dns.message
import pytest

from tests.helpers.agent import HOST, Agent, stock
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

NAMES = 2_000
TEXT = (b"\xff" + b"x" * 255) * 245  # 62,720 octets
RECORD = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x01\x2c" + struct.pack("!H", len(TEXT)) + TEXT
BUDGET_MEBIBYTES = 1
# What clients by TCP may hold (TcpLimits), answers of 64 KB that have come in part on each of the 256
# connections to an upstream, as many as a slow one gets, and what the allocator makes of all that.
MAX_GROWTH_MEBIBYTES = BUDGET_MEBIBYTES + 24 + 16 + 8


class Giant:
    """An upstream by TCP that answers every question with one large TXT record."""

    def __enter__(self):
        self._server = socket.create_server((HOST, 0))
        self.address = "{}:{}".format(*self._server.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.close()

    def _accept(self):
        try:
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except OSError:
            return

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream, suppress(ConnectionResetError):
            while len(prefix := stream.read(2)) == 2:
                query = stream.read(*struct.unpack("!H", prefix))
                end = query.index(b"\0", 12) + 5
                counts = b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
                reply = query[:2] + counts + query[12:end] + RECORD
                connection.sendall(struct.pack("!H", len(reply)) + reply)


@pytest.fixture
def agent(tmp_path):
    with Giant() as giant:
        budget = f"nodecache {{\n budget {BUDGET_MEBIBYTES}Mi\n }}"
        with Agent(tmp_path, stock(giant.address, more=budget)) as running:
            yield running


def query(number):
    asked = dns.message.make_query(f"n{number:05}.example.", "TXT", use_edns=0, payload=65535)
    return asked.to_wire()


def own_mebioctets(agent):
    """The worker's own memory."""
    text = Path(f"/proc/{agent.worker}/status").read_text(encoding="ascii")
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) / 1024


@pytest.mark.parametrize("clients", [1, 100])
def test_large_answers_by_udp(agent, clients):
    """Each is asked for three times, so that it is worth a place in the table of replies."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(clients)
        ]
        for number, each in enumerate(sockets):
            each.bind((f"127.0.1.{number + 1}", 0))
            each.settimeout(PATIENCE_SECONDS)
            each.connect((HOST, agent.port))
        idle, most = own_mebioctets(agent), 0.0
        for number in range(NAMES):
            asking = sockets[number % clients]
            for _ in range(3):
                asking.send(query(number))
                assert len(asking.recv(65_535)) > len(TEXT)
            if number % 50 == 49:
                most = max(most, own_mebioctets(agent))
    assert most - idle < MAX_GROWTH_MEBIBYTES


@pytest.mark.parametrize("clients", [1, 100])
def test_large_answers_by_tcp_that_nobody_reads(agent, clients):
    with ExitStack() as stack:
        idle, most = own_mebioctets(agent), 0.0
        for client in range(clients):
            connection = socket.create_connection((HOST, agent.port), timeout=PATIENCE_SECONDS)
            stack.enter_context(connection)
            for number in range(2_000 // clients):
                asked = query(client * 2_000 + number)
                connection.sendall(struct.pack("!H", len(asked)) + asked)
            most = max(most, own_mebioctets(agent))
        for _ in range(20):
            agent.ask("a.example.")
            most = max(most, own_mebioctets(agent))
    assert most - idle < MAX_GROWTH_MEBIBYTES
