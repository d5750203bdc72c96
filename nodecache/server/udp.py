"""The UDP listener: reads batches of queries, answers from the reply table, sends replies.

One wake-up reads until the socket is empty, within bounds: other sockets need their turn, and a batch
must fit the first bucket of the latency histogram (250 µs), because its hits are timed together.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from struct import Struct
from time import monotonic
from typing import Any, Final, Protocol

from nodecache.forward.histogram import DURATION_BOUNDS

from .handler import Handler
from .journal import Journal, JournalEntry
from .normalized import normalized_key
from .replies import CachedReply, ReplyBudget, ReplyTable

log = logging.getLogger(__name__)

MAX_QUERY_SIZE: Final = 4096  # the original stops at 512 and calls longer ones malformed
_MAX_BATCH: Final = 32  # at about 5 µs each, a batch stays below the first bucket's bound
# A wake-up this soon after the last one found more waiting: read more at a time. On a quiet node
# queries are further apart, and a second look would only cost a system call.
_AT_ONCE_SECONDS: Final = 0.00003
# But where other work fills the loop's turns (scrapes, clients by TCP), wake-ups are as far apart and much waits
# for each. So one of so many that found a single query looks for a second one all the same.
_SINGLES_PER_LOOK: Final = 8
_FIRST_BOUND: Final = DURATION_BOUNDS[0]
_IN_PKTINFO: Final = Struct("=i4s4s")  # interface index, local address, header's destination
_ANCILLARY_SIZE: Final = 128


class ReaderLoop(Protocol):
    """The part of an event loop that watches sockets.

    asyncio's own type says that `remove_reader` returns a bool, which uvloop's does not, and compiled
    code checks what it is promised.
    """

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call back whenever there is something to read."""

    def remove_reader(self, fd: int) -> object:
        """Call back no more."""


class UdpListener:
    """One UDP socket bound to an address of its own; `socket` stays the keeper's."""

    name = "udp"

    def __init__(
        self,
        udp_socket: socket.socket,
        handler: Handler,
        reply_budget: ReplyBudget,
        journal: Journal | None = None,
    ) -> None:
        self.socket = udp_socket
        self.local: tuple[str, int] = udp_socket.getsockname()[:2]
        self.replies = ReplyTable(reply_budget)
        self._alike = ReplyTable(reply_budget)  # keyed by normalized queries
        self._has_alike = False
        self.dropped = 0
        self._handler = handler
        self._journal = journal
        self._label = "{}:{}".format(*self.local).encode()
        self._batch = 1
        self._singles = 0
        self._ended_at = 0.0
        self._loop: ReaderLoop | None = None

    def start(self, loop: ReaderLoop) -> None:
        """Begin to read."""
        self._loop = loop
        loop.add_reader(self.socket.fileno(), self._readable)

    def stop(self) -> None:
        """Stop reading; queries queued in the kernel wait for the next reader."""
        if self._loop is not None:
            self._loop.remove_reader(self.socket.fileno())
            self._loop = None

    def close(self) -> None:
        """Close the socket, also the second descriptor of it that a sampler reads by, and drop all replies."""
        self.socket.close()
        now = monotonic()
        self.replies.close(now)
        self._alike.close(now)

    def drain(self) -> None:
        """Answer what is queued, as far as the cache can; called once reading has stopped."""
        for _ in range(_MAX_QUEUED):
            self._batch = _MAX_BATCH
            dropped = self.dropped
            self._readable()
            if self._batch < _MAX_BATCH and self.dropped == dropped:  # an error ends a batch, too
                return

    def _readable(self) -> None:
        """Serve one batch. The hot path: a hit in the reply table is these lines and no more."""
        receive = self.socket.recvfrom
        send = self.socket.sendto
        get = self.replies.young.get
        now = monotonic()
        served: list[CachedReply] = []
        count = 0
        try:
            for _ in range(self._batch):
                packet, address = receive(MAX_QUERY_SIZE)
                count += 1
                finished = get(packet[2:])
                if finished is not None and finished.good_until > now:
                    finished.hits += 1
                    served.append(finished)
                    send(packet[:2] + finished.next_tail(), address)
                else:
                    finished = self._serve_packet(packet, address, now)
                    if finished is not None:
                        served.append(finished)
                    get = self.replies.young.get
        except BlockingIOError:
            pass
        except OSError as error:
            self._note_error(error)
        self._note_batch(count, served, now)

    def _serve_packet(self, packet: bytes, address: Any, now: float) -> CachedReply | None:
        """Serve a query that has no fresh reply in the young table; its cached reply, if it got one."""
        query_tail = packet[2:]
        finished = self.replies.recover(query_tail, now)
        if finished is not None:
            finished.hits += 1
            self.send(packet[:2] + finished.next_tail(), address)
            return finished
        if self._has_alike:
            finished = self._serve_normalized(packet, address, now)
            if finished is not None:
                return finished
        made = self._handler.handle(packet, self, address, now)
        if made is not None:
            if made.alike is None:
                self.replies.put(query_tail, made, now)
            else:
                self._has_alike = True
                self._alike.put(made.alike.key, made, now)
        return None

    def _serve_normalized(self, packet: bytes, address: Any, now: float) -> CachedReply | None:
        """Answer a query that differs only in letter case or options from one that was answered."""
        finished = self._alike.fresh(normalized_key(packet), now)
        if finished is None or finished.alike is None or not finished.alike.fits(packet):
            return None
        finished.hits += 1
        self.send(finished.alike.reply(packet, finished.next_tail()), address)
        return finished

    # The reply tables

    @property
    def finished_replies(self) -> int:
        """How many replies are kept."""
        return len(self.replies) + len(self._alike)

    def flush_in_slices(self, now: float) -> Iterator[None]:
        """Count all hits not counted yet, in short slices: called before a scrape."""
        yield from self.replies.flush_in_slices(now)
        yield from self._alike.flush_in_slices(now)

    def forget_replies(self) -> None:
        """Drop every finished reply: the zones have changed."""
        self.replies.drop()
        self._alike.drop()
        self._has_alike = False

    def send(self, reply: bytes, address: Any) -> None:
        """Send a reply; a full buffer or a client that went away loses it, as UDP may."""
        try:
            self.socket.sendto(reply, address)
        except OSError as error:
            self._note_error(error)

    def forget(self, address: Any) -> None:
        """Nothing is kept for a client that gets no reply."""

    def note(self, packet: bytes, address: Any, now: float) -> int:
        """Note a query that has to wait in the journal, where there is one."""
        journal = self._journal
        if journal is None:
            return -1
        return journal.note(now, self._label, address[0], address[1], packet)

    def unnote(self, slot: int) -> None:
        """A noted query was answered."""
        if self._journal is not None:
            self._journal.free(slot)

    def take_over(self, noted: JournalEntry) -> bool:
        """Answer a query that a former worker read at this address; False where it is not this listener's."""
        if self._journal is None or noted.label.encode() != self._label:
            return False
        self._handler.handle(noted.packet, self, (noted.host, noted.port), noted.at)
        return True

    def _note_error(self, error: OSError) -> None:
        # Full buffers, and what ICMP brings back of clients that are gone (ECONNREFUSED,
        # EHOSTUNREACH …): nothing that stops a server.
        self.dropped += 1
        log.debug("udp: %s", error)

    def _note_batch(self, count: int, served: list[CachedReply], began_at: float) -> None:
        """Choose the next batch's size, and time this one's hits.

        A hit is counted in the first bucket when it is flushed; if the whole batch took less than
        that bound, so did each hit. A slower batch's hits are moved to where the batch
        belongs. The batch's seconds go to the zone of its first hit: in sum, each gets its share.
        """
        ended_at = monotonic()
        if count < self._batch:
            self._batch = max(count, 1)
        elif count > 1 or began_at - self._ended_at < _AT_ONCE_SECONDS:
            self._batch = min(2 * count, _MAX_BATCH)
        else:
            self._singles += 1
            if self._singles % _SINGLES_PER_LOOK == 0:
                self._batch = 2
        self._ended_at = ended_at
        if served:
            seconds = ended_at - began_at
            served[0].binding.counts.duration.sum += seconds
            if seconds > _FIRST_BOUND:
                for finished in served:
                    finished.binding.counts.duration.move_from_first(seconds)


_MAX_QUEUED: Final = 4096  # batches: more than any receive buffer holds


class WildcardUdpListener(UdpListener):
    """A UDP socket bound to every address: each reply leaves from the one that was asked.

    `address` is then (client's address, ancillary data for the way back): RFC 3542 §6, ip(7).
    """

    def __init__(
        self,
        udp_socket: socket.socket,
        handler: Handler,
        reply_budget: ReplyBudget,
        journal: Journal | None = None,  # noqa: ARG002 - it could not keep the way back
    ) -> None:
        super().__init__(udp_socket, handler, reply_budget)
        if udp_socket.family == socket.AF_INET6:
            udp_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            udp_socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def _readable(self) -> None:
        receive = self.socket.recvmsg
        now = monotonic()
        served: list[CachedReply] = []
        count = 0
        try:
            for _ in range(self._batch):
                packet, ancillary, _, client = receive(MAX_QUERY_SIZE, _ANCILLARY_SIZE)
                count += 1
                finished = self._serve_packet(packet, (*client[:2], client, ancillary), now)
                if finished is not None:
                    served.append(finished)
        except BlockingIOError:
            pass
        except OSError as error:
            self._note_error(error)
        self._note_batch(count, served, now)

    def send(self, reply: bytes, address: Any) -> None:
        """Send a reply from where the query was sent to."""
        try:
            self.socket.sendmsg([reply], [_way_back(item) for item in address[3]], 0, address[2])
        except OSError as error:
            self._note_error(error)


_IP_PKTINFO: Final = 8  # linux/in.h; the socket module has no name for it before 3.14


def _way_back(item: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """The ancillary data to send with: the local address kept, the interface left to routing."""
    level, kind, data = item
    if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
        _, local, _ = _IN_PKTINFO.unpack_from(data)
        return level, kind, _IN_PKTINFO.pack(0, local, b"\0\0\0\0")
    if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and data[:2] != b"\xfe\x80":
        return level, kind, data[:16] + b"\0\0\0\0"
    return item
