"""`dnstap`: sends every query and reply to a collector, as dnstap messages."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from nodecache import __version__
from nodecache.corefile import DnstapOptions
from nodecache.forward import Attempt
from nodecache.server.directive import AskNext, Client, Outcome, Steps
from nodecache.server.directives.log_format import LogFormat, LoggedQuery, reply_flags
from nodecache.server.directives.metadata import UPSTREAM, note
from nodecache.server.directives.trace.trace import record_connect
from nodecache.wire import Answer, Flag, Query, empty_reply, upstream_query

from .frames import Event, Sender, TapMessage, encoded
from .sink import Sink

WallClock = Callable[[], int]
"""Nanoseconds since 1970."""

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question to an upstream and its answer: host and port of both ends, times in nanoseconds."""

    packet: bytes
    answer: bytes
    transport: str
    local: tuple[str, int] | None
    upstream: tuple[str, int]
    asked_at: int
    answered_at: int


class Dnstap:
    """One `dnstap` line: clients' queries, our replies, and upstreams' answers from `forward`."""

    name = "dnstap"

    def __init__(self, options: DnstapOptions, sink: Sink, wall_clock: WallClock) -> None:
        self._sink = sink
        self._wall_clock = wall_clock
        self._is_full = options.is_full
        self._extra = LogFormat(options.extra)
        self._sender = Sender(
            _or_default(options.identity, socket.gethostname()),
            _or_default(options.version, f"nodecache-{__version__}"),
        )

    def serve(self, query: Query, client: Client) -> Steps:
        """Send the query as a message, pass it on, and send the reply."""
        message = TapMessage(
            event=Event.CLIENT_QUERY,
            transport=client.transport,
            query_address=(client.host, client.address[1]),
            query_time=self._wall_clock(),
            query_packet=query.packet if self._is_full else b"",
        )
        self._put(message, query, client)
        result = yield AskNext(query)
        if isinstance(result, Outcome):
            message.event = Event.CLIENT_RESPONSE
            message.query_packet = b""
            message.response_time = self._wall_clock()
            message.response_packet = reply_packet(query, result) if self._is_full else b""
            self._put(message, query, client)
        return result

    def forwarded(self, exchange: Exchange, query: Query, client: Client) -> None:
        """Send a query to an upstream and its answer as messages."""
        message = TapMessage(
            event=Event.FORWARDER_QUERY,
            transport=exchange.transport,
            query_address=exchange.local,
            response_address=exchange.upstream,
            query_time=exchange.asked_at,
            query_packet=exchange.packet if self._is_full else b"",
        )
        self._put(message, query, client)
        message.event = Event.FORWARDER_RESPONSE
        message.query_packet = b""
        message.response_time = exchange.answered_at
        message.response_packet = exchange.answer if self._is_full else b""
        self._put(message, query, client)

    def _put(self, message: TapMessage, query: Query, client: Client) -> None:
        extra = self._extra.filled(LoggedQuery(query, client)).encode()
        self._sink.put(encoded(self._sender, message, extra))

    def close(self) -> None:
        """End the stream."""
        self._sink.close()


def _or_default(text: str | None, default: str) -> bytes:
    return (default if text is None else text).encode()


def reply_packet(query: Query, result: Outcome) -> bytes:
    """The reply as it stands before the client's limits and EDNS are looked at."""
    if not isinstance(result, Answer):
        return empty_reply(query, result.rcode, flags=Flag.RA)
    flags = reply_flags(query, result) | Flag.QR
    wire = result.wire
    return (
        query.id
        + flags.to_bytes(2, "big")
        + wire[4:12]
        + query.question
        + wire[result.question_end :]
    )


class ForwardObserver:
    """Passes queries to upstreams and their answers on to dnstap, traces and metadata."""

    def __init__(self, taps: Sequence[Dnstap], wall_clock: WallClock) -> None:
        self._taps = taps
        self._wall_clock = wall_clock

    def __call__(
        self, query: Query, client: Client, attempt: Attempt, answer: bytes, now: float
    ) -> None:
        """An upstream answered `query`, asked for `client`; `now` is monotonic seconds."""
        note(client, UPSTREAM, attempt.upstream.to)
        record_connect(client, attempt, now)
        if not self._taps:
            return
        answered_at = self._wall_clock()
        path = attempt.carrier.path if attempt.carrier is not None else ""
        exchange = Exchange(
            packet=upstream_query(query, int.from_bytes(answer[:2], "big")),
            answer=answer,
            transport="tcp" if attempt.by_stream else "udp",
            local=_address(path.partition("->")[0]),
            upstream=_address(attempt.upstream.to) or ("0.0.0.0", 0),
            asked_at=answered_at - int((now - attempt.sent_at) * _NANOSECONDS),
            answered_at=answered_at,
        )
        for tap in self._taps:
            tap.forwarded(exchange, query, client)


def _address(text: str) -> tuple[str, int] | None:
    """Host and port of `10.0.0.1:53` or `[fd00::1]:53`; None where it is neither."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    try:
        ip_address(host.partition("%")[0])
        return host, int(port)
    except ValueError:
        return None
