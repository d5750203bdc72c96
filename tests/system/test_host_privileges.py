"""What keeper and worker may still do once they serve."""

from pathlib import Path

import pytest

from nodecache.host import privileges
from tests.helpers.agent import Agent as Loopback
from tests.needs import need_node
from tests.system.netns import LOCAL, SERVICE, wait_until
from tests.system.on_node import Agent

CAP_SYS_RESOURCE = 24  # linux/capability.h; containers have it only when privileged

pytestmark = pytest.mark.system
need_node("setpriv", "unshare")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_worker_may_nothing_and_the_keeper_what_it_needs(world, tmp_path):
    own_score = Path("/proc/self/oom_score_adj").read_text().strip()
    agent = Agent(world, tmp_path, [LOCAL, SERVICE]).wait_ready()
    worker, keeper = status(agent.worker), status(agent.process.pid)
    assert worker["Uid"].split() == ["65534"] * 4
    assert worker["Gid"].split() == ["65534"] * 4
    assert worker["Groups"] == ""
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(worker[kind], 16) == 0
    assert worker["NoNewPrivs"] == keeper["NoNewPrivs"] == "1"
    # what is not dumpable belongs to root, whoever runs it
    assert Path(f"/proc/{agent.worker}/mem").stat().st_uid == 0
    needed = sum(1 << capability for capability in privileges.keeper_needs(sets_up_host=True))
    for kind in ("CapPrm", "CapEff", "CapBnd"):
        assert int(keeper[kind], 16) == needed
    is_protected = privileges.has_capability(CAP_SYS_RESOURCE)
    keepers = "-998" if is_protected else own_score
    workers = "0" if is_protected else str(min(int(own_score) + 300, 1000))
    assert Path(f"/proc/{agent.process.pid}/oom_score_adj").read_text().strip() == keepers
    assert Path(f"/proc/{agent.worker}/oom_score_adj").read_text().strip() == workers
    assert agent.stop() == 0


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(
            ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"], id="no CAP_SETUID"
        ),
        pytest.param(
            ["setpriv", "--bounding-set=-setgid", "--inh-caps=-setgid"], id="no CAP_SETGID"
        ),
        pytest.param(["unshare", "--user", "--map-root-user"], id="user namespace of one user"),
    ],
)
def test_a_worker_that_cannot_become_nobody_serves_as_root_without_capabilities(tmp_path, before):
    with Loopback(tmp_path, ".:{port} {\n bind 127.0.0.1\n whoami\n}\n", before=before) as agent:
        assert "the worker stays root, without capabilities" in agent.log
        worker = status(agent.worker)
        assert worker["Uid"].split() == ["0"] * 4
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(worker[kind], 16) == 0
        assert worker["NoNewPrivs"] == "1"
        assert agent.stop() == 0


def test_a_replaced_worker_may_as_little_and_dies_with_its_keeper(world, tmp_path):
    agent = Agent(world, tmp_path, [LOCAL, SERVICE]).wait_ready()
    first = agent.kill_worker()
    wait_until(lambda: agent.worker_or_none() not in (None, first))
    wait_until(lambda: status(agent.worker)["Uid"].split() == ["65534"] * 4)
    second = agent.worker
    assert status(second)["CapBnd"] == "0" * 16  # which went before
    agent.process.kill()
    agent.process.wait()
    wait_until(lambda: not Path(f"/proc/{second}").exists())
