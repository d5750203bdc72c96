"""DoH over HTTP/1.1, which h11 speaks: one request after the other. Octets in, octets out."""

from collections import deque
from collections.abc import Iterator

import h11

from nodecache.forward.runtime import Endpoint

from .doh import MAX_OCTETS, BrokenHttp, answer_to, authority, request_for

_MAX_HEAD_OCTETS = 16384
# What an honest server never needs: one that does loses its connection.
_MAX_EVENTS = 2000  # of one response: heads that only promise, a body by the octet
# A second of work for a server that takes 4 ms: who waits for longer has been given up.
_MAX_WAITING = 256


class Http1:
    """One connection. `request` and `receive` may give something `to_send`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._authority = authority(endpoint)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_OCTETS)
        self._waiting: deque[bytes] = deque(maxlen=_MAX_WAITING)
        self._asked: bytes | None = None
        self._status = 0
        self._fields: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._events = 0
        self._outgoing: list[bytes | None] = []
        self.is_over = False

    def request(self, message: bytes) -> None:
        """Ask, once what was asked before is answered."""
        self._waiting.append(message)
        self._send_next()

    def to_send(self) -> bytes:
        """What has to be sent since the last time."""
        outgoing, self._outgoing = self._outgoing, []
        return b"".join(each for each in outgoing if each)

    def _send_next(self) -> None:
        if self._asked is not None or self.is_over or not self._waiting:
            return
        self._asked = self._waiting.popleft()
        request = request_for(self._asked, self._endpoint)
        fields = [("host", self._authority), *request.fields]
        head = h11.Request(method=request.method, target=request.path, headers=fields)
        for event in (head, h11.Data(data=request.body), h11.EndOfMessage()):
            self._outgoing.append(self._http.send(event))

    def receive(self, data: bytes) -> list[bytes]:
        """The answers in what came; nothing is the end of the stream, which may be that of an answer."""
        try:
            self._http.receive_data(data)
            return list(self._answers())
        except h11.RemoteProtocolError as error:
            raise BrokenHttp(str(error)) from None

    def _answers(self) -> Iterator[bytes]:
        while not self.is_over:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.ConnectionClosed):
                self.is_over = True
                return
            self._events += 1
            if self._asked is None or self._events > _MAX_EVENTS:
                raise BrokenHttp("what nobody asked for")
            if isinstance(event, h11.Response):
                self._status = event.status_code
                self._fields = dict(event.headers)
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_OCTETS:
                    raise BrokenHttp("a body of no size an answer has")
            elif isinstance(event, h11.EndOfMessage):
                yield answer_to(self._asked, self._status, self._fields, bytes(self._body))
                self._end_response()

    def _end_response(self) -> None:
        self._asked, self._events = None, 0
        self._body.clear()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._send_next()
        else:
            self.is_over = True
