"""Where two keepers of one node meet: a Unix socket without a file, in the network namespace.

Pods on the host's network share that namespace, whatever else is their own. The name is made of
what an agent serves, so agents of other addresses do not meet. Who is not root, or the same user,
is sent away (SO_PEERCRED, unix(7)).
"""

import errno
import hashlib
import logging
import os
import select
import socket
import struct
from collections.abc import Iterable

from nodecache import __version__
from nodecache.config.flags import Flags
from nodecache.process.channel import Channel
from nodecache.process.listen import ListenAddress
from nodecache.process.messages import Message
from nodecache.process.sockets import Sockets, close_all

from .handover import FORMS, PROTOCOL, Handover, Misunderstood, from_fields

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0  # a keeper is never busy for longer than a fraction of this
RETRY_SECONDS = 1.0
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_NONSENSE = (OSError, ValueError)  # what reading another one's octets may raise
_NOBODY_THERE = {errno.ECONNREFUSED, errno.ENOENT}


def name_of(flags: Flags, listening: Iterable[ListenAddress]) -> str:
    """The name at which agents like this one meet; the same for as long as its flags are."""
    hosts = [str(address) for address in flags.local_ips]
    served = sorted(hosts or [str(address) for address in listening])
    host = [flags.dns_port, flags.interface_name, flags.setup_interface, flags.sets_up_host]
    digest = hashlib.sha256(repr((served, host)).encode()).hexdigest()
    return f"nodecache/{digest[:32]}"


class Door:
    """The socket at `name`, and the links to the keepers before and after us."""

    def __init__(self, name: str, handover: Handover) -> None:
        self._path = f"\0{name}"
        self._handover = handover
        self._poller = select.epoll()
        self._socket: socket.socket | None = None
        self._links: dict[int, Channel] = {}
        self._open_at = 0.0
        self._is_told = False

    def fileno(self) -> int:
        """One descriptor, readable when `turn` has something to do."""
        return self._poller.fileno()

    def next_wake(self) -> float:
        """When to call `turn` even if nothing is readable."""
        is_closed = self._socket is None and self._handover.is_door_wanted
        return min(self._handover.next_wake(), self._open_at if is_closed else float("inf"))

    def knock(self, wanted: Iterable[ListenAddress]) -> dict[ListenAddress, Sockets]:
        """Find the agent that serves, and be lent the sockets of `wanted` that it has.

        Waits, for two seconds at the most: nothing is served yet.
        """
        link = None
        try:
            link = self._call()
            if link is None:
                return {}
            lent = _lent(_ask(link))
        except (*_NONSENSE, Misunderstood) as error:
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
        self._handover.found(link)
        self._watch(link)
        return kept

    def _call(self) -> Channel | None:
        """A link to the agent at the door; None where there is none."""
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
        """Let in who knocks, and hear what they say. Never waits."""
        for descriptor, _ in self._poller.poll(0):
            if self._socket is not None and descriptor == self._socket.fileno():
                self._let_in(self._socket)
            elif descriptor in self._links:
                self._listen(self._links[descriptor])
        self._handover.turn(now)
        self._forget_closed()
        self._open_or_close(now)

    def _let_in(self, server: socket.socket) -> None:
        try:
            client, _ = server.accept()
        except OSError:
            return  # gone again
        try:
            _check(client)
        except OSError as error:
            log.warning("sent away at the door: %s", error)
            client.close()
            return
        link = Channel(client, FORMS)
        if self._handover.knocked(link):
            self._watch(link)
        else:
            link.close()

    def _listen(self, link: Channel) -> None:
        """Everything that a link has to say; it may be closed by what comes of it."""
        while link.fileno() in self._links:
            try:
                message = link.receive()
            except BlockingIOError:
                return
            except _NONSENSE as error:
                log.warning("another agent is not understood: %s", error)
                message = None
            self._handover.heard(link, message)
            if message is None:
                return
            for descriptor in message.descriptors:
                os.close(descriptor)

    def _watch(self, link: Channel) -> None:
        self._links[link.fileno()] = link
        self._poller.register(link.fileno(), select.EPOLLIN)

    def _forget_closed(self) -> None:
        """A closed descriptor has left the epoll by itself."""
        open_ones = {self._handover.before, self._handover.after}
        self._links = {fd: link for fd, link in self._links.items() if link in open_ones}

    def _open_or_close(self, now: float) -> None:
        if not self._handover.is_door_wanted:
            self.close()
        elif self._socket is None and now >= self._open_at:
            self._open(now)

    def _open(self, now: float) -> None:
        """Be found by a successor. A name that is taken is free once its owner has gone."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        server.setblocking(False)
        try:
            server.bind(self._path)
            server.listen(1)
        except OSError as error:
            server.close()
            self._open_at = now + RETRY_SECONDS
            if not self._is_told:
                self._is_told = True
                log.warning("no hand-over to a next agent for now: %s", error.strerror)
            return
        self._socket = server
        self._poller.register(server.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Be found no more; links stay as they are."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close_in_child(self) -> None:
        """After a fork, in the child: a link must end with its keeper."""
        self._poller.close()
        self.close()
        for link in self._links.values():
            link.close()


def _check(peer: socket.socket) -> None:
    """Raise PermissionError where the other end is neither root nor who we are."""
    told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(told)
    if uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, f"user {uid} is neither root nor ours")


def _ask(link: Channel) -> Message:
    """Say hello; the sockets that come back. Raises OSError, ValueError or Misunderstood."""
    link.send("hello", protocol=PROTOCOL, version=__version__)
    waiting = select.poll()
    waiting.register(link.fileno(), select.POLLIN)
    if not waiting.poll(ANSWER_SECONDS * 1000):
        raise Misunderstood("it does not answer")
    message = link.receive()
    if message is None:
        raise Misunderstood("it hung up")
    if message.kind != "sockets":
        raise Misunderstood(str(message.fields.get("why")))
    return message


def _lent(message: Message) -> dict[ListenAddress, Sockets]:
    """The sockets in a message. Raises Misunderstood where they are not what it says."""
    opened = [socket.socket(fileno=descriptor) for descriptor in message.descriptors]
    try:
        return _paired(message, opened)
    except Misunderstood:
        for each in opened:
            each.close()
        raise


def _paired(message: Message, opened: list[socket.socket]) -> dict[ListenAddress, Sockets]:
    addresses = from_fields(message.fields)
    if message.fields["protocol"] != PROTOCOL:
        raise Misunderstood(f"it speaks protocol {message.fields['protocol']}")
    kinds = [socket.SOCK_DGRAM, socket.SOCK_STREAM] * len(addresses)
    if [each.type for each in opened] != kinds:
        raise Misunderstood("it lends other than a UDP and a TCP socket for each address")
    pairs = zip(addresses, opened[::2], opened[1::2], strict=True)
    return {address: Sockets(udp, tcp) for address, udp, tcp in pairs}
