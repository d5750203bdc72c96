"""The terminal while `top` runs: keys in, screens out."""

import contextlib
import os
import select
import socket
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.live import Live

from nodecache.command.control_client import Answers, ControlError

from .pod_names import PodNames
from .screen import screen
from .view import View

_MAX_KEYS = 64


def watch(connection: socket.socket) -> None:
    """Show the samples until the user quits; raises ControlError when the agent ends."""
    view, answers, names = View(), Answers(connection), PodNames()
    told: dict[str, Any] | None = None
    keyboard = sys.stdin.fileno()
    console = Console()
    with _keys_at_once(keyboard), Live(console=console, screen=True, auto_refresh=False) as live:
        while not view.has_quit:
            if told is not None:
                live.update(screen(told, view, console.height), refresh=True)
            ready, _, _ = select.select([keyboard, connection], [], [])
            if keyboard in ready:
                keys = os.read(keyboard, _MAX_KEYS).decode("utf-8", "replace")
                for key in keys or "q":  # the terminal is gone
                    view.press(key)
            if connection in ready:
                came = answers.read()
                if answers.has_ended:
                    raise ControlError("the agent has ended")
                if came and not (view.is_paused and told is not None):
                    told = came[-1]
                    names.tell(told["clients"], time.monotonic())


@contextlib.contextmanager
def _keys_at_once(terminal: int) -> Iterator[None]:
    """Have the terminal deliver each key at once, and not show it."""
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
