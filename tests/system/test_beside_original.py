"""The metrics pages of nodecache and of the original, side by side, where `node-cache` is on PATH.

Debian has no package of the original, so its absence is no failure, also in CI.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.metrics_shape import Shape, differences, shapes_of
from tests.helpers.agent import free_port
from tests.helpers.prometheus import wait_until
from tests.system.agent import COREFILE, Load, RunningAgent, running_agent, stand_in

pytestmark = pytest.mark.system

ELF = b"\x7fELF"

# Explained in docs/differences.md: Go's own series.
NOT_OURS = ("go_",)


def original_page(folder: Path, upstream: int) -> str:
    """What the original tells after some load, with the same Corefile."""
    program = shutil.which("node-cache")
    if program is None or Path(program).read_bytes()[:4] != ELF:  # ours is a script of that name
        pytest.skip("the original, node-cache, is not on PATH")
    port, metrics, setup_metrics, health = (free_port() for _ in range(4))
    (folder / "base").write_text(
        COREFILE.substitute(port=port, metrics=metrics, health=health, upstream=upstream)
    )
    with (folder / "log").open("wb") as log:
        original = subprocess.Popen(
            [
                *(program, "-localip", "127.0.0.1", "-p", str(port)),
                *("-basecorefile", f"{folder}/base", "-conf", f"{folder}/Corefile"),
                *("-setupinterface=false", "-setupiptables=false"),
                *("-metrics-listen-address", f"127.0.0.1:{setup_metrics}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: is_up(health), "the original")
        ask_some(port)
        return RunningAgent.get(metrics, "/metrics")
    finally:
        original.terminate()
        original.wait(30)


def is_up(health: int) -> bool:
    try:
        return RunningAgent.get(health, "/health") == "OK"
    except OSError:
        return False


def ask_some(port: int) -> None:
    load = Load(port)
    for _ in range(100):
        load.ask_one()


def test_names_types_labels_and_buckets_are_the_originals(tmp_path):
    (tmp_path / "original").mkdir()
    with stand_in() as upstream:
        original = original_page(tmp_path / "original", upstream)
        with running_agent(tmp_path, upstream) as agent:
            ask_some(agent.port)
            ours = agent.page()
    theirs: dict[str, Shape] = {
        name: shape for name, shape in shapes_of(original).items() if not name.startswith(NOT_OURS)
    }
    assert "coredns_proxy_request_duration_seconds" in theirs
    assert differences(theirs, shapes_of(ours)) == []
