"""The keeper lives on, whatever fails around it."""

import os
import resource
import signal
import subprocess
import urllib.request
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.helpers.agent import HOST, Agent, command, free_port, stock
from tests.helpers.prometheus import wait_until
from tests.helpers.upstream import FakeUpstream
from tests.needs import need_root
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system


@pytest.fixture
def upstream():
    with FakeUpstream("a.example. 30 IN A 192.0.2.1") as fake:
        yield fake


def test_a_pid_file_that_cannot_be_written_is_an_error_line(tmp_path, upstream):
    flags = ("-pidfile", str(tmp_path / "none" / "pid"))
    with Agent(tmp_path, stock(upstream.address), *flags) as agent:
        assert "No such file or directory" in agent.wait_for_line("-pidfile")
        assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
        assert agent.stop() == 0


def test_a_standard_output_that_nobody_reads_is_no_end(tmp_path, upstream):
    port = free_port()
    corefile = tmp_path / "Corefile"
    corefile.write_text(stock(upstream.address).replace("{port}", str(port)))
    reader, writer = os.pipe()
    os.close(reader)
    agent = subprocess.Popen(command(corefile), stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    query = dns.message.make_query("a.example.", "A")

    def is_answered() -> bool:
        try:
            return dns.query.udp(query, HOST, port=port, timeout=1).rcode() == dns.rcode.NOERROR
        except (OSError, dns.exception.Timeout):
            return False

    try:
        wait_until(is_answered, "an answer")
        os.kill(agent.pid, signal.SIGHUP)  # it has said what it serves by the time this is done
        wait_until(is_answered, "an answer")
        assert agent.poll() is None
        agent.terminate()
        assert agent.wait(PATIENCE_SECONDS) == 0
    finally:
        agent.kill()
        agent.wait()


def test_without_a_descriptor_to_spare_a_worker_is_replaced_once_there_is_one(tmp_path, upstream):
    with Agent(tmp_path, stock(upstream.address)) as agent:
        keeper = agent.process.pid
        limits = resource.prlimit(keeper, resource.RLIMIT_NOFILE)
        taken = len(list(Path(f"/proc/{keeper}/fd").iterdir()))
        # Well below, as one may have been open for a moment when they were counted.
        resource.prlimit(keeper, resource.RLIMIT_NOFILE, (taken // 2, limits[1]))
        agent.kill_worker()
        for _ in range(2):
            agent.wait_for_line("no worker can be forked: [Errno 24] Too many open files")
        resource.prlimit(keeper, resource.RLIMIT_NOFILE, limits)
        assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
        assert agent.stop() == 0


def with_site(folder: Path, text: str) -> tuple[str, ...]:
    """A command in front of the agent's that has Python run `text` first of all."""
    (folder / "sitecustomize.py").write_text(text)
    return "env", f"PYTHONPATH={folder}:{Path(__file__).parents[2]}"


def test_a_fault_of_the_keepers_is_told_counted_and_lived_on_after(tmp_path, upstream):
    before = with_site(
        tmp_path,
        "from nodecache.config.source import ConfigSource\n"
        "def load(self):\n"
        "    raise RuntimeError('of all things')\n"
        "ConfigSource.load = load\n",
    )
    page = f"{HOST}:{free_port()}"
    corefile = stock(upstream.address, more=f"prometheus {page}")
    with Agent(tmp_path, corefile, before=before) as agent:
        os.kill(agent.process.pid, signal.SIGHUP)
        agent.wait_for_line("a fault in the keeper")
        agent.wait_for_line("of all things")
        assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR

        def is_counted() -> bool:
            with urllib.request.urlopen(f"http://{page}/metrics", timeout=PATIENCE_SECONDS) as told:
                return b"nodecache_keeper_faults_total 1" in told.read()

        wait_until(is_counted, "the count")
        assert agent.stop() == 0


def test_a_full_disk_under_the_state_folder_is_an_error_line(tmp_path, upstream):
    need_root()  # to mount
    folder = tmp_path / "state"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=True)
    try:
        (folder / "filler").write_bytes(b"x" * 4096)
        with Agent(tmp_path, stock(upstream.address), "-state", str(folder)) as agent:
            assert "No space left on device" in agent.wait_for_line("cannot keep the good Corefile")
            assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
            assert agent.stop() == 0
    finally:
        subprocess.run(["umount", folder], check=True)
