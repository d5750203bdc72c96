"""The socket at which a keeper finds its predecessor: an abstract Unix socket of the network namespace.

Pods on the host's network share that namespace. The name is made from the addresses that an agent
serves, so agents of other addresses do not find each other. A peer that is neither root nor the same
user is rejected (SO_PEERCRED, unix(7)).
"""

import errno
import hashlib
import logging
import math
import os
import select
import socket
import struct
from collections.abc import Iterable

from nodecache import __version__
from nodecache.config.flags import Flags
from nodecache.process.channel import Channel, close_descriptors
from nodecache.process.listen import ListenAddress
from nodecache.process.messages import Message
from nodecache.process.sockets import Sockets, close_all

from .handover import Handover, UnexpectedMessage
from .handover_messages import FORMS, PROTOCOL, from_fields

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0  # a keeper is never busy for longer than a fraction of this
RETRY_SECONDS = 1.0
HELLO_SECONDS = 2.0  # for who has connected to say so
MAX_WAITING = 8  # who have connected and not said hello; the oldest gives way
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_MALFORMED = (OSError, ValueError)  # what reading a peer's message may raise
_NOBODY_THERE = {errno.ECONNREFUSED, errno.ENOENT}


def name_of(flags: Flags, listening: Iterable[ListenAddress]) -> str:
    """The name of the handover socket; equal flags make equal names."""
    hosts = [str(address) for address in flags.local_ips]
    served = sorted(hosts or [str(address) for address in listening])
    host = [flags.dns_port, flags.interface_name, flags.setup_interface, flags.sets_up_host]
    digest = hashlib.sha256(repr((served, host)).encode()).hexdigest()
    return f"nodecache/{digest[:32]}"


class HandoverSocket:
    """The socket at `name`, and the links to the keepers before and after us."""

    def __init__(self, name: str, handover: Handover) -> None:
        self._path = f"\0{name}"
        self._handover = handover
        self._poller = select.epoll()
        self._socket: socket.socket | None = None
        self._links: dict[int, Channel] = {}
        self._silent: dict[int, tuple[Channel, float]] = {}  # and until when each may say hello
        self._open_at = 0.0
        self._is_told = False

    def fileno(self) -> int:
        """One descriptor, readable when `turn` has something to do."""
        return self._poller.fileno()

    def next_wake(self) -> float:
        """When to call `turn` even if nothing is readable."""
        is_closed = self._socket is None and self._handover.is_socket_wanted
        return min(
            self._handover.next_wake(),
            self._open_at if is_closed else math.inf,
            *(until for _, until in self._silent.values()),
        )

    def request(self, wanted: Iterable[ListenAddress]) -> dict[ListenAddress, Sockets]:
        """Connect to the agent that serves; returns those of its sockets that are `wanted`.

        Waits, for two seconds at the most: nothing is served yet.
        """
        link = None
        try:
            link = self._connect()
            if link is None:
                return {}
            reply = _say_hello(link)
            lent = _lent(reply)
        except (*_MALFORMED, UnexpectedMessage) as error:
            if link is not None:
                link.close()
            log.warning("an agent is there that hands nothing over (%s): an ordinary start", error)
            return {}
        needed = set(wanted)
        kept = {address: pair for address, pair in lent.items() if address in needed}
        close_all(pair for address, pair in lent.items() if address not in needed)
        if not kept:
            log.warning("an agent is there that serves other addresses: an ordinary start")
            link.close()
            return {}
        log.info("an agent serves: %d of our %d addresses are lent", len(kept), len(needed))
        self._handover.found(link, makes_rules=reply.fields["makes_rules"])
        self._watch(link)
        return kept

    def _connect(self) -> Channel | None:
        """Connect to the agent that listens; None where there is none."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(self._path)
            _check(client)
        except OSError as error:
            client.close()
            if error.errno in _NOBODY_THERE:
                return None
            raise
        return Channel(client, FORMS)

    def turn(self, now: float) -> None:
        """Accept connections and read their messages. Never waits."""
        for descriptor, _ in self._poller.poll(0):
            if self._socket is not None and descriptor == self._socket.fileno():
                self._accept(self._socket, now)
            elif descriptor in self._silent:
                self._read_hello(descriptor, now)
            elif descriptor in self._links:
                self._read_link(self._links[descriptor])
        for descriptor in [fd for fd, (_, until) in self._silent.items() if now >= until]:
            self._reject(descriptor, "it sends nothing")
        self._handover.turn(now)
        self._forget_closed()
        self._open_or_close(now)

    def _accept(self, server: socket.socket, now: float) -> None:
        try:
            client, _ = server.accept()
        except (BlockingIOError, ConnectionError):
            return  # gone again
        except OSError as error:  # no descriptor to spare: it would be readable again at once
            log.warning("the next agent cannot connect: %s", error.strerror)
            self.close()
            self._open_at = now + RETRY_SECONDS
            return
        try:
            _check(client)
        except OSError as error:
            log.warning("a peer is rejected at the handover socket: %s", error)
            client.close()
            return
        if len(self._silent) >= MAX_WAITING:
            self._reject(next(iter(self._silent)), "others wait")
        link = Channel(client, FORMS)
        self._silent[link.fileno()] = link, now + HELLO_SECONDS
        self._poller.register(link.fileno(), select.EPOLLIN)

    def _read_hello(self, descriptor: int, now: float) -> None:
        """Read the first message: it must be a hello, else the connection is closed."""
        link, _ = self._silent[descriptor]
        try:
            message = link.receive()
        except BlockingIOError:
            return
        except _MALFORMED as error:
            self._reject(descriptor, str(error))
            return
        if message is None or message.kind != "hello":
            close_descriptors(message.descriptors if message is not None else ())
            self._reject(descriptor, "it does not say hello")
            return
        del self._silent[descriptor]
        close_descriptors(message.descriptors)
        if self._handover.arrived(link, message, now):
            self._links[descriptor] = link
        else:
            link.close()

    def _reject(self, descriptor: int, why: str) -> None:
        log.warning("a peer is rejected at the handover socket: %s", why)
        link, _ = self._silent.pop(descriptor)
        link.close()

    def _read_link(self, link: Channel) -> None:
        """Handle every message of a link; a handler may close it."""
        while link.fileno() in self._links:
            try:
                message = link.receive()
            except BlockingIOError:
                return
            except _MALFORMED as error:
                log.warning("another agent is not understood: %s", error)
                message = None
            try:
                self._handover.heard(link, message)
            finally:
                close_descriptors(message.descriptors if message is not None else ())
            if message is None:
                return

    def _watch(self, link: Channel) -> None:
        self._links[link.fileno()] = link
        self._poller.register(link.fileno(), select.EPOLLIN)

    def _forget_closed(self) -> None:
        """Forget closed links; the kernel has taken their descriptors out of the epoll."""
        open_ones = {self._handover.predecessor, self._handover.successor}
        self._links = {fd: link for fd, link in self._links.items() if link in open_ones}

    def _open_or_close(self, now: float) -> None:
        if not self._handover.is_socket_wanted:
            self.close()
        elif self._socket is None and now >= self._open_at:
            self._open(now)

    def _open(self, now: float) -> None:
        """Listen for a successor. A name that is taken becomes free when its owner ends."""
        try:
            self._socket = _listening(self._path)
        except OSError as error:
            self._open_at = now + RETRY_SECONDS
            if not self._is_told:
                self._is_told = True
                log.warning("no hand-over to a next agent for now: %s", error.strerror)
            return
        self._poller.register(self._socket.fileno(), select.EPOLLIN)

    def is_taken(self) -> bool:
        """Whether another agent has the name that was ours; to be asked after `close`."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as trial:
                trial.bind(self._path)
        except OSError as error:  # also where there is no descriptor to find it out
            return error.errno == errno.EADDRINUSE
        return False

    def close(self) -> None:
        """Stop listening; links stay open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close_in_child(self) -> None:
        """After a fork, in the child: a link must end with its keeper."""
        self._poller.close()
        self.close()
        for link in (*self._links.values(), *(silent for silent, _ in self._silent.values())):
            link.close()


def _listening(path: str) -> socket.socket:
    """A socket at which a successor finds us. OSError where the name is taken, or no descriptor is left."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        server.setblocking(False)
        server.bind(path)
        server.listen(MAX_WAITING)
    except OSError:
        server.close()
        raise
    return server


def _check(peer: socket.socket) -> None:
    """Raise PermissionError where the other end is neither root nor who we are."""
    told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(told)
    if uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, f"user {uid} is neither root nor ours")


def _say_hello(link: Channel) -> Message:
    """Say hello; the sockets that come back. Raises OSError, ValueError or UnexpectedMessage."""
    link.send("hello", protocol=PROTOCOL, version=__version__)
    waiting = select.poll()
    waiting.register(link.fileno(), select.POLLIN)
    if not waiting.poll(ANSWER_SECONDS * 1000):
        raise UnexpectedMessage("it does not answer")
    message = link.receive()
    if message is None:
        raise UnexpectedMessage("it closed the link")
    if message.kind != "sockets":
        close_descriptors(message.descriptors)
        raise UnexpectedMessage(str(message.fields.get("why")))
    return message


def _lent(message: Message) -> dict[ListenAddress, Sockets]:
    """The sockets in a message. Raises OSError or UnexpectedMessage where they are not what it says."""
    opened: list[socket.socket] = []
    try:
        for descriptor in message.descriptors:
            opened.append(socket.socket(fileno=descriptor))  # noqa: PERF401 - to be closed if one fails
        return _paired(message, opened)
    except (OSError, UnexpectedMessage):
        close_descriptors(message.descriptors[len(opened) :])
        close_descriptors(each.detach() for each in opened)
        raise


def _paired(message: Message, opened: list[socket.socket]) -> dict[ListenAddress, Sockets]:
    addresses = from_fields(message.fields)
    if message.fields["protocol"] != PROTOCOL:
        raise UnexpectedMessage(f"it speaks protocol {message.fields['protocol']}")
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    wanted = [(kind, address.port) for address in addresses for kind in kinds]
    if [_kind_and_port(each) for each in opened] != wanted:
        raise UnexpectedMessage("it lends other than a UDP and a TCP socket for each address")
    pairs = zip(addresses, opened[::2], opened[1::2], strict=True)
    return {address: Sockets(udp, tcp) for address, udp, tcp in pairs}


def _kind_and_port(lent: socket.socket) -> tuple[int, int]:
    """What a socket is, and where it is bound; no port where that is not the Internet's. OSError."""
    is_internet = lent.family in (socket.AF_INET, socket.AF_INET6)
    return lent.type, lent.getsockname()[1] if is_internet else -1
