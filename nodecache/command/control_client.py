"""Asks the running agent: one line of JSON to its control socket, lines back."""

import json
import socket
from collections.abc import Iterator
from typing import Any

from nodecache.config.flags import parse_flags

from .agent_arguments import agent_arguments

MAX_LINE_OCTETS = 4 << 20
_READ_OCTETS = 65_536


class ControlError(Exception):
    """No agent can be asked, or it refuses; the text is a line for people."""


def control_path(asked_for: str | None) -> str:
    """The path of the agent's control socket: `asked_for`, or else that of this container's agent."""
    path = (
        parse_flags(agent_arguments(), is_served=False).control if asked_for is None else asked_for
    )
    if not path:
        raise ControlError("the agent has no control socket: -control is empty")
    return path


def ask(path: str, patience_seconds: float, /, **request: Any) -> socket.socket:
    """Send a request; `Answers` reads its answers. Raises ControlError; reads time out after `patience_seconds`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience_seconds)
    try:
        connection.connect(path)
        connection.sendall(json.dumps(request).encode() + b"\n")
    except OSError as error:
        connection.close()
        raise ControlError(
            f"{path}: {error.strerror or error}: does the agent run, are we root?"
        ) from None
    return connection


class Answers:
    """Reads the lines of a connection as answers."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        self.has_ended = False

    def read(self) -> list[dict[str, Any]]:
        """Wait for octets; returns the answers that are whole. Raises ControlError if one is an error."""
        try:
            octets = self._connection.recv(_READ_OCTETS)
        except OSError as error:
            raise ControlError(f"the agent does not answer: {error.strerror or error}") from None
        self.has_ended = not octets
        *lines, self._rest = (self._rest + octets).split(b"\n")
        if len(self._rest) > MAX_LINE_OCTETS:
            raise ControlError("the agent says too much at once")
        return [read_answer(line) for line in lines]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while not self.has_ended:
            yield from self.read()


def read_answer(line: bytes) -> dict[str, Any]:
    """One line that came."""
    try:
        answer = json.loads(line)
    except ValueError:
        raise ControlError("the agent is not understood") from None
    if not isinstance(answer, dict):
        raise ControlError("the agent is not understood")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


def printable(text: str) -> str:
    """`text` without control characters for terminals: names are what strangers asked."""
    return "".join(each if each.isprintable() else "?" for each in text)
