"""A Unix socket at which root asks the running worker: one request a connection, answers as lines of JSON.

It is opened before root is given up, and only root may connect. The names that pods ask for
are shown nowhere else. A client that does not read delays nobody: only one line is
made ahead for it, and after a while its connection is closed.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

from .control_request import MAX_REQUEST_OCTETS, MalformedRequest, Request, read_request

log = logging.getLogger(__name__)

Answer = dict[str, Any]
Command = Callable[[Request], AsyncGenerator[Answer, None]]
"""What a request is answered with, one line after the other."""

_MAX_CONNECTIONS = 8
_REQUEST_SECONDS = 2.0
_UNREAD_SECONDS = 10.0
_UNREAD_OCTETS = 4096  # beside what the kernel holds: the next line waits until less is unread


class Control:
    """The socket and its connections. `path` "" is no socket."""

    def __init__(self, path: str, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Open the socket; if that fails, a log line says so."""
        if not self._path:
            return
        try:
            listener = open_private_socket(self._path)
        except OSError as error:
            log.info("no nodecache explain and top: %s: %s", self._path, error)
            return
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listener, limit=MAX_REQUEST_OCTETS
        )

    def close(self) -> None:
        """Close the socket and its connections."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= _MAX_CONNECTIONS:
            writer.write(_line({"error": "too many connections"}))
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        except Exception:
            log.exception("a request at %s could not be answered", self._path)
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the one request, and send its answers until they end or the client has gone."""
        writer.transport.set_write_buffer_limits(high=_UNREAD_OCTETS)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = read_request(await reader.readline())
            command = self._commands.get(request.command)
            if command is None:
                raise MalformedRequest(f"there is no command {request.command!r}")
        except ValueError as error:  # also of a line that has no end
            await _tell(writer, {"error": str(error)})
            return
        telling = asyncio.ensure_future(_tell_all(writer, command(request)))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            for each in (telling, leaving):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await each


async def _tell_all(writer: asyncio.StreamWriter, answers: AsyncGenerator[Answer, None]) -> None:
    async with contextlib.aclosing(answers):
        try:
            async for answer in answers:
                await _tell(writer, answer)
        except MalformedRequest as error:
            await _tell(writer, {"error": str(error)})


async def _tell(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(_line(answer))
    async with asyncio.timeout(_UNREAD_SECONDS):
        await writer.drain()


def _line(answer: Answer) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"


def open_private_socket(path: str) -> socket.socket:
    """A listening stream socket at `path` that only our own user may connect to.

    Makes its folder if it is missing. Replaces a socket that is there in one step: that of the
    previous worker, or of an agent from which this one takes over.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    fresh = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        Path(fresh).unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            listener.bind(fresh)
        finally:
            os.umask(mask)
        listener.listen(_MAX_CONNECTIONS)
        Path(fresh).rename(path)
    except OSError:
        listener.close()
        with contextlib.suppress(OSError):
            Path(fresh).unlink()
        raise
    return listener
