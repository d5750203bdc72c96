"""A terminal in which a program runs: tmux types and looks at the screen."""

import os
import subprocess
from pathlib import Path

from tests.helpers.prometheus import wait_until
from tests.needs import need

TMUX = need("tmux", package="tmux")


class Terminal:
    """A tmux of its own with one window in which a program runs."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self._tmux = [TMUX, "-S", str(folder / "tmux"), "-f", "/dev/null"]
        size = ("-x", "110", "-y", "40")
        self._run("new-session", "-d", *size, *argv)

    def _run(self, *words: str, check: bool = True) -> str:
        env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=check, env=env
        ).stdout

    def screen(self) -> str:
        return self._run("capture-pane", "-p", check=False)

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def has_ended(self) -> bool:
        return not self._run("list-sessions", check=False)

    def close(self) -> None:
        self._run("kill-server", check=False)

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.screen(), text)
