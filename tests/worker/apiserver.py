"""A stand-in for the API server on loopback, which says what a test wrote down.

A conversation is a list of what each request is answered with, in order; the last one is given to
every request after it.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User

from tests.patience import PATIENCE_SECONDS

PATH = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of slices at a version."""

    items: Sequence[dict[str, Any]] = ()
    version: str = "100"


@dataclass(frozen=True, slots=True)
class Watch:
    """A stream of events; then it is `closed`, `reset`, or goes on without a word (`open`)."""

    events: Sequence[dict[str, Any]] = ()
    end: str = "open"
    is_torn: bool = False
    """Whether events arrive in pieces that know nothing of lines."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error in place of an answer."""

    status: int = 403
    reason: str = "Forbidden"


Answer = Listing | Watch | Refusal


@dataclass
class ApiServer:
    """`asked` are the requests' queries so far."""

    conversation: Sequence[Answer]
    asked: list[dict[str, str]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._news = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.gather(*self._serving)

    def stop(self) -> None:
        """Be away: every connection ends, and none is taken."""
        self._server.close()
        for writer in list(self._writers):
            reset(writer)

    async def start_again(self) -> None:
        """Be back, at the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def config(self) -> KubeConfig:
        server = Cluster(server=f"http://127.0.0.1:{self.port}")
        return KubeConfig.from_one(cluster=server, user=User(token="a token"))

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.asked) < times:
                await self._news.wait()
                self._news.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer_one(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urlsplit(head.split()[1])
        assert target.path == PATH
        answer = self.conversation[min(len(self.asked), len(self.conversation) - 1)]
        self.asked.append({name: values[0] for name, values in parse_qs(target.query).items()})
        self._news.set()
        match answer:
            case Watch():
                return await _stream(reader, writer, answer)
            case Listing():
                status, body = "200 OK", _listing(answer)
            case Refusal():
                status, body = f"{answer.status} {answer.reason}", _status(answer)
        content = json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {status}\r\n{_JSON}Content-Length: {len(content)}\r\n\r\n".encode())
        writer.write(content)
        await writer.drain()
        return True


_JSON = "Content-Type: application/json\r\n"


async def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watch: Watch) -> bool:
    writer.write(f"HTTP/1.1 200 OK\r\n{_JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
    octets = b"".join(json.dumps(event).encode() + b"\n" for event in watch.events)
    size = 7 if watch.is_torn else max(len(octets), 1)
    for start in range(0, len(octets), size):
        piece = octets[start : start + size]
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
    if watch.end == "closed":
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
    if watch.end == "reset":
        reset(writer)
        return False
    await reader.read()  # until the client goes
    return False


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a RST."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _listing(listing: Listing) -> dict[str, Any]:
    return {
        "kind": "EndpointSliceList",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": listing.version},
        "items": list(listing.items),
    }


def _status(refusal: Refusal) -> dict[str, Any]:
    message = 'endpointslices is forbidden: User "system:serviceaccount:…" cannot list resource'
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "code": refusal.status,
    }


# What it tells


def endpoint(address: str, *zones: str, ready: bool = True, terminating: bool = False) -> Any:
    """One endpoint of a slice, as the API server of Kubernetes 1.36 writes it."""
    hints = {"hints": {"forZones": [{"name": zone} for zone in zones]}} if zones else {}
    return {
        "addresses": [address],
        "conditions": {
            "ready": ready,
            "serving": ready or terminating,
            "terminating": terminating,
        },
        "nodeName": "node1",
        "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": f"coredns-{address}"},
        **hints,
    }


def a_slice(*endpoints: Any, name: str = "kube-dns-upstream-x7k2p", version: str = "100") -> Any:
    """A slice of kube-dns' Service."""
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "resourceVersion": version,
            "labels": {"kubernetes.io/service-name": "kube-dns-upstream"},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [
            {"name": "metrics", "port": 9153, "protocol": "TCP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
    }


def event(kind: str, each: Any) -> dict[str, Any]:
    """One line of a watch."""
    return {"type": kind, "object": each}


def gone() -> dict[str, Any]:
    """The server no longer knows the version that a watch went on from."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 100 (4711)",
        "reason": "Expired",
        "code": 410,
    }
    return event("ERROR", status)


def bookmark(version: str) -> dict[str, Any]:
    """How far a watch has come, as the server writes it for slices."""
    return event(
        "BOOKMARK",
        {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": version},
            "addressType": "",
            "endpoints": None,
            "ports": None,
        },
    )
