"""As much of HTTP/2 (RFC 9113) as a client of DNS over HTTPS needs. No I/O: octets in, octets out.

The server is told to keep no table of header fields (HPACK, RFC 7541), so that a response's head
is read without one: all that is wanted of it is `:status`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
PRIORITY = 0x20

Fields = Sequence[tuple[str, str]]
Response = tuple[bytes, int, bytes]
"""What was asked, status and body; status 0 where the stream was refused or broken off."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEAD = Struct("!HBBBL")  # the length is 24 bits: 16 and 8
_SETTING = Struct("!HL")
_LONG = Struct("!L")
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MOST_STREAMS, _INITIAL_WINDOW = 1, 2, 3, 4
_USUAL_WINDOW = 65535
_MOST_FRAME_OCTETS = 16384
_MOST_BODY_OCTETS = 65535
_OUR_STREAM_WINDOW = 1 << 20
_OUR_WINDOW = 1 << 30
_USUAL_MOST_STREAMS = 100
_LAST_STREAM = 0x7FFFFFFF
# What an honest server never needs: one that does loses its connection.
_MOST_IDLE_FRAMES = 4096
_MOST_HELD_OCTETS = 1 << 22
_MOST_WAITING = 4096

# RFC 7541, appendix A: the fields that we send and read.
_STATIC = {
    (":method", "GET"): 2, (":method", "POST"): 3, (":scheme", "https"): 7,
}  # fmt: skip
_NAMES = {":authority": 1, ":path": 4, "accept": 19, "content-length": 28, "content-type": 31}
_STATUSES = dict(enumerate((200, 204, 206, 304, 400, 404, 500), start=8))
_STATUS = 8
_STATIC_SIZE = 61
# RFC 7541, appendix B: the digits; three have codes of five bits.
_FIVE_BIT_DIGITS = {0b00000: "0", 0b00001: "1", 0b00010: "2"}
_SIX_BIT_DIGITS = {0b011001 + at: str(3 + at) for at in range(7)}


class Malformed(ValueError):
    """The server broke the rules of HTTP/2."""


@dataclass(slots=True)
class _Stream:
    """One request and what came of it so far."""

    asked: bytes
    status: int = 0
    body: bytearray = field(default_factory=bytearray)


class Http2:
    """One connection. `request` and `receive` may give something `to_send`."""

    def __init__(self) -> None:
        settings = (
            (_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, _OUR_STREAM_WINDOW),
        )  # fmt: skip
        self._outgoing = [
            _PREFACE,
            frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in settings)),
            frame(WINDOW_UPDATE, 0, 0, _LONG.pack(_OUR_WINDOW)),
        ]
        self._incoming = b""
        self._streams: dict[int, _Stream] = {}
        # Who waits for longest has been given up by then.
        self._waiting: deque[tuple[bytes, bytes, bytes]] = deque(maxlen=_MOST_WAITING)
        self._held = 0
        """Octets of bodies that are not whole yet."""
        self._idle_frames = 0
        """How many came since the last response."""
        self._next_stream = 1
        self._window = _USUAL_WINDOW
        self._stream_window = _USUAL_WINDOW
        self._most_streams = _USUAL_MOST_STREAMS
        self._consumed = 0
        self._is_going = False
        self._head = b""
        self._head_of: tuple[int, int] | None = None
        """The stream and flags of a head that goes on in CONTINUATION frames."""

    @property
    def is_over(self) -> bool:
        """No more requests can be made, and none is under way."""
        return self._is_going and not self._streams

    def request(self, fields: Fields, body: bytes, asked: bytes) -> None:
        """Ask, as soon as there is room; `asked` is handed back with the response."""
        self._waiting.append((encoded(fields), body, asked))
        self._send_waiting()

    def to_send(self) -> bytes:
        """What has to be sent since the last time."""
        outgoing, self._outgoing = self._outgoing, []
        return b"".join(outgoing)

    def _send_waiting(self) -> None:
        while self._waiting and not self._is_going and len(self._streams) < self._most_streams:
            head, body, asked = self._waiting[0]
            if len(body) > min(self._window, self._stream_window):
                return
            self._waiting.popleft()
            number = self._next_stream
            self._next_stream += 2
            self._is_going = self._next_stream > _LAST_STREAM
            self._window -= len(body)
            self._streams[number] = _Stream(asked)
            flags = END_HEADERS if body else END_HEADERS | END_STREAM
            self._outgoing.append(frame(HEADERS, flags, number, head))
            if body:
                self._outgoing.append(frame(DATA, END_STREAM, number, body))

    def receive(self, data: bytes) -> list[Response]:
        """The responses that `data` completes. ValueError where the server breaks the rules."""
        self._incoming += data
        responses: list[Response] = []
        while len(self._incoming) >= _FRAME_HEAD.size:
            high, low, kind, flags, number = _FRAME_HEAD.unpack_from(self._incoming)
            size = high << 8 | low
            if size > _MOST_FRAME_OCTETS:
                raise Malformed("a frame larger than we take")
            end = _FRAME_HEAD.size + size
            if len(self._incoming) < end:
                break
            payload, self._incoming = self._incoming[_FRAME_HEAD.size : end], self._incoming[end:]
            self._idle_frames += 1
            if self._idle_frames > _MOST_IDLE_FRAMES:
                raise Malformed("thousands of frames, and no response")
            self._take(kind, flags, number & _LAST_STREAM, payload, responses)
        self._send_waiting()
        return responses

    def _take(
        self, kind: int, flags: int, number: int, payload: bytes, responses: list[Response]
    ) -> None:
        if self._head_of is not None and kind != CONTINUATION:
            raise Malformed("a head that does not go on")
        if kind == DATA:
            self._take_data(flags, number, payload, responses)
        elif kind in (HEADERS, CONTINUATION):
            self._take_head(kind, flags, number, payload, responses)
        elif kind == RST_STREAM:
            self._finish(number, responses, is_broken=True)
        elif kind == SETTINGS and not flags & ACK:
            self._settle(payload)
        elif kind == PING and not flags & ACK:
            self._outgoing.append(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._go_away(number_in(payload), responses)
        elif kind == WINDOW_UPDATE and number == 0:
            self._window += number_in(payload)
        elif kind == PUSH_PROMISE:
            raise Malformed("a push, though it was switched off")

    def _settle(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload[: len(payload) // 6 * 6]):
            if name == _MOST_STREAMS:
                self._most_streams = value
            elif name == _INITIAL_WINDOW:
                self._stream_window = value
        self._outgoing.append(frame(SETTINGS, ACK, 0, b""))

    def _go_away(self, last: int, responses: list[Response]) -> None:
        """What is above `last` was not looked at; what waits will be asked elsewhere."""
        self._is_going = True
        for number in [each for each in self._streams if each > last]:
            self._finish(number, responses, is_broken=True)

    def _take_data(
        self, flags: int, number: int, payload: bytes, responses: list[Response]
    ) -> None:
        self._consumed += len(payload)
        if self._consumed > _OUR_WINDOW // 2:
            self._outgoing.append(frame(WINDOW_UPDATE, 0, 0, _LONG.pack(self._consumed)))
            self._consumed = 0
        stream = self._streams.get(number)
        if stream is None:
            return
        part = unpadded(flags, payload)
        stream.body += part
        self._held += len(part)
        if len(stream.body) > _MOST_BODY_OCTETS or self._held > _MOST_HELD_OCTETS:
            raise Malformed("a body larger than any answer")
        if flags & END_STREAM:
            self._finish(number, responses)

    def _take_head(
        self, kind: int, flags: int, number: int, payload: bytes, responses: list[Response]
    ) -> None:
        if kind == HEADERS:
            payload = unpadded(flags, payload)
            self._head = payload[5:] if flags & PRIORITY else payload
            self._head_of = number, flags
        elif self._head_of is None or self._head_of[0] != number:
            raise Malformed("a continuation of nothing")
        else:
            self._head += payload
            if len(self._head) > _MOST_FRAME_OCTETS:
                raise Malformed("a head larger than we take")
        if not flags & END_HEADERS:
            return
        (number, first_flags), self._head_of = self._head_of, None
        status = status_of(self._head)
        stream = self._streams.get(number)
        if stream is not None and status:  # trailers have none
            stream.status = status
        if first_flags & END_STREAM:
            self._finish(number, responses)

    def _finish(self, number: int, responses: list[Response], *, is_broken: bool = False) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._idle_frames = 0
            self._held -= len(stream.body)
            responses.append((stream.asked, 0 if is_broken else stream.status, bytes(stream.body)))


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    """One frame."""
    size = len(payload)
    return _FRAME_HEAD.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def number_in(payload: bytes) -> int:
    """The 31 bits that a payload begins with."""
    if len(payload) < _LONG.size:
        raise Malformed("a frame that is cut")
    return int(_LONG.unpack_from(payload)[0]) & _LAST_STREAM


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Malformed("more padding than there is room for")
    return payload[1 : len(payload) - payload[0]]


# HPACK


def encoded(fields: Fields) -> bytes:
    """A head: by number where it has one, else as literals that nobody has to remember."""
    block = bytearray()
    for name, value in fields:
        number = _STATIC.get((name, value))
        if number is not None:
            block.append(0x80 | number)
        else:
            block += _integer(_NAMES[name], 4) + _integer(len(value), 7) + value.encode("ascii")
    return bytes(block)


def _integer(value: int, bits: int) -> bytes:
    """RFC 7541 §5.1; the bits above are 0."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    octets = bytearray((most,))
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 28, 7):
        octet = block[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise Malformed("a number larger than any here")


def _read_text(block: bytes, at: int) -> tuple[bytes, bool, int]:
    """Octets, and whether they are in Huffman's code."""
    is_coded = block[at] >= 0x80
    size, at = _read_integer(block, at, 7)
    if at + size > len(block):
        raise Malformed("a text beyond its end")
    return block[at : at + size], is_coded, at + size


def status_of(block: bytes) -> int:
    """`:status` of a head; 0 where there is none."""
    status = at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:
            number, at = _read_integer(block, at, 7)
            if not 0 < number <= _STATIC_SIZE:
                raise Malformed("a field of a table that we do not keep")
            status = _STATUSES.get(number, status)
            continue
        if first & 0xE0 == 0x20:
            _, at = _read_integer(block, at, 5)  # the table's size, which is 0
            continue
        number, at = _read_integer(block, at, 6 if first & 0x40 else 4)
        if number > _STATIC_SIZE:
            raise Malformed("a name of a table that we do not keep")
        name = b""
        if number == 0:
            name, _, at = _read_text(block, at)
        value, is_coded, at = _read_text(block, at)
        if name == b":status" or _STATUS <= number < _STATUS + len(_STATUSES):
            status = int(digits(value) if is_coded else value)
    return status


def digits(coded: bytes) -> str:
    """Three digits in Huffman's code."""
    bits, size = int.from_bytes(coded, "big"), len(coded) * 8
    told = ""
    while len(told) < 3 and size >= 5:
        five = bits >> (size - 5) & 0b11111
        if five in _FIVE_BIT_DIGITS:
            told += _FIVE_BIT_DIGITS[five]
            size -= 5
        else:
            told += _SIX_BIT_DIGITS.get(bits >> max(size - 6, 0) & 0b111111, "?")
            size -= 6
    return told
