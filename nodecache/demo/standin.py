"""A stand-in for kube-dns: answers from records, over UDP and TCP, on one loopback port."""

import asyncio
import contextlib
import errno
import socket
from importlib import resources
from typing import cast

import dns.exception
import dns.message

from nodecache.wire import FrameBuffer, framed

from .records import Records

_HOST = "127.0.0.1"

# A client without EDNS takes this much: RFC 1035 §4.2.1.
_PLAIN_OCTETS = 512

# Free for TCP and taken for UDP is rare; twenty times in a row does not happen.
_PORTS_TRIED = 20


def sample_records() -> Records:
    """A small cluster's services, their reverse names, and something of the world outside."""
    return Records(resources.files(__package__).joinpath("sample.zone").read_text())


class StandIn:
    """Serves `records` on a free port of 127.0.0.1."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tcp, self._udp = bind_both(_HOST)
        self._closing: list[asyncio.BaseTransport | asyncio.Server] = []
        self.port: int = self._tcp.getsockname()[1]

    async def start(self) -> None:
        """Answer from now on, in the running loop."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._records), sock=self._udp
        )
        server = await loop.create_server(lambda: _Stream(self._records), sock=self._tcp)
        self._closing += [transport, server]

    def close(self) -> None:
        """Stop listening."""
        for endpoint in self._closing:
            endpoint.close()


def bind_both(host: str, port: int = 0) -> tuple[socket.socket, socket.socket]:
    """A listening TCP socket and a UDP socket on `port`; 0 takes one that is free for both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_PORTS_TRIED):
        tcp = socket.create_server((host, port), family=family)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError as error:
            tcp.close()
            udp.close()
            if port or error.errno != errno.EADDRINUSE:
                raise
        else:
            return tcp, udp
    raise OSError(errno.EADDRINUSE, "no port is free for both TCP and UDP")


def reply_to(records: Records, packet: bytes, limit: int | None = None) -> bytes | None:
    """The reply to `packet` in at most `limit` octets (default: what the asker takes), or silence."""
    try:
        query = dns.message.from_wire(packet)
    except dns.exception.DNSException:
        return None
    if len(query.question) != 1:
        return None
    size = limit or max(_PLAIN_OCTETS, query.payload)
    return records.answer(query).to_wire(max_size=size, prefer_truncation=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, records: Records) -> None:
        self._records = records
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        reply = reply_to(self._records, data)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


class _Stream(asyncio.Protocol):
    def __init__(self, records: Records) -> None:
        self._records = records
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for packet in self._frames.feed(data):
            reply = reply_to(self._records, packet, 65535)
            if reply is not None and self._transport is not None:
                self._transport.write(framed(reply))


async def serve_until_closed(stand_in: StandIn, lifeline: int) -> None:
    """Serve until the other end of the pipe `lifeline` is closed, which the kernel sees to."""
    await stand_in.start()
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(lifeline, gone.set)
    with contextlib.ExitStack() as stack:
        stack.callback(stand_in.close)
        stack.callback(loop.remove_reader, lifeline)
        await gone.wait()
