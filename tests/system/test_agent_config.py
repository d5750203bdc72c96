"""ConfigMaps as a kubelet mounts them, changed under a running agent."""

import os
import re
import subprocess
from pathlib import Path

import dns.rcode
import pytest

from tests.helpers.agent import HOST, Agent, command
from tests.helpers.upstream import FakeUpstream, silent
from tests.needs import need
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

BASE = """
cluster.local:{port} {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    reload
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . {upstream} {{
        force_tcp
    }}
}}
.:{port} {{
    errors
    cache 30
    bind __PILLAR__LOCAL__DNS__
    forward . {upstream}
    {more}
}}
"""


class Mount:
    """A folder as a kubelet lays it out: keys are links through `..data`, switched in one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = 0
        folder.mkdir()

    def put(self, **keys: str) -> None:
        """Replace all keys at once."""
        self._version += 1
        data = self.folder / f"..version_{self._version}"
        data.mkdir()
        for key, text in keys.items():
            (data / key.replace("__", ".")).write_text(text)
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(data.name)
        fresh.rename(self.folder / "..data")
        for key in keys:
            name = key.replace("__", ".")
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(Path("..data", name))


class Mounted(Agent):
    """An agent whose Corefile comes from a mounted ConfigMap."""

    def __init__(self, folder: Path, *flags: str) -> None:
        super().__init__(folder, "", *flags)
        self.config = Mount(folder / "config")
        self.kube_dns = Mount(folder / "kube-dns")

    def put(self, upstream: FakeUpstream, more: str = "") -> None:
        """Write the base Corefile."""
        self.config.put(
            Corefile__base=BASE.format(port=self.port, upstream=upstream.address, more=more)
        )

    def flags(self) -> list[str]:
        return [
            "-localip", HOST,
            "-basecorefile", str(self.config.folder / "Corefile.base"),
            "-kubednscm", str(self.kube_dns.folder),
            "-dns.port", str(self.port),
        ]  # fmt: skip


@pytest.fixture
def upstream():
    with FakeUpstream("a.cluster.local. 30 IN A 10.0.0.1\nb.corp.test. 30 IN A 10.0.0.2") as fake:
        yield fake


@pytest.fixture
def mounted(tmp_path, upstream):
    agent = Mounted(tmp_path, "-state", str(tmp_path / "state"))
    agent.put(upstream)
    agent._flags = (*agent._flags, *agent.flags())
    with agent:
        yield agent


def test_the_rendered_corefile_is_written_for_people(mounted):
    text = mounted.corefile.read_text()
    assert "__PILLAR__" not in text
    assert f"bind {HOST}" in text


def test_a_switched_link_is_served_within_moments_and_keeps_the_cache(mounted, upstream):
    before = mounted.ask("a.cluster.local.")
    upstream.behave = silent
    with FakeUpstream("b.corp.test. 30 IN A 10.9.9.9") as corp:
        mounted.kube_dns.put(stubDomains=f'{{"corp.test": ["{corp.address}"]}}')
        mounted.wait_for_line("Reloading complete")
        assert mounted.ask("b.corp.test.").answer[0][0].address == "10.9.9.9"
    assert mounted.ask("a.cluster.local.").answer == before.answer != []


def test_a_broken_change_is_told_by_file_and_line_and_the_old_one_serves(mounted, upstream):
    mounted.put(upstream, more="frobnicate")
    line = mounted.wait_for_line("frobnicate")
    assert re.search(r"Corefile\.base:\d+: ", line)
    assert mounted.ask("a.cluster.local.").answer


def test_a_restart_with_a_broken_configmap_serves_the_last_known_good(tmp_path, upstream):
    agent = Mounted(tmp_path, "-state", str(tmp_path / "state"))
    agent.put(upstream)
    agent._flags = (*agent._flags, *agent.flags())
    with agent:
        assert agent.ask("a.cluster.local.").answer
    agent.put(upstream, more="frobnicate")
    with agent:
        assert "last configuration that was good" in agent.log
        assert agent.ask("a.cluster.local.").answer


def test_a_broken_configmap_without_a_last_good_one_ends_with_1(tmp_path, upstream):
    agent = Mounted(tmp_path)
    agent.put(upstream, more="frobnicate")
    argv = command(agent.corefile, *agent.flags())
    ended = subprocess.run(
        argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == 1
    assert "frobnicate" in ended.stdout


def test_changes_under_load_lose_no_query(mounted, upstream, tmp_path):
    dnsperf = need("dnsperf", package="dnsperf")
    questions = tmp_path / "questions"
    questions.write_text("a.cluster.local A\n")
    argv = [dnsperf, "-s", HOST, "-p", str(mounted.port), "-d", str(questions)]
    argv += ["-l", "5", "-Q", "1000", "-c", "4", "-q", "10000", "-t", "30", "-S", "1"]
    said, changes = "", 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        for line in load.stdout:
            said += line
            if re.match(r"\d+\.\d+: ", line) and changes < 4:
                changes += 1
                mounted.put(upstream, more=f"bufsize {1200 + changes}")
                mounted.wait_for_line("Reloading complete")
    sent, lost = (int(re.search(rf"Queries {word}:\s+(\d+)", said)[1]) for word in ("sent", "lost"))
    print(f"\n{changes} changes, {sent} queries sent, {lost} lost")
    assert changes == 4
    assert lost == 0


def test_another_user_than_root_reads_everything_again_at_a_reload(mounted, upstream):
    if os.geteuid() != 0:
        pytest.skip("needs root: the worker changes its user only then")
    status = Path(f"/proc/{mounted.worker}/status").read_text()
    assert re.search(r"^Uid:\s+65534\s", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    mounted.put(upstream, more="loadbalance")
    mounted.wait_for_line("Reloading complete")
    assert mounted.ask("a.cluster.local.").rcode() == dns.rcode.NOERROR
