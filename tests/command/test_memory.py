"""What a start reads in, and what both processes take: small nodes have 48 MiB for all of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.agent import Agent, stock
from tests.patience import PATIENCE_SECONDS

# Each is a megabyte or a part of one, for what few Corefiles ask for or what only tests need.
# (prometheus_client and what it brings has to be there before the worker is nobody, who may not be
# able to read the interpreter's own folder.)
NOT_READ_IN = {
    *("dns", "pyroute2", "re2", "yaml", "h2", "lightkube", "rich", "difflib", "decimal"),
}
_MAX_MEBIBYTES = 36


def test_a_start_reads_in_no_more_than_the_stock_corefile_needs():
    shown = "import sys, nodecache.command.starting; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", shown],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert NOT_READ_IN & set(done.stdout.split()) == set()


@pytest.mark.system
def test_both_processes_together_take_little(tmp_path):
    with Agent(tmp_path, stock("127.0.0.1:9")) as agent:
        octets = sum(own_octets(pid) for pid in (agent.process.pid, agent.worker))
    assert octets / 2**20 < _MAX_MEBIBYTES


def own_octets(pid: int) -> int:
    """What a process's memory is but files, of shared pages its share (proc(5))."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return 1024 * sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", text, re.MULTILINE)))
