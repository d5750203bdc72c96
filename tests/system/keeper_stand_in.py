"""A stand-in keeper for the host's tests: a poll loop, a Guard, and a worker that answers REFUSED.

Run as a program, its one argument is JSON: HostOptions by name (addresses as texts) and `dns_pods` (address
and port of each). It prints
`ready` when the host is settled, answers `state` on its input, stops its worker (SIGSTOP) at `stop`,
and ends cleanly on SIGTERM. While the file named by STAND_IN_MUTE exists, no worker answers.
"""

import contextlib
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import time
from ipaddress import ip_address
from pathlib import Path

from nodecache.host import Endpoint, Guard, Host, HostError, HostOptions, Verdict
from nodecache.process.listen import ListenAddress
from nodecache.process.sockets import Sockets, open_sockets


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    wanted = json.loads(sys.argv[1])
    for name in ("addresses", "leased", "fallback"):
        if wanted.get(name) is not None:
            wanted[name] = tuple(ip_address(text) for text in wanted[name])
    pods = [Endpoint(ip_address(text), port) for text, port in wanted.pop("dns_pods", ())]
    try:
        options = HostOptions(**wanted)
        host = Host(options)
        host.check_needs()
    except HostError as error:
        print(f"[FATAL] {error}", file=sys.stderr)
        return 1
    sockets = [
        open_sockets(ListenAddress(str(address), options.dns_port)) for address in options.addresses
    ]
    for each in sockets:
        each.mark(is_on=True)
    return StandIn(Guard(host), sockets).run(pods)


class StandIn:
    def __init__(self, guard: Guard, sockets: list[Sockets]) -> None:
        self.guard = guard
        self.sockets = sockets
        self.worker = 0
        self.is_told = False
        self.is_stopping = False

    def run(self, pods: list[Endpoint]) -> int:
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "is_stopping", True))
        wake, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end)
        self.fork()
        self.guard.host.set_dns_pods(pods, time.monotonic())
        poller = select.poll()
        for descriptor in (self.guard.fileno(), 0, wake):
            poller.register(descriptor, select.POLLIN)
        while not self.is_stopping:
            now = time.monotonic()
            wait = min(self.guard.next_wake(now) - now, 10)
            for descriptor, _ in poller.poll(max(wait, 0) * 1000 + 1):
                if descriptor == 0:
                    self.obey(os.read(0, 100).decode().split(), poller)
            now = time.monotonic()
            if self.guard.turn(now) is Verdict.REPLACE:
                self.replace()
            elif os.waitpid(self.worker, os.WNOHANG)[0]:
                self.guard.worker_ended(now)
                self.fork()
            else:
                self.guard.worker_alive(now)
            if self.guard.host.is_settled and not self.is_told:
                self.is_told = True
                print("ready", flush=True)
        return self.stop()

    def obey(self, words: list[str], poller: select.poll) -> None:
        if not words:
            poller.unregister(0)
        for word in words:
            if word == "state":
                print(json.dumps(self.guard.state()), flush=True)
            elif word == "stop":
                os.kill(self.worker, signal.SIGSTOP)

    def replace(self) -> None:
        os.kill(self.worker, signal.SIGKILL)
        os.waitpid(self.worker, 0)
        self.guard.worker_ended(time.monotonic())
        self.fork()

    def fork(self) -> None:
        self.worker = os.fork()
        if self.worker == 0:
            self.guard.close_in_child()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            answer([each for pair in self.sockets for each in (pair.udp, pair.tcp)])
        self.guard.worker_ready(time.monotonic())

    def stop(self) -> int:
        for each in self.sockets:
            each.mark(is_on=False)
        self.guard.release(time.monotonic())
        self.guard.host.settle(8)
        os.kill(self.worker, signal.SIGTERM)
        os.waitpid(self.worker, 0)
        self.guard.host.remove_interface(time.monotonic())
        self.guard.host.leave_fallbacks(time.monotonic())
        self.guard.host.settle(8)
        return 0


def answer(sockets: list[socket.socket]) -> None:
    """Refuse every query."""
    poller = select.poll()
    by_fd = {}
    for server in sockets:
        by_fd[server.fileno()] = server
        poller.register(server, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            server = by_fd[descriptor]
            if Path(os.environ.get("STAND_IN_MUTE", "/nonexistent")).exists():
                time.sleep(0.05)
                continue
            if server.type is socket.SOCK_DGRAM:
                packet, client = server.recvfrom(4096)
                with contextlib.suppress(OSError):  # its own address may be withdrawn by now
                    server.sendto(refused(packet), client)
                continue
            connection, _ = server.accept()
            connection.settimeout(1)
            try:
                packet = connection.recv(4096)[2:]
                reply = refused(packet)
                connection.send(struct.pack("!H", len(reply)) + reply)
            except OSError:
                pass
            connection.close()


def refused(packet: bytes) -> bytes:
    return packet[:2] + b"\x81\x85" + packet[4:]


if __name__ == "__main__":
    sys.exit(main())
