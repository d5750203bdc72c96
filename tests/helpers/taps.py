"""A dnstap reader of our own, written from the format's description: what it reads is not our code."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.patience import PATIENCE_SECONDS

_CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
_ACCEPT, _START, _STOP, _READY, _FINISH = 1, 2, 3, 4, 5

Fields = dict[int, object]


def protobuf(octets: bytes) -> Fields:
    """Fields by number: ints for varints and fixed32, bytes for the rest."""
    fields: Fields = {}
    offset = 0
    while offset < len(octets):
        tag, offset = _varint(octets, offset)
        number, wire_type = tag >> 3, tag & 7
        assert number not in fields, f"field {number} twice"
        if wire_type == 0:
            fields[number], offset = _varint(octets, offset)
        elif wire_type == 2:
            size, offset = _varint(octets, offset)
            fields[number] = octets[offset : offset + size]
            assert offset + size <= len(octets)
            offset += size
        else:
            assert wire_type == 5
            fields[number] = int.from_bytes(octets[offset : offset + 4], "little")
            offset += 4
    return fields


def _varint(octets: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = octets[offset]
        offset += 1
        value |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            return value, offset


EVENTS = {5: "CLIENT_QUERY", 6: "CLIENT_RESPONSE", 7: "FORWARDER_QUERY", 8: "FORWARDER_RESPONSE"}


@dataclass
class Tapped:
    """One dnstap payload, read."""

    identity: bytes
    version: bytes
    extra: bytes
    message: Fields

    @property
    def event(self) -> str:
        return EVENTS[self.message[1]]


def payload(octets: bytes) -> Tapped:
    fields = protobuf(octets)
    assert fields[15] == 1
    message = protobuf(fields[14])
    return Tapped(fields.get(1, b""), fields.get(2, b""), fields.get(3, b""), message)


def control(kind: int, *, named: bool = True) -> bytes:
    field_octets = b"\0\0\0\1" + len(_CONTENT_TYPE).to_bytes(4, "big") + _CONTENT_TYPE
    body = kind.to_bytes(4, "big") + (field_octets if named else b"")
    return b"\0\0\0\0" + len(body).to_bytes(4, "big") + body


@dataclass
class Reading:
    """What one connection brought."""

    controls: list[int] = field(default_factory=list)
    payloads: list[Tapped] = field(default_factory=list)


def read_stream(connection: socket.socket, reading: Reading, news: threading.Condition) -> None:
    """Shake hands as a reader does, and read until STOP or the end."""
    with connection, connection.makefile("rb") as stream:
        while len(prefix := stream.read(4)) == 4:
            size = int.from_bytes(prefix, "big")
            if size:
                with news:
                    reading.payloads.append(payload(stream.read(size)))
                    news.notify_all()
                continue
            body = stream.read(int.from_bytes(stream.read(4), "big"))
            kind = int.from_bytes(body[:4], "big")
            assert kind == _STOP or _CONTENT_TYPE in body
            with news:
                reading.controls.append(kind)
                news.notify_all()
            if kind == _READY:
                connection.sendall(control(_ACCEPT))
            if kind == _STOP:
                with contextlib.suppress(OSError):  # the writer need not wait for it
                    connection.sendall(control(_FINISH, named=False))
                return


class TapReader:
    """A dnstap reader on a socket of its own, for writers that connect."""

    def __init__(self, path: str = "") -> None:
        self.reading = Reading()
        self._news = threading.Condition()
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            Path(path).chmod(0o777)  # the agent is nobody by the time it connects
            self._listener.listen()
            self.address = path
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            read_stream(connection, self.reading, self._news)

    def wait_for(self, count: int) -> list[Tapped]:
        """Wait until `count` payloads came."""
        with self._news:
            assert self._news.wait_for(
                lambda: len(self.reading.payloads) >= count, PATIENCE_SECONDS
            ), self.reading
            return list(self.reading.payloads)

    def wait_for_stop(self) -> list[int]:
        """Wait for the end of the stream; the control frames that came."""
        with self._news:
            assert self._news.wait_for(lambda: _STOP in self.reading.controls, PATIENCE_SECONDS), (
                self.reading
            )
            return list(self.reading.controls)
