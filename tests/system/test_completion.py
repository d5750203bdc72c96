"""What the shells themselves complete, with a person at the keyboard."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.system.on_node import ROOT
from tests.system.terminal import Terminal

pytestmark = pytest.mark.system
SHELLS = {"bash": ("--norc", "--noprofile"), "zsh": ("-f",)}


@pytest.fixture(params=SHELLS)
def shell(request) -> Iterator[Terminal]:
    """A shell that has read the script as `nodecache completion` says."""
    name = request.param
    # A shell that is told to end may still write its history as the folder is taken away.
    with tempfile.TemporaryDirectory(prefix="nc", ignore_cleanup_errors=True) as folder:
        home = f"HOME={folder}"
        terminal = Terminal(Path(folder), "env", home, need(name, package=name), *SHELLS[name])
        program = (
            f"cd {ROOT}; PS1='ready> '; source <({sys.executable} -m nodecache completion {name})"
        )
        terminal.press(program, "Enter")
        terminal.press("clear; echo so it", "Enter")
        terminal.wait_for("so it")
        yield terminal
        terminal.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("nodecache do", "nodecache doctor"),
        ("nodecache -locali", "nodecache -localip"),
        ("nodecache top --sec", "nodecache top --seconds"),
        ("nodecache explain --name", "nodecache explain --namespace"),
        ("nodecache doctor --js", "nodecache doctor --json"),
        ("nodecache check --di", "nodecache check --diff"),
        ("nodecache help expl", "nodecache help explain"),
        ("nodecache completion z", "nodecache completion zsh"),
        ("nodecache check pyproj", "nodecache check pyproject.toml"),
    ],
)
def test_a_tab_completes(shell, typed, completed):
    shell.press(typed, "Tab")
    shell.wait_for(completed)
