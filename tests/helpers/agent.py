"""The real command, started on loopback ports of its own and ended by its process id."""

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import dns.message
import dns.query

from tests.patience import PATIENCE_SECONDS

HOST = "127.0.0.1"
_random = random.SystemRandom()  # hypothesis seeds the common one, in every run alike
_READY = "nodecache serves"


_claims: deque[socket.socket] = deque()
_MOST_CLAIMS = 200  # far more than one test asks for


def free_port(host: str = HOST) -> int:
    """A port that nobody has, for UDP and TCP, and that the kernel gives to nobody who asks for any.

    Nor does another run of the tests beside this one get it: each port that is given out is claimed
    by an abstract socket's name, which is as wide as ports are (the network namespace).
    """
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(50):
        port = _random.randrange(10_000, lowest_given)
        claim = socket.socket(socket.AF_UNIX)
        tcp, udp = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
        with tcp, udp:
            try:
                claim.bind(f"\0nodecache-tests-{port}")
                tcp.bind((host, port))
                udp.bind((host, port))
            except OSError:
                claim.close()
                continue
        _claims.append(claim)
        if len(_claims) > _MOST_CLAIMS:
            _claims.popleft().close()
        return port
    raise OSError("no port is free for both")


class Agent:
    """An agent that serves `corefile` between `with` and its end; the host is left alone.

    `{port}` in the text becomes the port to listen on.
    """

    def __init__(
        self, folder: Path, corefile: str, *flags: str, before: Sequence[str] = ()
    ) -> None:
        """`before` is a command that ends in running another one, in front of the agent's."""
        self._before = before
        self.port = free_port()
        self.corefile = folder / "Corefile"
        self._flags = flags
        self._folder = folder
        self.log = ""
        self.write(corefile)

    def write(self, corefile: str) -> None:
        """Replace the Corefile."""
        fresh = self.corefile.with_suffix(".new")
        fresh.write_text(corefile.replace("{port}", str(self.port)))
        fresh.rename(self.corefile)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self._before, *command(self.corefile, *self._flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._unread = b""
        self.wait_for_line(_READY)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.stop()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for_line(self, text: str) -> str:
        """Read the log until a line holds `text`; the line."""
        while True:
            line, end, rest = self._unread.partition(b"\n")
            if end:
                self._unread = rest
                self.log += line.decode() + "\n"
                if text in line.decode():
                    return line.decode()
            elif not self._read_more():
                raise AssertionError(f"no line with {text!r} in:\n{self.log}")

    def _read_more(self) -> bool:
        stdout = self.process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], PATIENCE_SECONDS)[0]:
            return False
        octets = os.read(stdout.fileno(), 65536)
        self._unread += octets
        return bool(octets)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    @property
    def worker(self) -> int:
        """The worker's process id."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[-1])

    def kill_worker(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal the worker; the process id it had."""
        pid = self.worker
        os.kill(pid, number)
        return pid

    def udp(
        self, message: dns.message.Message, timeout: float = PATIENCE_SECONDS
    ) -> dns.message.Message:
        """Ask by UDP."""
        return dns.query.udp(message, HOST, port=self.port, timeout=timeout)

    def tcp(
        self, message: dns.message.Message, timeout: float = PATIENCE_SECONDS
    ) -> dns.message.Message:
        """Ask by TCP."""
        return dns.query.tcp(message, HOST, port=self.port, timeout=timeout)

    def ask(self, qname: str, rdtype: str = "A", **query: object) -> dns.message.Message:
        """Ask a question by UDP."""
        return self.udp(dns.message.make_query(qname, rdtype, **query))  # type: ignore[arg-type]

    @contextlib.contextmanager
    def datagrams(self) -> Iterator[socket.socket]:
        """A connected UDP socket, for octets that are no message."""
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.settimeout(PATIENCE_SECONDS)
            udp.connect((HOST, self.port))
            yield udp

    @contextlib.contextmanager
    def stream(self) -> Iterator[socket.socket]:
        """A connected TCP socket."""
        with socket.create_connection((HOST, self.port), timeout=PATIENCE_SECONDS) as tcp:
            yield tcp


def command(corefile: Path, *flags: str) -> Sequence[str]:
    """The command line, with what keeps it off the host."""
    return [
        sys.executable, "-m", "nodecache",
        "-conf", str(corefile),
        "-basecorefile", "/nonexistent",
        "-setupinterface=false",
        "-setupiptables=false",
        "-metrics-listen-address", f"{HOST}:0",
        *flags,
    ]  # fmt: skip


def stock(upstream: str, *, cache: str = "cache 30", more: str = "") -> str:
    """A root block like the stock file's, before `upstream`."""
    return f"""
.:{{port}} {{
    errors
    {cache}
    bind {HOST}
    forward . {upstream} {{
        force_tcp
    }}
    {more}
}}
"""
