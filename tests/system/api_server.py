"""A stand-in for the API server: EndpointSlices of kube-dns, listed and watched over TLS, with a token.

    api_server.py ADDRESS PORT CERTIFICATE KEY TOKEN

It is told what to do by lines of JSON on standard input, and answers each with what it was asked so far:

    {"put": SLICE}  {"remove": NAME}   a change, which is sent to who watches
    {"bookmark": true}                 how far the watch has come
    {"expire": true}                   410 Gone to who watches, and to who would go on from before
    {"end": "closed"} or "reset"       the watches end
    {}                                 nothing

As the real one does, it starts a watch with what happened since the version that is asked for.
"""

import asyncio
import contextlib
import json
import ssl
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.worker.apiserver import PATH, bookmark, event, gone, reset

JSON = "Content-Type: application/json\r\n"
FIRST_VERSION = 100


class ApiServer:
    """What is there, at which version, who watches, and what was asked."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._version = FIRST_VERSION
        self._forgotten = 0  # nobody can go on from a version below
        self._slices: dict[str, Any] = {}
        self._history: list[tuple[int, dict[str, Any]]] = []
        self._watchers: dict[asyncio.StreamWriter, None] = {}
        self.asked: list[dict[str, str]] = []

    # What it is told

    def obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"put": found}:
                name = found["metadata"]["name"]
                self._change("MODIFIED" if name in self._slices else "ADDED", found)
                self._slices[name] = found
            case {"remove": name}:
                self._change("DELETED", self._slices.pop(name))
            case {"bookmark": _}:
                self._send(bookmark(str(self._version)))
            case {"expire": _}:
                self._version += 1
                self._forgotten = self._version
                self._send(gone())
                self._end("closed")
            case {"end": how}:
                self._end(how)

    def _change(self, kind: str, found: dict[str, Any]) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self._history.append((self._version, event(kind, found)))
        self._send(self._history[-1][1])

    def _send(self, line: dict[str, Any]) -> None:
        for writer in self._watchers:
            writer.write(chunk(line))

    def _end(self, how: str) -> None:
        for writer in list(self._watchers):
            if how == "closed":
                writer.write(b"0\r\n\r\n")
            else:
                reset(writer)
        self._watchers.clear()

    # What it is asked

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self._answer(head, writer)
                await writer.drain()
        self._watchers.pop(writer, None)
        writer.close()

    def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(head.split()[1])
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        self.asked.append({"path": target.path, **asked})
        if f"authorization: bearer {self._token}\r\n" not in head.lower():
            self._whole(writer, "401 Unauthorized", status(401, "Unauthorized"))
        elif target.path != PATH:
            self._whole(writer, "403 Forbidden", status(403, "not for you"))
        elif "watch" not in asked:
            metadata = {"resourceVersion": str(self._version)}
            items = list(self._slices.values())
            self._whole(writer, "200 OK", {**LIST, "metadata": metadata, "items": items})
        elif int(asked["resourceVersion"]) < self._forgotten:
            self._whole(writer, "410 Gone", gone()["object"])
        else:
            self._watch(int(asked["resourceVersion"]), writer)

    def _watch(self, since: int, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
        for version, line in self._history:
            if version > since:
                writer.write(chunk(line))
        self._watchers[writer] = None

    def _whole(self, writer: asyncio.StreamWriter, first: str, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {first}\r\n{JSON}Content-Length: {len(content)}\r\n\r\n".encode())
        writer.write(content)


LIST = {"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1"}


def status(code: int, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "code": code,
    }


def chunk(line: dict[str, Any]) -> bytes:
    octets = json.dumps(line).encode() + b"\n"
    return f"{len(octets):x}\r\n".encode() + octets + b"\r\n"


async def main(address: str, port: str, certificate: str, key: str, token: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    api = ApiServer(token)
    await asyncio.start_server(api.serve, address, int(port), ssl=context)
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print("ready", flush=True)
    while line := await orders.readline():
        api.obey(json.loads(line))
        print(json.dumps(api.asked), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
