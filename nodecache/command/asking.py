"""Asking the agent that runs: one line of JSON to its control socket, lines back."""

import json
import socket
from collections.abc import Iterator
from typing import Any

from nodecache.config.flags import parse_flags

from .agent_arguments import agent_arguments

MOST_LINE_OCTETS = 4 << 20
_READ_OCTETS = 65_536


class CannotAsk(Exception):
    """No agent can be asked, or it says why it does not answer; a line for people."""


def control_path(asked_for: str | None) -> str:
    """Where the agent's control socket is: as asked for, or else as the agent of this container has it."""
    path = (
        parse_flags(agent_arguments(), is_served=False).control if asked_for is None else asked_for
    )
    if not path:
        raise CannotAsk("the agent has no control socket: -control is empty")
    return path


def ask(path: str, seconds: float | None, **request: Any) -> socket.socket:
    """Send a request; its answers are read with `answers`. No answer within `seconds` is an end."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect(path)
        connection.sendall(json.dumps(request).encode() + b"\n")
    except OSError as error:
        connection.close()
        raise CannotAsk(
            f"{path}: {error.strerror or error}: does the agent run, are we root?"
        ) from None
    return connection


def answers(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """The lines that come, until the agent ends them. CannotAsk where one tells an error."""
    rest = b""
    while True:
        try:
            octets = connection.recv(_READ_OCTETS)
        except OSError as error:
            raise CannotAsk(f"the agent does not answer: {error.strerror or error}") from None
        *lines, rest = (rest + octets).split(b"\n")
        yield from map(read_answer, lines)
        if not octets:
            return
        if len(rest) > MOST_LINE_OCTETS:
            raise CannotAsk("the agent says too much at once")


def read_answer(line: bytes) -> dict[str, Any]:
    """One line that came."""
    try:
        answer = json.loads(line)
    except ValueError:
        raise CannotAsk("the agent is not understood") from None
    if not isinstance(answer, dict):
        raise CannotAsk("the agent is not understood")
    if "error" in answer:
        raise CannotAsk(str(answer["error"]))
    return answer


def printable(text: str) -> str:
    """`text` without what a terminal would act on: names are what strangers asked for."""
    return "".join(each if each.isprintable() else "?" for each in text)
