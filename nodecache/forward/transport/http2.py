"""DoH over HTTP/2, which h2 speaks: each question has a stream of its own. Octets in, octets out."""

from collections import deque
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from nodecache.forward.runtime import Endpoint

from .doh import MAX_OCTETS, BrokenHttp, answer_to, authority, request_for, servfail

# What an honest server never needs: one that does loses its connection.
_MAX_EVENTS = 2000  # without a response among them: pings, settings, a body by the octet
_MAX_IDLE_OCTETS = (
    1 << 22
)  # the same: twice what all streams may bring; h2 keeps a frame of any size
_MAX_WAITING = 4096
# 3 ms of work: a turn of the loop that begins more would delay hits.
_MAX_STREAMS = 32
_MAX_HEAD_OCTETS = 16384


@dataclass(slots=True)
class _Stream:
    """One request and what came of it so far. `was_refused`: it is asked for the second time."""

    asked: bytes
    was_refused: bool = False
    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Connection(H2Connection):
    """h2's own reads nothing more behind a GOAWAY. But a server answers what it had accepted before."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        state = self.state_machine.state
        received = super()._receive_goaway_frame(frame)
        self.state_machine.state = state
        return received


class Http2:
    """One connection. `request` and `receive` may give something `to_send`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._authority = authority(endpoint)
        self._http = _Connection(H2Configuration(client_side=True))
        self._http.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEAD_OCTETS,
            },
        )
        self._http.initiate_connection()
        self._streams: dict[int, _Stream] = {}
        # Who waits for longest has been given up by then.
        self._waiting: deque[_Stream] = deque(maxlen=_MAX_WAITING)
        self._idle_events = self._idle_octets = 0
        self._is_ending = False

    @property
    def is_over(self) -> bool:
        """The server wants no more requests here, and has answered those that it accepted."""
        return self._is_ending and not self._streams

    def request(self, message: bytes) -> None:
        """Ask, as soon as the server has room for one more."""
        self._waiting.append(_Stream(message))
        self._send_waiting()

    def to_send(self) -> bytes:
        """What has to be sent since the last time."""
        return self._http.data_to_send()

    def take_apart(self) -> None:
        """Drop all that h2 keeps for the connection.

        It has a table of its own methods, a cycle, and the garbage collector does not look at what is older
        than a moment: each connection would leave 24 KiB.
        """
        self._http.__dict__.clear()  # not vars(): who builds the image has no types of h2

    def _send_waiting(self) -> None:
        http = self._http
        while self._waiting and not self._is_ending:
            request = request_for(self._waiting[0].asked, self._endpoint)
            settings = http.remote_settings
            window = min(http.outbound_flow_control_window, settings.initial_window_size)
            max_count = min(settings.max_concurrent_streams, _MAX_STREAMS)
            if len(request.body) > window or http.open_outbound_streams >= max_count:
                return
            number = http.get_next_available_stream_id()
            self._streams[number] = self._waiting.popleft()
            head = [(":method", request.method), (":path", request.path), (":scheme", "https")]
            head += [(":authority", self._authority), *request.fields]
            http.send_headers(number, head, end_stream=not request.body)
            if request.body:
                http.send_data(number, request.body, end_stream=True)

    def receive(self, data: bytes) -> list[bytes]:
        """The answers in what came."""
        try:
            events = self._http.receive_data(data)
            answers = [answer for event in events if (answer := self._answer(event))]
            self._send_waiting()
        except (ProtocolError, ValueError) as error:
            raise BrokenHttp(str(error) or type(error).__name__) from None
        if answers:
            self._idle_events = self._idle_octets = 0
        self._idle_events += len(events)
        self._idle_octets += len(data)
        if self._idle_events > _MAX_EVENTS or self._idle_octets > _MAX_IDLE_OCTETS:
            raise BrokenHttp("much, and no response in it")
        return answers

    def _answer(self, event: Event) -> bytes | None:
        """What an event brings to an end."""
        if isinstance(event, ConnectionTerminated):
            self._end_behind(event)
            return None
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return None
        if isinstance(event, ResponseReceived):
            stream.fields = dict(event.headers or ())
            stream.status = int(stream.fields[b":status"])
        elif isinstance(event, DataReceived):
            self._take(event, stream)
        elif isinstance(event, StreamEnded):
            del self._streams[event.stream_id or 0]
            return answer_to(stream.asked, stream.status, stream.fields, bytes(stream.body))
        elif isinstance(event, StreamReset):
            del self._streams[event.stream_id or 0]
            if event.error_code == ErrorCodes.REFUSED_STREAM and not stream.was_refused:
                # The server did not look at it (RFC 9113 §8.7): more were sent at once than it
                # takes, before its settings said so.
                self._waiting.appendleft(_Stream(stream.asked, was_refused=True))
                return None
            return servfail(stream.asked, "the request was broken off")
        return None

    def _end_behind(self, event: ConnectionTerminated) -> None:
        """Ask nothing more here; wait for what the server has accepted (RFC 9113 §6.8).

        The pool sends the others on another connection once this one is over.
        """
        self._is_ending = True
        is_orderly = event.error_code == ErrorCodes.NO_ERROR
        last = (event.last_stream_id or 0) if is_orderly else 0
        for number in [each for each in self._streams if each > last]:
            del self._streams[number]

    def _take(self, event: DataReceived, stream: _Stream) -> None:
        stream.body += event.data or b""
        if len(stream.body) > MAX_OCTETS:
            raise BrokenHttp("a body of no size an answer has")
        self._http.acknowledge_received_data(
            event.flow_controlled_length or 0, event.stream_id or 0
        )
