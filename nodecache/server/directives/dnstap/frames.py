"""dnstap on the wire: messages in protocol buffers, in frames of a bidirectional Frame Stream.

Sources: dnstap.proto and the fstrm library's protocol description (farsightsec). The few fields
that are needed are written by hand; a code generator and its runtime would be larger than this.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from struct import Struct

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"

_U32 = Struct("!I")
_FIXED32 = Struct("<I")
_CONTROL = Struct("!III")  # escape, size of what follows, type
_FIELD = Struct("!II")
_ESCAPE = 0
_CONTENT_TYPE_FIELD = 1
_MAX_CONTROL_OCTETS = 512
_NANOSECONDS = 1_000_000_000


class Control(IntEnum):
    """Control frames of a Frame Stream."""

    ACCEPT = 1
    START = 2
    STOP = 3
    READY = 4
    FINISH = 5


class MalformedStream(Exception):
    """Octets that are no Frame Stream of dnstap."""


def control_frame(kind: Control) -> bytes:
    """A control frame; those that open a stream name its content."""
    field = b""
    if kind in (Control.ACCEPT, Control.START, Control.READY):
        field = _FIELD.pack(_CONTENT_TYPE_FIELD, len(CONTENT_TYPE)) + CONTENT_TYPE
    return _CONTROL.pack(_ESCAPE, len(field) + _U32.size, kind) + field


def data_frame(payload: bytes) -> bytes:
    """One message's frame."""
    return _U32.pack(len(payload)) + payload


class ControlReader:
    """Reads the control frames that a dnstap reader answers with."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, octets: bytes) -> list[Control]:
        """The control frames that `octets` complete; MalformedStream where they are others."""
        self._kept += octets
        found = []
        while len(self._kept) >= _CONTROL.size:
            escape, size, kind = _CONTROL.unpack_from(self._kept)
            if escape != _ESCAPE or not _U32.size <= size <= _MAX_CONTROL_OCTETS:
                raise MalformedStream("a reader sends control frames and nothing else")
            end = 2 * _U32.size + size
            if len(self._kept) < end:
                break
            found.append(_control(kind, self._kept[_CONTROL.size : end]))
            self._kept = self._kept[end:]
        return found


def _control(kind: int, fields: bytes) -> Control:
    try:
        control = Control(kind)
    except ValueError:
        raise MalformedStream(f"there is no control frame {kind}") from None
    if control is Control.ACCEPT and CONTENT_TYPE not in fields:
        raise MalformedStream("the reader does not take dnstap")
    return control


class Event(IntEnum):
    """Kinds of dnstap messages: dnstap.proto, Message.Type."""

    CLIENT_QUERY = 5
    CLIENT_RESPONSE = 6
    FORWARDER_QUERY = 7
    FORWARDER_RESPONSE = 8


@dataclass(slots=True, kw_only=True)
class TapMessage:
    """One event. Times are nanoseconds since 1970; addresses are host and port.

    `query_address` is who asks, `response_address` who is asked; empty packets are left out.
    """

    event: Event
    transport: str
    query_address: tuple[str, int] | None
    query_time: int
    response_address: tuple[str, int] | None = None
    response_time: int | None = None
    query_packet: bytes = b""
    response_packet: bytes = b""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who we are, in every message."""

    identity: bytes
    version: bytes


_VARINT, _OCTETS, _32_BIT = 0, 2, 5  # protobuf wire types
_MESSAGE_TYPE = 1
_INET, _INET6 = 1, 2
_TRANSPORTS = {"udp": 1, "tcp": 2, "tls": 3}


def encoded(sender: Sender, message: TapMessage, extra: bytes = b"") -> bytes:
    """The Dnstap payload of `message`."""
    return b"".join(
        [
            _octets(1, sender.identity),
            _octets(2, sender.version),
            _octets(3, extra),
            _octets(14, _message(message)),
            _number(15, _MESSAGE_TYPE),
        ]
    )


def _message(message: TapMessage) -> bytes:
    known = message.query_address or message.response_address
    is_ipv6 = known is not None and ":" in known[0]
    parts = [
        _number(1, message.event),
        _number(2, _INET6 if is_ipv6 else _INET),
        _number(3, _TRANSPORTS[message.transport]),
    ]
    for number, address in ((4, message.query_address), (5, message.response_address)):
        if address is not None:
            parts.append(_octets(number, ip_address(address[0].partition("%")[0]).packed))
            parts.append(_number(number + 2, address[1]))
    parts += _time(8, message.query_time)
    parts.append(_octets(10, message.query_packet))
    if message.response_time is not None:
        parts += _time(12, message.response_time)
    parts.append(_octets(14, message.response_packet))
    return b"".join(parts)


def _time(field: int, nanoseconds: int) -> list[bytes]:
    """Seconds, and the nanoseconds beyond them in the next field."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return [_number(field, seconds), _tag(field + 1, _32_BIT) + _FIXED32.pack(rest)]


def _octets(field: int, data: bytes) -> bytes:
    return _tag(field, _OCTETS) + _varint(len(data)) + data if data else b""


def _number(field: int, value: int) -> bytes:
    return _tag(field, _VARINT) + _varint(value)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Seven bits an octet, the lowest first."""
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
