"""What the keeper measures and tells."""

import json
import os
import subprocess
import sys
import time

from nodecache.process import vitals
from nodecache.process.vitals import KeeperVitals, Process


def test_what_the_keeper_tells_arrives_as_it_was():
    told = KeeperVitals(
        process=Process(cpu_seconds=1.5, private_octets=4096),
        setup_errors={"iptables": 2},
        lease={"seconds": 10.0, "is_held": True},
    )
    fields = json.loads(json.dumps(told.to_fields()))
    assert KeeperVitals.from_fields(fields) == told


def test_process_is_measured_as_the_kernel_shows_it():
    measured = vitals.measure(os.getpid(), is_private_wanted=True)
    assert 0 < measured.private_octets <= measured.resident_octets < measured.virtual_octets
    assert measured.open_files >= 3
    assert measured.cpu_seconds > 0
    assert 0 < time.time() - measured.started_at < 24 * 3600


def test_a_process_started_when_it_did_whoever_asks_and_whenever():
    code = f"from nodecache.process import vitals; print(vitals.measure({os.getpid()}).started_at)"
    others = {
        float(
            subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
        )
        for _ in range(5)
    }
    assert others == {vitals.measure(os.getpid()).started_at}


def test_network_octets_are_summed_over_interfaces():
    lines = [
        "    lo: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0",
        "  eth0:1000 1 0 0 0 0 0 0 2000 2 0 0 0 0 0 0",
    ]
    assert vitals.count_network(lines) == (1100, 2200)
