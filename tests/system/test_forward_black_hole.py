"""Every upstream drops every packet while 10,000 new names a second are asked for.

What hits notice of it is printed here and measured by the bench (`stall`), where the machine is
quiet; three programs at full load on a test machine's two cores say little.
"""

import time
from pathlib import Path

import pytest

from tests.needs import need, need_root
from tests.system.backends import SERVICE, Dnsperf, agent

pytestmark = pytest.mark.system

need_root()
need("dnsperf", package="dnsperf")
need("unbound", package="unbound")
need("dig", package="bind9-dnsutils")
need("nft", package="nftables")

COREFILE = """
. {{
    bind 127.0.0.1
    cache 300
    forward . {service} {{
        {option}
    }}
}}
"""
MISSES_PER_SECOND, HITS_PER_SECOND, SECONDS = 10_000, 1_000, 6
WARM = 1_000  # names
MAX_MEBIBYTES = 64


@pytest.mark.parametrize("option", ["force_tcp", "prefer_udp"])
def test_a_black_hole_takes_bounded_memory(pods, tmp_path, option):
    node, first, second = pods
    with agent(node, tmp_path, COREFILE.format(service=SERVICE, option=option)) as process:
        worker = worker_of(process.pid)
        warm = Dnsperf(node, tmp_path, WARM // 4, 4, prefix="warm")
        assert warm.result().lost == 0
        before = resident_mebibytes(worker)
        for pod in (first, second):
            pod.drop_everything()
        try:
            misses = Dnsperf(node, tmp_path, MISSES_PER_SECOND, SECONDS, prefix="new")
            hits = Dnsperf(node, tmp_path, HITS_PER_SECOND, SECONDS, prefix="warm", names=WARM)
            most = before
            for _ in range(SECONDS * 4):
                time.sleep(0.25)
                most = max(most, resident_mebibytes(worker))
            asked, answered = misses.result(), hits.result()
        finally:
            for pod in (first, second):
                pod.come_back()
        print(f"\n{option}: memory {before:.0f} MiB, at most {most:.0f} in the storm")
        print(f"hits meanwhile: {answered}\nmisses: {asked}")
        assert most - before < MAX_MEBIBYTES
        assert set(answered.rcodes) == {"NOERROR"}
        assert set(asked.rcodes) == {"SERVFAIL"}


def worker_of(pid: int) -> int:
    """The keeper's child; `pid` is that of `ip netns exec`, which becomes the keeper."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def resident_mebibytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20
